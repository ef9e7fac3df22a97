"""Orders and their payments."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.servers.commerce import EVERY

from .counter import Counterside, line, pointers, problem

DATABASES = EVERY


async def test_an_order_is_pending_until_it_is_paid(counter: Counterside) -> None:
    placed = await counter.place_order("536365", line("85123A"), line("71053", 6, 2034), buyer_id="17850")
    assert (placed.status_code, placed.headers["location"]) == (201, "/v1/orders/536365")
    assert placed.json() == {"order_id": "536365", "status": "pending", "currency": "GBP", "amount_minor": 3564}
    order = (await counter.call("GET", "/v1/orders/536365")).json()
    assert order.pop("placed_at").endswith("Z")
    assert order == {
        "order_id": "536365",
        "status": "pending",
        "currency": "GBP",
        "amount_minor": 3564,
        "refunded_minor": 0,
        "buyer_id": "17850",
        "payment": None,
        "lines": [line("85123A"), line("71053", 6, 2034)],
    }
    assert counter.kinds() == {"ProductListed": 2}


async def test_a_completed_payment_tells_every_line_and_settles_the_order(counter: Counterside) -> None:
    await counter.place_order("536365", line("85123A"), line("85123A", 1, 255), buyer_id="17850")
    paid = await counter.pay("536365", payment_id="p-1", at="2010-12-01T08:26:00Z")
    assert paid.status_code == 201
    (event,) = counter.events("PaymentCompleted")
    assert paid.json() == {
        "payment_id": "p-1",
        "order_id": "536365",
        "outcome": "completed",
        "order_status": "paid",
        "currency": "GBP",
        "amount_minor": 1785,
        "at": "2010-12-01T08:26:00Z",
        "event_id": event["id"],
    }
    assert event["time"] == "2010-12-01T08:26:00.000000Z"
    assert event["data"] == {
        "order_id": "536365",
        "payment_id": "p-1",
        "currency": "GBP",
        "lines": [line("85123A"), line("85123A", 1, 255)],
        "buyer_id": "17850",
    }
    order = (await counter.call("GET", "/v1/orders/536365")).json()
    assert (order["status"], order["payment"]) == (
        "paid",
        {"payment_id": "p-1", "outcome": "completed", "at": "2010-12-01T08:26:00Z"},
    )


async def test_a_failed_payment_cancels_the_order(counter: Counterside) -> None:
    await counter.place_order("536365")
    failed = await counter.pay("536365", "failed")
    assert (failed.status_code, failed.json()["order_status"]) == (201, "cancelled")
    assert (await counter.call("GET", "/v1/orders/536365")).json()["status"] == "cancelled"
    assert [event["data"]["order_id"] for event in counter.events("PaymentFailed")] == ["536365"]


@pytest.mark.parametrize("first", ["completed", "failed"])
@pytest.mark.parametrize("second", ["completed", "failed"])
async def test_a_settled_order_takes_no_other_payment(counter: Counterside, first: str, second: str) -> None:
    await counter.place_order("536365")
    await counter.pay("536365", first)
    problem(await counter.pay("536365", second), 409, "order-settled")
    problem(await counter.pay("536365", second, payment_id="other"), 409, "order-settled")


async def test_the_same_payment_again_is_answered_as_before(counter: Counterside) -> None:
    await counter.place_order("536365")
    first = await counter.pay("536365", payment_id="p-1")
    again = await counter.pay("536365", payment_id="p-1")
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert again.headers["idempotent-replayed"] == "true"
    assert counter.kinds()["PaymentCompleted"] == 1


async def test_a_payment_id_stands_for_one_payment(counter: Counterside) -> None:
    await counter.place_order("1")
    await counter.place_order("2")
    await counter.pay("1", payment_id="p-1")
    problem(await counter.pay("1", "failed", payment_id="p-1"), 409, "payment-exists")
    problem(await counter.pay("2", payment_id="p-1"), 409, "payment-exists")


async def test_of_payments_that_come_together_one_settles_the_order(counter: Counterside) -> None:
    await counter.place_order("536365")
    outcomes = ["completed", "failed"] * 10
    responses = await asyncio.gather(*(counter.pay("536365", outcome) for outcome in outcomes))
    assert sorted(response.status_code for response in responses) == [201] + [409] * 19


async def test_an_order_that_was_not_placed_can_not_be_paid_or_read(counter: Counterside) -> None:
    problem(await counter.pay("536365"), 404, "unknown-order")
    problem(await counter.call("GET", "/v1/orders/536365"), 404, "unknown-order")


async def test_an_order_gets_an_id_where_it_names_none(counter: Counterside) -> None:
    first = await counter.call("POST", "/v1/orders", {"lines": [line()]})
    second = await counter.call("POST", "/v1/orders", {"lines": [line()]})
    assert first.json()["order_id"] != second.json()["order_id"]
    assert (await counter.call("GET", first.headers["location"])).json()["order_id"] == first.json()["order_id"]


async def test_the_same_order_again_is_answered_as_it_stands(counter: Counterside) -> None:
    await counter.place_order("536365", currency="GBP")
    again = await counter.place_order("536365")
    assert (again.status_code, again.json()["status"]) == (201, "pending")
    await counter.pay("536365")
    again = await counter.place_order("536365")
    assert (again.status_code, again.json()["status"]) == (201, "paid")
    assert again.headers["idempotent-replayed"] == "true"


@pytest.mark.parametrize(
    "changes", [{"lines": [line("85123A", 7)]}, {"lines": [line(), line()]}, {"buyer_id": "x"}, {"currency": "EUR"}]
)
async def test_another_order_under_the_same_id_is_refused(counter: Counterside, changes: dict[str, Any]) -> None:
    await counter.place_order("536365")
    body = {"order_id": "536365", "lines": [line()], **changes}
    problem(await counter.call("POST", "/v1/orders", body), 409, "order-exists")


async def test_a_line_of_an_unlisted_product_is_named(counter: Counterside) -> None:
    response = await counter.place_order("536365", line(), line("nope"), line("71053"), line("neither"))
    body = problem(response, 422, "unknown-product-in-line")
    assert pointers(body) == ["/lines/1/product_id", "/lines/3/product_id"]
    assert counter.rows("SELECT * FROM orders") == []


async def test_an_order_is_of_one_currency(counter: Counterside) -> None:
    await counter.list_product("EURO", currency="EUR")
    mixed = await counter.place_order("1", line(), line("EURO"))
    assert pointers(problem(mixed, 422, "mixed-currencies")) == ["/lines/1/product_id"]
    other = await counter.place_order("2", line(), currency="EUR")
    assert pointers(problem(other, 422, "mixed-currencies")) == ["/lines/0/product_id"]
    assert (await counter.place_order("3", line("EURO"))).json()["currency"] == "EUR"


async def test_the_largest_order_can_be_paid_and_a_larger_one_is_not_taken(counter: Counterside) -> None:
    name = "\N{SNOWMAN}" * 64
    await counter.list_product(name)
    (most, too_many) = (970, 1100)
    taken = await counter.place_order("most", *[line(name, 10**6, 10**15)] * most)
    assert taken.status_code == 201
    assert (await counter.pay("most", payment_id=name)).json()["amount_minor"] == most * 10**15
    problem(await counter.place_order("more", *[line(name)] * too_many), 422, "too-large-to-record")
    many = await counter.place_order("many", *[line("85123A", 1, 1)] * 2001)
    assert pointers(problem(many, 422, "invalid-field")) == ["/lines"]
