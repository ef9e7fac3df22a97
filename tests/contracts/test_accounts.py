"""What accounts, sessions and the throttle promise on every database (backoffice/sign_in)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from argon2 import PasswordHasher

from backoffice.sign_in.account import AccountRefused, Caller, LastAdmin, UnknownAccount
from backoffice.sign_in.accounts import Accounts
from backoffice.sign_in.argon2_passwords import Passwords
from backoffice.sign_in.roles import Role
from backoffice.sign_in.sign_in import UNKNOWN, NotSignedIn, SessionLimits, SignIn, TooManyTries
from event_store.audit import Audit, Entry
from event_store.steps import Transactions

from .conftest import Open, Place

ADA = Entry(who="ada", what="")
HERE = Caller("192.0.2.1", "a browser", "r1")
THERE = Caller("192.0.2.2")
MINUTE_US = 60_000_000
OWN = "correct horse battery"


@pytest.fixture(scope="module")
def passwords() -> Iterator[Passwords]:
    """Of the least cost: how dear the real one is has a test of its own."""
    made = Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    yield made
    made.close()


@pytest.fixture
def accounts(office: Transactions, place: Place, passwords: Passwords) -> Accounts:
    return Accounts(office, passwords, place.clock)


@pytest.fixture
def door(office: Transactions, place: Place, passwords: Passwords) -> SignIn:
    return SignIn(office, passwords, clock=place.clock)


async def told(office: Transactions) -> list[tuple[str, str]]:
    return [(row.what, row.on) for row in (await Audit(office).older())[::-1]]


async def test_the_first_admin_is_made_once(accounts: Accounts, office: Transactions) -> None:
    assert await accounts.add_first(ADA) is not None
    assert await accounts.add_first(ADA) is None
    (first,) = await accounts.all()
    assert (first.name, first.role, first.must_change, first.disabled) == ("admin", Role.ADMIN, True, False)
    assert await told(office) == [("account.added", "admin")]


async def test_of_processes_that_begin_at_once_one_makes_the_first_admin(
    open_office: Open[Transactions], passwords: Passwords
) -> None:
    processes = [Accounts(await open_office(), passwords) for _ in range(4)]
    made = await asyncio.gather(*(one.add_first(ADA) for one in processes))
    assert len([password for password in made if password]) == 1


async def test_a_password_signs_in_and_a_wrong_one_does_not(
    accounts: Accounts, door: SignIn, office: Transactions
) -> None:
    password = await accounts.add("Bob", Role.VIEWER, ADA)
    who = await door.sign_in(" BOB ", password, HERE)
    assert (who.name, who.role, who.account.must_change) == ("bob", Role.VIEWER, True)
    again = await door.who(who.text)
    assert again is not None
    assert (again.account, again.session) == (who.account, who.session)
    for name, wrong in (("bob", "wrong"), ("bob", ""), ("eve", password), ("", ""), ("b\x00b", password)):
        with pytest.raises(NotSignedIn, match="don't fit together"):
            await door.sign_in(name, wrong, HERE)
    assert await told(office) == [
        ("account.added", "bob"),
        ("sign_in.done", "bob"),
        *[("sign_in.failed", "bob")] * 2,
        *[("sign_in.failed", UNKNOWN)] * 3,
    ]


async def test_what_was_typed_as_a_name_is_kept_nowhere(door: SignIn, office: Transactions) -> None:
    """It may have been a password."""
    with pytest.raises(NotSignedIn):
        await door.sign_in("Hunter-2 is secret", "x", HERE)

    def everything() -> Any:
        tries = yield "SELECT account, address FROM sign_in_try", {}
        rows = yield "SELECT who, target, before, after, reason FROM audit", {}
        return [*tries, *rows]

    assert "hunter" not in repr(await office.read(everything())).lower()


async def test_a_session_is_kept_by_its_hash_and_told_by_nothing_else(accounts: Accounts, door: SignIn) -> None:
    who = await door.sign_in("bob", await accounts.add("bob", Role.VIEWER, ADA), HERE)
    assert who.text.encode() not in who.session.id
    for wrong in ("", who.text[:-1], who.text + "A", who.session.id.hex(), "\ud800"):
        assert await door.who(wrong) is None


async def test_signing_in_draws_a_new_session_and_ends_the_one_before(accounts: Accounts, door: SignIn) -> None:
    password = await accounts.add("bob", Role.VIEWER, ADA)
    first = await door.sign_in("bob", password, HERE)
    second = await door.sign_in("bob", password, HERE, replaced=first.text)
    fixed = await door.sign_in("bob", password, HERE, replaced="a session that somebody else chose")
    assert len({first.text, second.text, fixed.text}) == 3
    assert await door.who(first.text) is None
    assert await door.who("a session that somebody else chose") is None
    assert await door.who(second.text) is not None


async def test_a_session_that_was_left_is_worth_nothing(accounts: Accounts, door: SignIn) -> None:
    password = await accounts.add("bob", Role.VIEWER, ADA)
    (who, other) = [await door.sign_in("bob", password, HERE) for _ in range(2)]
    await door.sign_out(who, HERE)
    assert await door.who(who.text) is None
    assert await door.who(other.text) is not None


async def test_others_can_be_signed_out(accounts: Accounts, door: SignIn) -> None:
    password = await accounts.add("bob", Role.VIEWER, ADA)
    carol = await door.sign_in("carol", await accounts.add("carol", Role.VIEWER, ADA), HERE)
    (who, *others) = [await door.sign_in("bob", password, HERE) for _ in range(3)]
    assert len(await door.sessions(who)) == 3
    assert await door.sign_out_others(who, HERE) == 2
    assert [one.id for one in await door.sessions(who)] == [who.session.id]
    assert [await door.who(one.text) for one in others] == [None, None]
    assert await door.who(carol.text) is not None


async def test_a_session_that_is_used_lives_and_an_idle_one_ends(
    accounts: Accounts, door: SignIn, place: Place
) -> None:
    who = await door.sign_in("bob", await accounts.add("bob", Role.VIEWER, ADA), HERE)
    for _ in range(3):
        place.clock.now_us += 29 * MINUTE_US
        assert await door.who(who.text) is not None
    place.clock.now_us += 30 * MINUTE_US
    assert await door.who(who.text) is None


async def test_what_a_page_asks_by_itself_keeps_no_session_alive(
    accounts: Accounts, door: SignIn, place: Place
) -> None:
    who = await door.sign_in("bob", await accounts.add("bob", Role.VIEWER, ADA), HERE)
    place.clock.now_us += 20 * MINUTE_US
    assert await door.who(who.text, is_active=False) is not None
    place.clock.now_us += 10 * MINUTE_US
    assert await door.who(who.text, is_active=False) is None


async def test_a_session_ends_however_busy_it_is(accounts: Accounts, door: SignIn, place: Place) -> None:
    who = await door.sign_in("bob", await accounts.add("bob", Role.VIEWER, ADA), HERE)
    for _ in range(12 * 60 // 20 - 1):
        place.clock.now_us += 20 * MINUTE_US
        assert await door.who(who.text) is not None
    place.clock.now_us += 20 * MINUTE_US
    assert await door.who(who.text) is None


async def test_a_clock_that_is_set_back_makes_no_session_longer(accounts: Accounts, door: SignIn, place: Place) -> None:
    who = await door.sign_in("bob", await accounts.add("bob", Role.VIEWER, ADA), HERE)
    place.clock.now_us -= 4 * MINUTE_US
    assert await door.who(who.text) is not None
    place.clock.now_us -= 60 * MINUTE_US
    assert await door.who(who.text) is None


async def test_sessions_that_ended_are_forgotten_at_the_next_sign_in(
    accounts: Accounts, door: SignIn, office: Transactions, place: Place
) -> None:
    password = await accounts.add("bob", Role.VIEWER, ADA)
    for _ in range(3):
        await door.sign_in("bob", password, HERE)
    place.clock.now_us += 31 * MINUTE_US
    await door.sign_in("bob", password, HERE)

    def count() -> Any:
        return (yield "SELECT count(*) FROM account_session", {})

    assert (await office.read(count()))[0][0] == 1


async def test_limits_are_settings(
    office: Transactions, accounts: Accounts, place: Place, passwords: Passwords
) -> None:
    door = SignIn(office, passwords, limits=SessionLimits(idle_s=60, longest_s=90), clock=place.clock)
    who = await door.sign_in("bob", await accounts.add("bob", Role.VIEWER, ADA), HERE)
    place.clock.now_us += MINUTE_US
    assert await door.who(who.text) is None


async def test_ten_tries_in_a_quarter_of_an_hour_and_then_none(
    accounts: Accounts, door: SignIn, office: Transactions, place: Place
) -> None:
    password = await accounts.add("bob", Role.VIEWER, ADA)
    for _ in range(10):
        place.clock.now_us += MINUTE_US // 2
        with pytest.raises(NotSignedIn):
            await door.sign_in("bob", "wrong", HERE)
    for _ in range(3):
        with pytest.raises(TooManyTries) as refused:
            await door.sign_in("bob", password, HERE)
    assert refused.value.wait_s == pytest.approx(15 * 60 - 8 * 30, abs=1)
    assert (await told(office))[-1] == ("sign_in.throttled", "bob")
    assert (await told(office)).count(("sign_in.throttled", "bob")) == 1
    assert (await door.sign_in("bob", password, THERE)).name == "bob"
    place.clock.now_us += 16 * MINUTE_US
    assert (await door.sign_in("bob", password, HERE)).name == "bob"


async def test_an_account_that_is_none_is_throttled_alike(door: SignIn) -> None:
    for _ in range(10):
        with pytest.raises(NotSignedIn):
            await door.sign_in("nobody", "wrong", HERE)
    with pytest.raises(TooManyTries):
        await door.sign_in("nobody", "wrong", HERE)


async def test_tries_made_at_once_are_counted_one_by_one(
    open_office: Open[Transactions], accounts: Accounts, passwords: Passwords, place: Place
) -> None:
    await accounts.add("bob", Role.VIEWER, ADA)
    doors = [SignIn(await open_office(), passwords, clock=place.clock) for _ in range(3)]
    tries = [one.sign_in("bob", "wrong", HERE) for one in doors for _ in range(8)]
    outcomes = [type(one) for one in await asyncio.gather(*tries, return_exceptions=True)]
    assert outcomes.count(NotSignedIn) == 10
    assert outcomes.count(TooManyTries) == 14


async def test_one_address_does_not_try_all_accounts(door: SignIn) -> None:
    for number in range(100):
        with pytest.raises(NotSignedIn):
            await door.sign_in(f"nobody{number}", "wrong", HERE)
    with pytest.raises(TooManyTries):
        await door.sign_in("nobody100", "wrong", HERE)
    with pytest.raises(NotSignedIn):
        await door.sign_in("nobody100", "wrong", THERE)


async def test_signing_in_forgives_the_tries_before(accounts: Accounts, door: SignIn) -> None:
    password = await accounts.add("bob", Role.VIEWER, ADA)
    for _ in range(3):
        for _ in range(9):
            with pytest.raises(NotSignedIn):
                await door.sign_in("bob", "wrong", HERE)
        await door.sign_in("bob", password, HERE)


async def test_a_changed_password_ends_every_session_and_begins_a_new_one(accounts: Accounts, door: SignIn) -> None:
    given = await accounts.add("bob", Role.VIEWER, ADA)
    (who, other) = [await door.sign_in("bob", given, HERE) for _ in range(2)]
    new = await door.change_password(who, given, OWN, HERE)
    assert [await door.who(one.text) for one in (who, other)] == [None, None]
    found = await door.who(new.text)
    assert found is not None
    assert found.account == new.account
    assert not found.account.must_change
    with pytest.raises(NotSignedIn):
        await door.sign_in("bob", given, HERE)
    assert (await door.sign_in("bob", OWN, HERE)).name == "bob"


@pytest.mark.parametrize("new", ["", "too short", "x" * 201, "bob bob bob bob", "abababababababab", "the old password"])
async def test_a_password_that_is_easily_guessed_is_refused(accounts: Accounts, door: SignIn, new: str) -> None:
    given = await accounts.add("bob", Role.VIEWER, ADA)
    who = await door.sign_in("bob", given, HERE)
    with pytest.raises(AccountRefused):
        await door.change_password(who, given, given if new == "the old password" else new, HERE)
    assert await door.who(who.text) is not None


async def test_a_password_is_changed_by_who_knows_the_current_one(accounts: Accounts, door: SignIn) -> None:
    who = await door.sign_in("bob", await accounts.add("bob", Role.VIEWER, ADA), HERE)
    for _ in range(10):
        with pytest.raises(NotSignedIn):
            await door.change_password(who, "wrong", OWN, HERE)
    with pytest.raises(TooManyTries):
        await door.change_password(who, "wrong", OWN, HERE)


@pytest.mark.parametrize("what", ["role", "password", "disable"])
async def test_what_an_admin_changes_ends_the_accounts_sessions(accounts: Accounts, door: SignIn, what: str) -> None:
    await accounts.add_first(ADA)
    password = await accounts.add("bob", Role.VIEWER, ADA)
    who = await door.sign_in("bob", password, HERE)
    if what == "role":
        await accounts.give_role("bob", Role.OPERATOR, ADA)
    elif what == "password":
        assert await accounts.reset_password("bob", ADA) != password
    else:
        await accounts.disable("bob", ADA)
    assert await door.who(who.text) is None
    if what == "role":
        assert (await door.sign_in("bob", password, HERE)).role is Role.OPERATOR
    else:
        with pytest.raises(NotSignedIn):
            await door.sign_in("bob", password, HERE)


async def test_a_disabled_account_comes_back_with_its_password(accounts: Accounts, door: SignIn) -> None:
    password = await accounts.add("bob", Role.VIEWER, ADA)
    await accounts.disable("bob", ADA)
    await accounts.enable("bob", ADA)
    assert (await door.sign_in("bob", password, HERE)).name == "bob"


async def test_the_last_admin_stays_one(accounts: Accounts, office: Transactions) -> None:
    await accounts.add_first(ADA)
    before = await told(office)
    with pytest.raises(LastAdmin):
        await accounts.give_role("admin", Role.OPERATOR, ADA)
    with pytest.raises(LastAdmin):
        await accounts.disable("admin", ADA)
    assert await told(office) == before
    await accounts.add("bob", Role.ADMIN, ADA)
    await accounts.disable("admin", ADA)
    with pytest.raises(LastAdmin):
        await accounts.disable("bob", ADA)


async def test_admins_who_disable_each_other_at_once_leave_one(
    open_office: Open[Transactions], passwords: Passwords
) -> None:
    (one, other) = [Accounts(await open_office(), passwords) for _ in range(2)]
    await one.add_first(ADA)
    await one.add("bob", Role.ADMIN, ADA)
    await asyncio.gather(one.disable("admin", ADA), other.disable("bob", ADA), return_exceptions=True)
    assert len([account for account in await one.all() if not account.disabled]) == 1


@pytest.mark.parametrize("name", ["", " ", "a b", "ä", "-a", "a" * 65, "a\x00", "<b>", "../a"])
async def test_a_name_that_is_none_is_refused(accounts: Accounts, name: str) -> None:
    with pytest.raises(AccountRefused):
        await accounts.add(name, Role.VIEWER, ADA)
    assert await accounts.all() == []


async def test_a_name_is_given_once_and_an_account_that_is_not_there_is_named(accounts: Accounts) -> None:
    await accounts.add("bob", Role.VIEWER, ADA)
    with pytest.raises(AccountRefused, match="there is an account bob already"):
        await accounts.add("BOB", Role.ADMIN, ADA)
    with pytest.raises(UnknownAccount, match="there is no account eve"):
        await accounts.disable("eve", ADA)


async def test_every_change_is_in_the_audit_and_no_password_is(accounts: Accounts, office: Transactions) -> None:
    given = [await accounts.add_first(ADA), await accounts.add("bob", Role.VIEWER, ADA)]
    await accounts.give_role("bob", Role.ANALYST, ADA)
    given.append(await accounts.reset_password("bob", ADA))
    await accounts.disable("bob", ADA)
    await accounts.disable("bob", ADA)  # Nothing to change, nothing to tell.
    rows = await Audit(office).older()
    assert [row.what.partition(".")[2] for row in rows[::-1]] == [
        *("added", "added", "role_changed", "password_reset", "disabled")
    ]
    assert '"role": "viewer"' in rows[2].before
    assert '"role": "analyst"' in rows[2].after
    assert {row.who for row in rows} == {"ada"}
    assert not any(password and password in repr(rows) for password in given)
    assert "argon2" not in repr(rows)
    assert (await Audit(office).verify()).fault == ""


async def test_a_password_written_down_at_other_costs_is_written_anew_at_the_next_sign_in(
    office: Transactions, accounts: Accounts, place: Place
) -> None:
    password = await accounts.add("bob", Role.VIEWER, ADA)
    dearer = Passwords(PasswordHasher(time_cost=2, memory_cost=16, parallelism=1))
    door = SignIn(office, dearer, clock=place.clock)
    who = await door.sign_in("bob", password, HERE)
    assert "t=2" in who.account.password
    assert (await accounts.named("bob")) == who.account
    again = await door.sign_in("bob", password, HERE)
    assert again.account == who.account
    assert await door.who(who.text) is not None
    dearer.close()
