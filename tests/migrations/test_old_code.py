"""A newer version's revisions are applied beside this version's code: it goes on, and starts, as if nothing was."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from backoffice.revisions import SAVED_VIEWS, SIGN_IN
from backoffice.saved_views import SavedViews
from backoffice.sign_in.account import Caller
from backoffice.sign_in.accounts import Accounts
from backoffice.sign_in.argon2_passwords import Passwords
from backoffice.sign_in.connect import open_office
from backoffice.sign_in.roles import Role
from backoffice.sign_in.sign_in import NotSignedIn, SignIn
from event_store.alembic_migration import migrate_sqlite
from event_store.audit import Audit, Entry
from event_store.connect import open_leases, open_outbox
from event_store.outbox import Acknowledgement, Outbox
from event_store.revisions import AUDIT, LEASES, OUTBOX, PAUSES, TOKENS, Revisions
from event_store.tokens import DASHBOARD_SCOPES, Tokens
from producer_api.revisions import COMMERCE
from projections.catalogue import PROJECTIONS
from projections.connect import open_read_model
from projections.revisions import FIGURES
from tests.contracts.effects import Batch, commit, sold
from tests.contracts.outbox_rows import ORDERS, claimed, lane_of, paid, withheld
from tests.faults.invoices import parts
from tests.faults.shop import Shop
from tests.servers.postgres import EVERY_SET

from .places import Place, with_more
from .shape import sqlite_shape

LANES = {"order-events": 1}


@pytest.fixture
def widened(tmp_path: Path) -> dict[Revisions, Revisions]:
    """Each set as a newer version has it: every table has a column more, and there is a table more."""
    return {one: _widened(one, tmp_path / one.name) for one in EVERY_SET}


def _widened(known: Revisions, folder: Path) -> Revisions:
    folder.mkdir()
    migrate_sqlite(folder / "tables.db", [known])
    names = [name.removeprefix("table ") for name in sqlite_shape(folder / "tables.db") if name.startswith("table ")]
    tables = [name for name in names if name != known.table]
    assert tables
    columns = [f"ALTER TABLE {table} ADD COLUMN added_later TEXT DEFAULT 'not said'" for table in tables]
    return with_more(known, folder, [*columns, f"CREATE TABLE {known.name}_more (id INTEGER PRIMARY KEY)"])


async def _all_that_an_outbox_does(outbox: Outbox, relay: str) -> int:
    """Writes, claims, sends, buries, sends again; the sequence that the lane has reached."""
    for _ in range(3):
        await outbox.write([paid()])  # type: ignore[attr-defined]
    lane = await lane_of(outbox, relay)
    rows = await claimed(outbox, lane)
    assert len(rows) >= 3
    await outbox.bury(lane, rows[-1].sequence, "too large", withheld(rows[-1].event_id))
    await outbox.acknowledge([Acknowledgement(lane, rows[-1].sequence, rows[-1].sequence)])
    assert await outbox.redrive([row.id for row in await outbox.dead()]) == 1
    assert await outbox.clean(0) >= 3
    assert await outbox.unsent_ids()
    await outbox.note_failure(lane, "away", 0.0)
    await outbox.release(relay)
    return rows[-1].sequence


async def test_an_outbox_goes_on_and_opens_while_its_tables_grow(
    place: Place, widened: dict[Revisions, Revisions]
) -> None:
    await place.migrate(LEASES, OUTBOX)
    outbox = open_outbox(place.url, LANES)
    reached = await _all_that_an_outbox_does(outbox, "relay")
    await place.migrate(widened[LEASES], widened[OUTBOX])
    assert await _all_that_an_outbox_does(outbox, "relay") == reached + 4
    opened = open_outbox(place.url, LANES)
    assert await _all_that_an_outbox_does(opened, "another") == reached + 8
    incarnation = await opened.reincarnate([])
    assert incarnation == await outbox.source()
    assert (await outbox.lanes())[0].tp == ORDERS
    for one in (outbox, opened):
        await one.close()
    assert await place.revisions(LEASES, OUTBOX) == [widened[LEASES].head, widened[OUTBOX].head]


async def test_figures_and_leases_go_on_and_open_while_their_tables_grow(
    place: Place, widened: dict[Revisions, Revisions]
) -> None:
    await place.migrate(LEASES, FIGURES)
    (figures, leases) = (open_read_model(place.url), open_leases(place.url))
    generation = await figures.serving()
    batch = Batch(records=2, increments=sold("a", 100), dead=[(0, b"?")], foreign_ids=[("b", "c")])
    await commit(figures, generation, batch)
    await place.migrate(widened[LEASES], widened[FIGURES])
    opened = open_read_model(place.url)
    for number, one in enumerate((figures, opened), 1):
        more = Batch(increments=sold("a", 1), dead=[(number + 1, b"?")], foreign_ids=[("d", str(number))])
        await commit(one, generation, more)
        (lease,) = await leases.take(["partition/a"], f"consumer {number}", 30)
        assert lease.epoch == number
        await leases.release(f"consumer {number}")
    rows = (await opened.rows(generation, "sales"))["gross_minor"].to_list()
    assert rows == [102]
    assert len(await figures.dead_letters(generation)) == 3
    building = await opened.begin_generation("again")
    await figures.abandon(building, "not needed")
    assert set((await figures.snapshot(generation)).rows) == {one.name for one in PROJECTIONS}
    for store in (figures, opened, leases):
        await store.close()


async def test_accounts_tokens_and_the_audit_go_on_while_their_tables_grow(
    place: Place, widened: dict[Revisions, Revisions]
) -> None:
    sets = (AUDIT, TOKENS, PAUSES, SIGN_IN, SAVED_VIEWS)
    await place.migrate(*sets)
    (office, passwords, here) = (open_office(place.url), Passwords(), Caller("192.0.2.1"))
    (accounts, door, tokens) = (
        Accounts(office, passwords),
        SignIn(office, passwords),
        Tokens(office, DASHBOARD_SCOPES),
    )
    entry = Entry(who="a test", what="")
    for name in ("ada", "bob"):
        password = await accounts.add(name, Role.VIEWER, entry)
        with pytest.raises(NotSignedIn):
            await door.sign_in(name, "wrong", here)
        who = await door.sign_in(name, password, here)
        assert await door.who(who.text) is not None
        await accounts.give_role(name, Role.OPERATOR, entry)
        await SavedViews(office).add(name, "/", "range=all", entry)
        (_, text) = await tokens.add(name, ["status:read"], 1, entry)
        assert await tokens.holder(text) is not None
        assert (await Audit(office).verify()).fault == ""
        await place.migrate(*(widened[one] for one in sets))
    passwords.close()
    await office.close()


@pytest.fixture(params=["sqlite", "postgres"])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shop]:
    """With its figures in a file, and in a server's database."""
    settings = {}
    if request.param == "postgres":
        settings["COUNTINGHOUSE_BACKOFFICE_DB_URL"] = request.getfixturevalue("postgres_url")
    one = Shop(tmp_path / "growing", settings)
    yield one
    one.close()
    assert one.complaints() == []


