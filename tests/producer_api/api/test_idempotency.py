"""Idempotency keys: the same call gets the same answer and happens once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.servers.commerce import SQLITE, ShopDatabase

from .counter import Counterside, line, open_counter, pointers, problem

EVENT = {
    "specversion": "1.0",
    "id": "1",
    "source": "/search",
    "type": "com.countinghouse.catalog.ProductView.v1",
    "time": "2011-01-05T10:00:00Z",
    "data": {"product_id": "85123A", "visitor_id": "v", "currency": "GBP"},
}
POSTS: list[tuple[str, Any]] = [
    ("/v1/products/85123A/views", {"visitor_id": "v"}),
    ("/v1/orders", {"lines": [line()]}),
    ("/v1/orders/pending/payments", {"outcome": "completed"}),
    ("/v1/refunds", {"lines": [line()], "currency": "GBP"}),
    ("/v1/events", [EVENT]),
]


@pytest.mark.parametrize(("path", "body"), POSTS)
async def test_the_same_key_and_body_get_the_same_answer_and_no_second_effect(
    counter: Counterside, path: str, body: Any
) -> None:
    await counter.place_order("pending")
    first = await counter.call("POST", path, body, key="key-1")
    told = counter.events()
    again = await counter.call("POST", path, body, key="key-1")
    assert first.status_code < 300
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert again.headers.get("location") == first.headers.get("location")
    assert ("idempotent-replayed" in first.headers, again.headers["idempotent-replayed"]) == (False, "true")
    assert counter.events() == told


@pytest.mark.parametrize(("path", "body"), POSTS)
async def test_the_same_key_with_another_body_is_refused(counter: Counterside, path: str, body: Any) -> None:
    await counter.place_order("pending")
    await counter.call("POST", path, body, key="key-1")
    told = counter.events()
    spaced = counter.call("POST", path, raw=b" " + str(body).replace("'", '"').encode(), key="key-1")
    problem(await spaced, 422, "idempotency-key-reused")
    assert counter.events() == told


@pytest.mark.parametrize(("path", "body"), POSTS)
async def test_the_same_call_many_times_at_once_happens_once(counter: Counterside, path: str, body: Any) -> None:
    await counter.place_order("pending")
    before = len(counter.events()) + len(counter.rows("SELECT * FROM orders"))
    responses = await asyncio.gather(*(counter.call("POST", path, body, key="key-1") for _ in range(20)))
    assert len({(response.status_code, response.content) for response in responses}) == 1
    assert len(counter.events()) + len(counter.rows("SELECT * FROM orders")) == before + 1


async def test_different_bodies_at_once_with_one_key_have_one_effect(counter: Counterside) -> None:
    calls = [
        counter.call("POST", "/v1/refunds", {"lines": [line("X", n)], "currency": "GBP"}, key="key-1")
        for n in range(1, 11)
    ]
    responses = await asyncio.gather(*calls)
    assert sorted(response.status_code for response in responses) == [201] + [422] * 9
    assert counter.kinds()["PaymentRefunded"] == 1


async def test_one_key_may_be_used_once_for_each_address(counter: Counterside) -> None:
    order = await counter.call("POST", "/v1/orders", {"order_id": "536365", "lines": [line()]}, key="536365")
    payment = await counter.call("POST", "/v1/orders/536365/payments", {"outcome": "completed"}, key="536365")
    assert (order.status_code, payment.status_code) == (201, 201)


async def test_a_refusal_that_was_decided_is_kept_too(counter: Counterside) -> None:
    body = {"order_id": "536365", "lines": [line("NEW")]}
    first = problem(await counter.call("POST", "/v1/orders", body, key="key-1"), 422, "unknown-product-in-line")
    await counter.list_product("NEW")
    response = await counter.call("POST", "/v1/orders", body, key="key-1")
    again = problem(response, 422, "unknown-product-in-line")
    assert response.headers["idempotent-replayed"] == "true"
    assert {**again, "instance": ""} == {**first, "instance": ""}
    assert (await counter.call("POST", "/v1/orders", body, key="key-2")).status_code == 201


async def test_a_body_that_can_not_be_read_leaves_its_key_free(counter: Counterside) -> None:
    path = "/v1/products/85123A/views"
    problem(await counter.call("POST", path, raw=b"{", key="key-1"), 400, "malformed-json")
    problem(await counter.call("POST", path, {"visitor_id": ""}, key="key-1"), 422, "invalid-field")
    assert (await counter.call("POST", path, {"visitor_id": "v"}, key="key-1")).status_code == 202


@pytest.mark.parametrize("database", [SQLITE], indirect=True)
@pytest.mark.parametrize("key", ["", "a b", "x" * 256, "\x7f", "é"])
async def test_a_key_that_can_not_be_one_is_refused(counter: Counterside, key: str) -> None:
    headers = [(b"idempotency-key", key.encode("latin-1")), (b"content-type", b"application/json")]
    response = await counter.client.post("/v1/refunds", content=b'{"lines":[]}', headers=headers)
    assert response.status_code in (400, 422)
    response = await counter.client.post("/v1/products/85123A/views", content=b'{"visitor_id":"v"}', headers=headers)
    assert pointers(problem(response, 400, "invalid-idempotency-key")) == ["Idempotency-Key"]


@pytest.mark.parametrize("database", [SQLITE], indirect=True)
async def test_two_keys_on_one_call_are_refused(counter: Counterside) -> None:
    headers = [("idempotency-key", "a"), ("idempotency-key", "b"), ("content-type", "application/json")]
    response = await counter.client.post("/v1/products/85123A/views", content=b'{"visitor_id":"v"}', headers=headers)
    problem(response, 400, "invalid-idempotency-key")


async def test_a_key_of_255_visible_characters_is_taken(counter: Counterside) -> None:
    key = "".join(chr(code) for code in range(0x21, 0x7F)).ljust(255, "~")
    first = await counter.call("POST", "/v1/products/85123A/views", {"visitor_id": "v"}, key=key)
    again = await counter.call("POST", "/v1/products/85123A/views", {"visitor_id": "v"}, key=key)
    assert first.json() == again.json()


async def test_answers_are_forgotten_in_bounded_steps_when_their_time_has_come(counter: Counterside) -> None:
    for number in range(7):
        await counter.call("POST", "/v1/products/85123A/views", {"visitor_id": "v"}, key=f"key-{number}")
    assert await counter.commerce.forget_answers(keep_s=3600.0) == 0
    assert await counter.commerce.forget_answers(keep_s=0.0, most=5) == 5
    assert counter.rows("SELECT key FROM kept_answers ORDER BY key") == [("key-5",), ("key-6",)]
    again = await counter.call("POST", "/v1/products/85123A/views", {"visitor_id": "v"}, key="key-0")
    assert "idempotent-replayed" not in again.headers


async def test_the_api_forgets_by_itself_what_is_old_when_it_starts(database: ShopDatabase) -> None:
    async with open_counter(database) as counter:
        await counter.call("POST", "/v1/refunds", {"lines": [line()], "currency": "GBP"}, key="key-1")
    async with open_counter(database, keep_answers_s=0.0) as counter:
        for _ in range(200):
            if not counter.rows("SELECT * FROM kept_answers"):
                break
            await asyncio.sleep(0.01)
        assert counter.rows("SELECT * FROM kept_answers") == []


async def test_a_key_is_kept_over_a_restart(database: ShopDatabase) -> None:
    body = {"lines": [line()], "currency": "GBP"}
    async with open_counter(database) as counter:
        first = await counter.call("POST", "/v1/refunds", body, key="key-1")
    async with open_counter(database) as counter:
        again = await counter.call("POST", "/v1/refunds", body, key="key-1")
        assert again.content == first.content
        assert counter.kinds() == {"PaymentRefunded": 1}
