"""The line with its figures in a real PostgreSQL, whose connections are cut under it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from .shop import Shop, excerpt_oracle, until

pytestmark = [pytest.mark.processes, pytest.mark.timeout(300)]

CUT_ALL = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


@pytest.fixture
def shop(tmp_path: Path, postgres_url: str) -> Iterator[Shop]:
    one = Shop(tmp_path / "over-postgres", {"COUNTINGHOUSE_BACKOFFICE_DB_URL": postgres_url})
    yield one
    one.close()
    assert one.complaints() == []


async def test_a_shop_counts_and_rebuilds_with_its_figures_in_postgresql(shop: Shop) -> None:
    (_, _, consumer) = shop.start_line()
    sending = asyncio.create_task(shop.send())
    await asyncio.sleep(1)
    consumer.kill()
    shop.start("consumer")
    assert (await sending).delivery.failed == 0
    await shop.counted_exactly(excerpt_oracle())
    shop.ok("rebuild")
    after = await shop.counted_exactly(excerpt_oracle())
    assert after.completeness.generation == 2


async def test_connections_cut_while_it_counts_cost_no_figure(shop: Shop, postgres_url: str) -> None:
    (_, _, consumer) = shop.start_line()
    await consumer.is_up()
    connection = await asyncpg.connect(postgres_url.replace("+asyncpg", ""))
    sending = asyncio.create_task(shop.send())
    cut = 0
    while not sending.done():
        await asyncio.sleep(0.1)
        cut += await connection.fetchval(CUT_ALL)
    assert (await sending).delivery.failed == 0
    await shop.counted_exactly(excerpt_oracle())
    assert cut >= 5
    assert consumer.is_alive
    await connection.close()


async def test_a_rebuild_that_is_cancelled_over_postgresql_holds_up_nobody(shop: Shop) -> None:
    shop.settings = {**shop.settings, "COUNTINGHOUSE_LEASE_TTL_S": "120"}
    shop.start_line()
    await shop.send()
    await shop.counted_exactly(excerpt_oracle())
    slow = shop.start("rebuild", "--records-per-s", "1")

    async def has_counted() -> bool:
        return any(one.counted_ratio for one in (await shop.status()).generations)

    await until(has_counted, slow)
    assert slow.stop() == 1
    assert "It was cancelled: nothing was switched" in slow.said
    assert [one.state for one in (await shop.status()).generations] == ["serving", "abandoned"]
    shop.ok("rebuild")
    assert (await shop.counted_exactly(excerpt_oracle())).completeness.generation == 3
