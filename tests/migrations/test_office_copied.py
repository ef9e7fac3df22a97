"""Accounts, sessions, tokens and the audit of a file in a PostgreSQL database: everybody goes on as before."""

from __future__ import annotations

from pathlib import Path

import pytest

from backoffice.saved_views import SavedViews
from backoffice.sign_in.account import Caller
from backoffice.sign_in.accounts import Accounts
from backoffice.sign_in.argon2_passwords import Passwords
from backoffice.sign_in.connect import open_office
from backoffice.sign_in.roles import Role
from backoffice.sign_in.sign_in import NotSignedIn, SignIn
from event_store.audit import Audit, Entry
from event_store.pauses import Part, Pauses
from event_store.postgres_tables import compare, fill
from event_store.sqlite_tables import held_tables
from event_store.tokens import DASHBOARD_SCOPES, Tokens
from projections.catalogue import PROJECTIONS
from projections.sqlite_read_model import SqliteReadModel

TEST = Entry(who="a test \u202e é", what="", reason="because")
HERE = Caller("192.0.2.1", "a browser")
TABLES = {
    *("account", "account_session", "sign_in_try", "sign_in_turn", "api_token"),
    *("audit", "audit_head", "pause", "saved_view"),
}


async def test_who_is_signed_in_stays_so_and_the_audit_is_one_chain_with_what_follows(
    tmp_path: Path, postgres_url: str
) -> None:
    file = tmp_path / "backoffice.db"
    await SqliteReadModel(file, PROJECTIONS).close()
    passwords = Passwords()
    (old, new) = (open_office(f"sqlite+aiosqlite:///{file}"), open_office(postgres_url))
    (accounts, door) = (Accounts(old, passwords), SignIn(old, passwords))
    password = await accounts.add("bob", Role.OPERATOR, TEST)
    with pytest.raises(NotSignedIn):
        await door.sign_in("nobody", "wrong", HERE)
    who = await door.sign_in("bob", password, HERE)
    (_, text) = await Tokens(old, DASHBOARD_SCOPES).add("grafana", ["metrics:read"], 30, TEST)
    await SavedViews(old).add("a week", "/products", "range=7d&tz=UTC", TEST)
    pause = await Pauses(old).pause(Part.CONSUMER, TEST)
    with held_tables(file) as held:
        assert await fill(held, postgres_url)
        compared = await compare(held, postgres_url)
    assert {table for table, rows in compared.rows.items() if rows} == TABLES
    assert compared.rows.keys() >= TABLES
    assert compared.left_out == []
    there = SignIn(new, passwords)
    assert await there.who(who.text) is not None
    assert (await there.sign_in("bob", password, HERE)).role is Role.OPERATOR
    assert await Tokens(new, DASHBOARD_SCOPES).holder(text) is not None
    assert await SavedViews(new).all() == await SavedViews(old).all()
    assert await Pauses(new).paused(Part.CONSUMER) == pause
    assert await Audit(new).newer(0, 6) == await Audit(old).newer(0)
    verdict = await Audit(new).verify()
    assert (verdict.rows, verdict.fault) == (7, "")
    passwords.close()
    for one in (old, new):
        await one.close()
