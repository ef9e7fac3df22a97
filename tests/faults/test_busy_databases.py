"""Another program writes to a database for longer than anybody waits: nothing is lost, nothing is given up."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from .invoices import parts
from .shop import Shop, until

pytestmark = [pytest.mark.processes, pytest.mark.timeout(240)]

HELD_S = 15.0
"""Longer than a transaction waits for its turn, so that it is refused at least once."""


async def test_while_commerce_is_locked_the_api_says_when_to_come_back_and_goes_on_after_it(shop: Shop) -> None:
    (first, second) = parts(shop.folder, 2)
    (api, relay, consumer) = shop.start_line()
    await shop.send(first.file)
    await shop.counted_exactly(first.expected)
    with shop.locked(shop.commerce_db):
        sending = asyncio.create_task(shop.send(second.file))
        asked = asyncio.create_task(_list_product(shop))
        await asyncio.sleep(HELD_S)
        assert not sending.done()
        assert shop.ok("status").startswith("Complete up to")
        refused = await asked
    assert (refused.status_code, int(refused.headers["retry-after"]) > 0) == (503, True)
    assert refused.headers["content-type"] == "application/problem+json"
    assert (await _list_product(shop)).is_success
    assert (await sending).delivery.failed == 0
    await shop.counted_exactly(second.expected)
    assert all(one.is_alive for one in (api, relay, consumer))


async def test_while_log_and_figures_are_locked_everything_is_accepted_and_counted_after_it(shop: Shop) -> None:
    (first, second) = parts(shop.folder, 2)
    (api, relay, consumer) = shop.start_line()
    await shop.send(first.file)
    await shop.counted_exactly(first.expected)
    with shop.locked(shop.backoffice_db):
        half = parts(shop.folder, 4)[2]
        await shop.send(half.file)
        await until(lambda: "locked" in consumer.said, consumer)
        with shop.locked(shop.log_db):
            assert (await shop.send(second.file)).delivery.failed == 0
            await until(lambda: "locked" in relay.said, relay)
            shown = shop.ok("status")
            assert "events on their way" in shown
            assert await shop.figures() == first.expected
    await shop.counted_exactly(second.expected)
    assert all(one.is_alive for one in (api, relay, consumer))


async def _list_product(shop: Shop) -> httpx.Response:
    async with httpx.AsyncClient(base_url=shop.api_url, timeout=60) as client:
        return await client.put("/v1/products/21754", json={"name": "Home", "price_minor": 595, "currency": "GBP"})