@pytest.mark.processes
@pytest.mark.timeout(300)
async def test_a_shop_counts_on_exactly_while_every_table_of_both_databases_grows(
    shop: Shop, widened: dict[Revisions, Revisions]
) -> None:
    (first, second) = parts(shop.folder, 2)
    (_, relay, consumer) = shop.start_line()
    await shop.send(first.file)
    await shop.counted_exactly(first.expected)
    sending = asyncio.create_task(shop.send(second.file))
    await Place(f"sqlite+aiosqlite:///{shop.commerce_db}").migrate(
        *(widened[one] for one in (LEASES, OUTBOX, COMMERCE))
    )
    backoffice = shop.settings.get("COUNTINGHOUSE_BACKOFFICE_DB_URL", f"sqlite+aiosqlite:///{shop.backoffice_db}")
    await Place(backoffice).migrate(widened[LEASES], widened[FIGURES])
    assert (await sending).delivery.failed == 0
    assert relay.is_alive
    consumer.kill()
    again = shop.start("consumer")
    await shop.counted_exactly(second.expected)
    await again.is_up()
    assert f"has lease_0002, {widened[FIGURES].head} of a newer version; this one works on." in again.said
    shop.ok("rebuild")
    assert (await shop.counted_exactly(second.expected)).completeness.generation == 2
    shop.ok("migrate")  # In files the tables of accounts are made by the dashboard, which nobody has opened.
    assert "of a newer version of this program, on which this one works" in shop.ok("migrate", "--check")
    assert shop.ok("migrate").count("left as it is") == 2
