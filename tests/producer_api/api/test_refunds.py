"""Refunds: never more than was paid, whatever comes together."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.servers.commerce import ShopDatabase

from .counter import Counterside, line, open_counter, pointers, problem


async def test_a_refund_of_a_paid_order_is_told(counter: Counterside) -> None:
    await counter.paid_order("536365", line("85123A", 6, 1530), at="2010-12-01T09:26:00+01:00")
    response = await counter.refund(
        line("85123A", 2, 500), refund_id="C1", order_id="536365", at="2011-01-05T10:00:00Z"
    )
    assert (response.status_code, response.headers["location"]) == (201, "/v1/refunds/C1")
    (event,) = counter.events("PaymentRefunded")
    assert event["time"] == "2011-01-05T10:00:00.000000Z"
    assert event["data"] == {
        "refund_id": "C1",
        "currency": "GBP",
        "lines": [line("85123A", 2, 500)],
        "order_id": "536365",
        "sold_at": "2010-12-01T08:26:00.000000Z",
    }
    assert response.json() == {
        "refund_id": "C1",
        "order_id": "536365",
        "currency": "GBP",
        "amount_minor": 500,
        "at": "2011-01-05T10:00:00Z",
        "event_id": event["id"],
    }
    assert (await counter.call("GET", "/v1/refunds/C1")).json() == response.json()
    assert (await counter.call("GET", "/v1/orders/536365")).json()["refunded_minor"] == 500


@pytest.mark.parametrize(
    ("at", "sold_at"),
    [("2011-01-05T10:00:00Z", "2011-01-05T10:04:59.000000Z"), ("2011-01-05T09:59:58Z", None)],
    ids=["two clocks", "before the sale"],
)
async def test_a_refund_that_came_before_its_sale_says_nothing_of_it_unless_clocks_may_differ_so_much(
    counter: Counterside, at: str, sold_at: str | None
) -> None:
    await counter.paid_order("536365", line("85123A"), at="2011-01-05T10:04:59Z")
    assert (await counter.refund(line("85123A"), order_id="536365", at=at)).status_code == 201
    (event,) = counter.events("PaymentRefunded")
    assert event["data"]["sold_at"] == sold_at


async def test_each_refund_of_orders_paid_at_once_says_when_its_own_was(counter: Counterside) -> None:
    times = {f"order-{day}": f"2011-01-0{day}T10:00:00.000000Z" for day in range(1, 5)}
    await asyncio.gather(*(counter.paid_order(order_id, line("85123A"), at=at) for order_id, at in times.items()))
    given = (counter.refund(line("85123A"), order_id=order_id) for order_id in times)
    assert {response.status_code for response in await asyncio.gather(*given)} == {201}
    told = counter.events("PaymentRefunded")
    assert {event["data"]["order_id"]: event["data"]["sold_at"] for event in told} == times


async def test_a_refund_of_an_unknown_order_needs_its_currency_and_no_listed_product(counter: Counterside) -> None:
    missing = problem(await counter.refund(line("GONE")), 422, "invalid-field")
    assert pointers(missing) == ["/currency"]
    response = await counter.refund(line("GONE", 10**6, 10**15), currency="GBP")
    assert (response.status_code, response.json()["order_id"]) == (201, None)


@pytest.mark.parametrize(("quantity", "amount_minor"), [(7, 1), (1, 1531), (7, 1531)])
async def test_no_more_units_and_no_more_money_go_back_than_came_in(
    counter: Counterside, quantity: int, amount_minor: int
) -> None:
    await counter.paid_order("536365", line("85123A", 6, 1530))
    refused = await counter.refund(line("85123A", quantity, amount_minor), order_id="536365")
    assert pointers(problem(refused, 409, "refund-exceeds-payment")) == ["/lines/0"]


async def test_the_bound_holds_over_several_refunds_and_several_lines(counter: Counterside) -> None:
    await counter.paid_order("536365", line("85123A", 3, 300), line("71053", 1, 100), line("85123A", 3, 300))
    assert (await counter.refund(line("85123A", 5, 300), order_id="536365")).status_code == 201
    two_lines = await counter.refund(
        line("71053", 1, 50), line("85123A", 1, 1), line("85123A", 1, 1), order_id="536365"
    )
    assert pointers(problem(two_lines, 409, "refund-exceeds-payment")) == ["/lines/1"]
    assert (await counter.refund(line("71053", 1, 100), line("85123A", 1, 300), order_id="536365")).status_code == 201
    problem(await counter.refund(line("85123A", 1, 0), order_id="536365"), 409, "refund-exceeds-payment")


async def test_what_was_not_in_the_order_can_not_go_back(counter: Counterside) -> None:
    await counter.paid_order("536365", line("85123A"))
    problem(await counter.refund(line("71053", 1, 0), order_id="536365"), 409, "refund-exceeds-payment")


async def test_only_a_paid_order_is_refunded(counter: Counterside) -> None:
    problem(await counter.refund(order_id="nope"), 404, "unknown-order")
    await counter.place_order("pending")
    problem(await counter.refund(order_id="pending"), 409, "order-not-paid")
    await counter.place_order("cancelled")
    await counter.pay("cancelled", "failed")
    problem(await counter.refund(order_id="cancelled"), 409, "order-not-paid")


async def test_a_refund_is_in_its_orders_currency(counter: Counterside) -> None:
    await counter.paid_order("536365")
    refused = await counter.refund(order_id="536365", currency="EUR")
    assert pointers(problem(refused, 422, "mixed-currencies")) == ["/currency"]


async def test_the_same_refund_again_is_answered_as_before(counter: Counterside) -> None:
    first = await counter.refund(refund_id="C1", currency="GBP", at="2011-01-05T10:00:00Z")
    again = await counter.refund(refund_id="C1", currency="GBP", at="2011-01-05T11:00:00+01:00")
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert again.headers["idempotent-replayed"] == "true"
    assert counter.kinds()["PaymentRefunded"] == 1


@pytest.mark.parametrize(
    "changes", [{"lines": [line("85123A", 5)]}, {"currency": "EUR"}, {"at": "2011-01-06T10:00:00Z"}, {"order_id": "1"}]
)
async def test_another_refund_under_the_same_id_is_refused(counter: Counterside, changes: dict[str, Any]) -> None:
    await counter.paid_order("1")
    body = {"refund_id": "C1", "lines": [line()], "currency": "GBP", "at": "2011-01-05T10:00:00Z"}
    await counter.call("POST", "/v1/refunds", body)
    problem(await counter.call("POST", "/v1/refunds", {**body, **changes}), 409, "refund-exists")


async def test_an_unknown_refund_is_not_found(counter: Counterside) -> None:
    problem(await counter.call("GET", "/v1/refunds/C1"), 404, "unknown-refund")


PRODUCTS = ("85123A", "71053")
LINES = st.lists(
    st.builds(line, st.sampled_from(PRODUCTS), st.integers(1, 4), st.integers(0, 400)), min_size=1, max_size=3
)


def shares(lines: Iterable[dict[str, Any]]) -> Counter[tuple[str, str]]:
    """(product, measure) → sum: the oracle's own arithmetic."""
    sums: Counter[tuple[str, str]] = Counter()
    for one in lines:
        for measure in ("quantity", "amount_minor"):
            sums[one["product_id"], measure] += one[measure]
    return sums


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=LINES, batches=st.lists(st.lists(LINES, min_size=1, max_size=6), max_size=4))
async def test_never_more_than_was_paid_goes_back_in_any_interleaving(
    database: ShopDatabase, order: list[dict[str, Any]], batches: list[list[list[dict[str, Any]]]]
) -> None:
    paid = shares(order)
    left = paid.copy()
    database.empty()
    async with open_counter(database) as counter:
        for product in PRODUCTS:
            await counter.list_product(product)
        await counter.paid_order("1", *order)
        for batch in batches:
            responses = await asyncio.gather(*(counter.refund(*lines, order_id="1") for lines in batch))
            refused = []
            for lines, response in zip(batch, responses, strict=True):
                assert response.status_code in (201, 409)
                if response.status_code == 201:
                    left.subtract(shares(lines))
                else:
                    refused.append(lines)
            assert min(left.values()) >= 0
            # What was refused didn't fit then and, as refunds only ever take, doesn't fit now.
            assert all(any(left[at] < wanted for at, wanted in shares(lines).items()) for lines in refused)
        told = [one for event in counter.events("PaymentRefunded") for one in event["data"]["lines"]]
        back = shares(told)
        assert {at: paid[at] - back[at] for at in paid} == dict(left)
        counter.check_books()
