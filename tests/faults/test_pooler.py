"""The whole line behind a transaction pooler: every process has a few connections, which it shares with the others.

Statements that were prepared, settings and locks of a session, and news of commits would be lost or met by others.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from tests.samples import SAMPLES
from tests.servers import pgbouncer
from tests.servers.kafka import Broker
from tests.servers.pgbouncer import POOLED
from tests.servers.postgres import PostgresServer

from .invoices import parts
from .shop import Shop, excerpt_oracle, until

pytestmark = [
    pytest.mark.processes,
    pytest.mark.timeout(300),
    pytest.mark.skipif(not pgbouncer.is_there(), reason="this machine has no PgBouncer"),
]

VIEW = "com.countinghouse.catalog.ProductView.v1"
PLAIN = "SELECT countinghouse_emit('catalog-events', $1, $2)"


@pytest.fixture
def server(postgres_of: Callable[[int], PostgresServer]) -> PostgresServer:
    return postgres_of(POOLED)


@pytest.fixture
async def urls(server: PostgresServer) -> AsyncIterator[tuple[str, str]]:
    """Of two databases without any table: for commerce, and for the figures."""
    names = [await server.create_database() for _ in range(2)]
    yield server.url(names[0]), server.url(names[1])
    for name in names:
        await server.drop_database(name)


@contextmanager
def _shop(folder: Path, urls: tuple[str, str]) -> Iterator[Shop]:
    settings = {"COUNTINGHOUSE_COMMERCE_DB_URL": urls[0], "COUNTINGHOUSE_BACKOFFICE_DB_URL": urls[1]}
    one = Shop(folder, settings)
    try:
        yield one
    finally:
        one.close()
    assert one.complaints() == []


async def test_a_shop_of_two_of_each_process_is_migrated_sells_counts_and_rebuilds_exactly(
    tmp_path: Path, urls: tuple[str, str]
) -> None:
    (first, second) = parts(tmp_path, 2)
    with _shop(tmp_path / "shop", urls) as shop:
        shop.ok("migrate")
        shop.ok("migrate", "--check")
        (api, _, _) = shop.start_line()
        shop.start("relay", COUNTINGHOUSE_RELAY_NAME="second")
        shop.start("consumer", COUNTINGHOUSE_CONSUMER_NAME="second")
        shop.start("dashboard")
        await api.is_up()
        assert (await shop.send(first.file)).delivery.failed == 0
        await shop.counted_exactly(first.expected)
        rebuilding = asyncio.create_task(asyncio.to_thread(shop.run, "rebuild"))
        assert (await shop.send(second.file)).delivery.failed == 0
        rebuilt = await rebuilding
        assert rebuilt.returncode == 0, rebuilt.stderr
        status = await shop.counted_exactly(excerpt_oracle())
        assert status.completeness.generation == 2
        assert sum(one.duplicates for one in status.partitions) == 0
        await _emitted(shop, urls[0])


async def _emitted(shop: Shop, url: str) -> None:
    """Clients of somebody else's, each with one transaction an event."""

    async def emit(client: int) -> None:
        connection = await asyncpg.connect(url.replace("+asyncpg", ""), statement_cache_size=0)
        for number in range(5):
            event = json.loads(SAMPLES[VIEW]) | {"source": f"/client/{client}", "id": str(number)}
            async with connection.transaction():
                await connection.fetchval(PLAIN, event["data"]["product_id"], json.dumps(event))
        await connection.close()

    await asyncio.gather(*(emit(client) for client in range(6)))

    async def are_counted() -> bool:
        return sum(int(row["views"]) for row in shop.rows("--by", "product")) == 30

    await until(are_counted)


async def test_a_shop_on_files_is_moved_to_it_row_by_row(tmp_path: Path, urls: tuple[str, str], kafka: Broker) -> None:
    with _shop(tmp_path / "shop", urls) as shop:
        (there, shop.settings) = (shop.settings, {})
        (api, relay, consumer) = shop.start_line()
        await shop.send()
        await shop.counted_exactly()
        assert [one.stop() for one in (api, relay, consumer)] == [0, 0, 0]
        new = tmp_path / "new.env"
        moved = {**there, "COUNTINGHOUSE_LOG_URL": f"kafka://{kafka.address}/{uuid4().hex[:8]}."}
        new.write_text("\n".join(f"{name}={value}" for name, value in moved.items()))
        shop.ok("move", "--to", str(new))
        shop.settings = moved
        await shop.counted_exactly()
