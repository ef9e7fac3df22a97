"""Every table of a commerce file in a PostgreSQL database: the same rows, and an outbox that goes on where it was."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import pytest

from event_store.errors import TargetDiffers
from event_store.outbox import Acknowledgement
from event_store.postgres_outbox import PostgresOutbox
from event_store.postgres_tables import compare, fill
from event_store.sqlite_outbox import SqliteOutbox
from event_store.sqlite_tables import held_tables
from producer_api.commerce import BasketLine, GiveRefund, ListProduct, Once, Pay, PlaceOrder, SetLike
from producer_api.sqlite_commerce import SqliteCommerce
from tests.contracts.outbox_rows import ORDERS, claimed, lane_of, paid, places, status_of, withheld

LANES = {"catalog-events": 2, "order-events": 1}
AT = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
async def file(tmp_path: Path) -> Path:
    """A shop with a row in every table, an outbox with rows in every state, and a text that PostgreSQL can't keep."""
    path = tmp_path / "commerce.db"
    commerce = SqliteCommerce(path, LANES)
    await commerce.prepare()
    for number in range(3):
        await commerce.perform(ListProduct(f"lantern {number} ä\u4e2d", "Lantern", 250, "GBP"))
    (one, other) = ("lantern 0 ä\u4e2d", "lantern 1 ä\u4e2d")
    await commerce.perform(SetLike(one, "user", liked=True), Once("key", "PUT /likes", b"\x00\xff"))
    await commerce.perform(PlaceOrder("order", "GBP", None, [BasketLine(one, 2, 500), BasketLine(other, 1, 250)]))
    await commerce.perform(Pay("order", "payment", "completed", AT))
    await commerce.perform(GiveRefund("refund", "order", None, [BasketLine(one, 1, 250)], AT))
    await commerce.close()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("INSERT INTO accepted_events VALUES ('/till', 'a' || char(0) || 'b', 'id')")
    await _work(SqliteOutbox(path, LANES))
    return path


async def _work(outbox: SqliteOutbox) -> None:
    """Some rows are sent, one is dead, two were sent and are gone, some are claimed and some wait."""
    await outbox.write([paid() for _ in range(4)])
    lane = await lane_of(outbox)
    rows = await claimed(outbox, lane, 5)
    await outbox.bury(lane, rows[-1].sequence, "too large", withheld(rows[-1].event_id))
    await outbox.acknowledge([Acknowledgement(lane, rows[-2].sequence, 7)])
    await outbox.clean(0, 2)
    await outbox.write([paid() for _ in range(2)])
    await outbox.write_once(paid())
    await outbox.release("relay")
    await outbox.close()


@pytest.fixture
async def server(postgres_url: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    connection = await asyncpg.connect(postgres_url.replace("+asyncpg", ""))
    yield connection
    await connection.close()


async def test_every_row_of_every_table_is_in_the_new_database(
    file: Path, postgres_url: str, server: asyncpg.Connection[asyncpg.Record]
) -> None:
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("CREATE TABLE notes (id INTEGER PRIMARY KEY)")
    with held_tables(file) as held:
        assert await fill(held, postgres_url)
        compared = await compare(held, postgres_url)
        assert not await fill(held, postgres_url)
        assert await compare(held, postgres_url) == compared
    assert compared.left_out == ["notes"]
    assert compared.rows["products"] == 3
    assert compared.rows["order_lines"] == 2
    assert compared.rows["outbox_waiting"] == await server.fetchval("SELECT count(*) FROM outbox_waiting") > 0
    empty = [table for table, rows in compared.rows.items() if not rows and table not in FIGURES_TABLES]
    assert empty == []
    assert await server.fetchval("SELECT id FROM accepted_events") == "a\ufffdb"


FIGURES_TABLES = (
    "generation",
    "inbox_position",
    "event_handled",
    "event_handled_id",
    "dead_letter",
    "dead_letter_decision",
)


async def test_an_outbox_goes_on_in_the_new_database_where_it_was(file: Path, postgres_url: str) -> None:
    old = SqliteOutbox(file, LANES)
    with held_tables(file) as held:
        await fill(held, postgres_url)
    new = PostgresOutbox(postgres_url, LANES)
    assert await new.source() == await old.source()
    assert await new.lanes() == await old.lanes()
    assert [row.event_id for row in await new.dead()] == [row.event_id for row in await old.dead()]
    assert sorted(await new.unsent_ids()) == sorted(await old.unsent_ids())
    before = await status_of(old)
    await new.write([paid()])
    (here, there) = (await claimed(old, await lane_of(old)), await claimed(new, await lane_of(new)))
    assert places(there)[:-1] == places(here)
    assert [row.payload for row in there][:-1] == [row.payload for row in here]
    assert [row.sequence for row in there] == list(range(before.sent + 1, before.sent + 1 + len(there)))
    assert (await status_of(new, ORDERS)).ready == 0
    for outbox in (old, new):
        await outbox.close()


async def test_numbers_that_were_given_are_not_given_again(
    file: Path, postgres_url: str, server: asyncpg.Connection[asyncpg.Record]
) -> None:
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        (last,) = connection.execute("SELECT max(id) FROM outbox").fetchone()
        connection.execute("DELETE FROM outbox_waiting WHERE id = ?", (last,))
        connection.execute("DELETE FROM outbox WHERE id = ?", (last,))
    with held_tables(file) as held:
        await fill(held, postgres_url)
    new = PostgresOutbox(postgres_url, LANES)
    await new.write([paid()])
    assert await server.fetchval("SELECT max(id) FROM outbox") == last + 1
    await new.close()


async def test_a_copy_that_breaks_off_leaves_nothing_behind(
    file: Path, postgres_url: str, server: asyncpg.Connection[asyncpg.Record]
) -> None:
    def cut() -> None:
        raise ConnectionResetError

    with held_tables(file) as held:
        with pytest.raises(Exception, match="ConnectionResetError"):
            await fill(held, postgres_url, cut)
        assert await server.fetchval("SELECT count(*) FROM products") == 0
        assert await fill(held, postgres_url)
        await compare(held, postgres_url)


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (
            "UPDATE products SET likes = 7 WHERE product_id = 'lantern 1 ä\u4e2d'",
            "table products differs at product_id 'l",
        ),
        ("DELETE FROM refund_lines", "table refund_lines differs at refund_id 'refund', line_number 0"),
        (
            "INSERT INTO likes VALUES ('lantern 0 ä\u4e2d', 'zoe')",
            "table likes differs at product_id 'lantern 0 ä\u4e2d', user_id 'zoe'",
        ),
        ("UPDATE outbox_lane SET next_sequence = 99", "table outbox_lane differs at id 1"),
    ],
)
async def test_any_difference_is_found_and_nothing_is_written_over_it(
    file: Path, postgres_url: str, server: asyncpg.Connection[asyncpg.Record], change: str, where: str
) -> None:
    with held_tables(file) as held:
        await fill(held, postgres_url)
        await server.execute(change)
        with pytest.raises(TargetDiffers, match=where):
            await compare(held, postgres_url)
        assert not await fill(held, postgres_url)
        with pytest.raises(TargetDiffers, match=where):
            await compare(held, postgres_url)


async def test_nobody_writes_to_a_file_that_is_held(file: Path) -> None:
    with held_tables(file), closing(sqlite3.connect(file, timeout=0)) as other:
        assert other.execute("SELECT count(*) FROM products").fetchone() == (3,)
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("DELETE FROM likes")
