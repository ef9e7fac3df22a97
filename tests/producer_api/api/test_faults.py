"""Faults: a database that is locked or full, calls that are cut off, and a burst. Nothing is half done or forgotten."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any

import httpx
import pytest

from tests.servers.commerce import ShopDatabase

from .counter import Counterside, line, problem

Call = Callable[[Counterside, str], Coroutine[Any, Any, httpx.Response]]

CALLS: dict[str, Call] = {
    "product": lambda counter, tag: counter.list_product(tag),
    "view": lambda counter, tag: counter.view(visitor_id=tag),
    "view with a key": lambda counter, tag: counter.call(
        "POST", "/v1/products/85123A/views", {"visitor_id": tag}, key=tag
    ),
    "like": lambda counter, tag: counter.call("PUT", f"/v1/products/85123A/likes/{tag}"),
    "order": lambda counter, tag: counter.place_order(tag),
    "payment": lambda counter, tag: counter.pay("paid later", payment_id=tag),
    "refund": lambda counter, tag: counter.refund(refund_id=tag, currency="GBP"),
}


@pytest.fixture(autouse=True)
def impatient(database: ShopDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    database.lose_patience(monkeypatch)


@pytest.mark.parametrize("name", CALLS)
async def test_a_locked_database_is_told_and_work_goes_on_when_it_is_free(counter: Counterside, name: str) -> None:
    await counter.place_order("paid later")
    before = counter.events()
    with counter.database.locked():
        responses = await asyncio.gather(*(CALLS[name](counter, "t") for _ in range(3)))
        for response in responses:
            problem(response, 503, "storage-unavailable")
            assert int(response.headers["retry-after"]) >= 1
    assert counter.events() == before
    assert (await CALLS[name](counter, "t")).is_success
    assert len(counter.events()) == len(before) + (name != "order")


async def test_reading_goes_on_while_the_database_is_locked(counter: Counterside) -> None:
    with counter.database.locked():
        assert (await counter.call("GET", "/v1/products/85123A")).status_code == 200
        assert (await counter.call("GET", "/livez")).status_code == 200
        assert (await counter.call("GET", "/readyz")).status_code == 503
    assert (await counter.call("GET", "/readyz")).status_code == 200


async def test_a_database_that_is_damaged_is_no_fault_of_the_callers(counter: Counterside) -> None:
    counter.database.execute("ALTER TABLE refunds RENAME TO away")
    problem(await counter.refund(currency="GBP"), 503, "storage-unavailable")
    assert (await counter.view()).status_code == 202
    counter.database.execute("ALTER TABLE away RENAME TO refunds")
    assert (await counter.refund(currency="GBP")).status_code == 201


@pytest.mark.parametrize("name", CALLS)
async def test_a_call_cut_off_at_any_moment_is_done_whole_or_not_at_all(counter: Counterside, name: str) -> None:
    await counter.place_order("paid later")
    finished = 0
    for steps in range(60):
        task = asyncio.create_task(CALLS[name](counter, f"t{steps}"))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            response = await task
            finished += 1
            assert response.status_code in (200, 201, 202, 409)
        counter.check_books()
    assert (await counter.view()).status_code == 202
    repeated = await CALLS[name](counter, "t1")
    assert repeated.is_success or name == "payment"


async def test_a_key_whose_call_was_cut_off_answers_the_repeat_with_one_effect(counter: Counterside) -> None:
    for steps in range(0, 60, 3):
        body = {"lines": [line()], "currency": "GBP", "refund_id": f"C{steps}"}
        task = asyncio.create_task(counter.call("POST", "/v1/refunds", body, key=f"key-{steps}"))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        repeat = await counter.call("POST", "/v1/refunds", body, key=f"key-{steps}")
        assert repeat.status_code == 201
    assert counter.kinds()["PaymentRefunded"] == 20
    counter.check_books()


async def test_a_burst_of_everything_is_answered_and_recorded_to_the_last(counter: Counterside) -> None:
    await counter.place_order("paid later")
    calls = [
        call(counter, f"{name.replace(' ', '-')}-{number}") for number in range(15) for name, call in CALLS.items()
    ]
    responses = await asyncio.gather(*calls)
    refused = [response for response in responses if not response.is_success]
    assert [response.status_code for response in refused] == [409] * 14
    assert counter.kinds() == {
        "ProductListed": 2 + 15,
        "ProductView": 30,
        "LikeChanged": 15,
        "PaymentCompleted": 1,
        "PaymentRefunded": 15,
    }
