"""The trace context of a request stands in the events that come of it."""

from __future__ import annotations

import asyncio

import pytest

from .counter import Counterside, line
from .test_intake import event, take_in

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
OTHER = "00-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-bbbbbbbbbbbbbbbb-01"


async def test_every_event_of_a_traced_request_carries_its_context(counter: Counterside) -> None:
    before = len(counter.events())
    for method, path, body in (
        ("PUT", "/v1/products/new", {"name": "Heart", "price_minor": 255, "currency": "GBP"}),
        ("POST", "/v1/products/85123A/views", {"visitor_id": "v"}),
        ("PUT", "/v1/products/85123A/likes/17850", None),
        ("POST", "/v1/orders", {"order_id": "1", "lines": [line()]}),
        ("POST", "/v1/orders/1/payments", {"outcome": "completed"}),
        ("POST", "/v1/refunds", {"order_id": "1", "lines": [line()]}),
        ("POST", "/v1/events", [event()]),
    ):
        assert (await counter.call(method, path, body, traceparent=TRACE)).status_code < 300, path
    told = counter.events()[before:]
    assert [one.get("traceparent") for one in told] == [TRACE] * 6


async def test_requests_that_share_a_transaction_keep_their_contexts_apart(counter: Counterside) -> None:
    path = "/v1/products/85123A/views"
    traced = [counter.call("POST", path, {"visitor_id": "v"}, traceparent=TRACE)]
    await asyncio.gather(*(counter.view() for _ in range(2)), *traced, counter.view())
    assert sorted(one.get("traceparent", "") for one in counter.events("ProductView")) == ["", "", "", TRACE]


@pytest.mark.parametrize("value", ["", "00-1-2-03", TRACE[:-1] + "0", TRACE + "-more", "caf\xe9", "0" * 5000])
async def test_a_context_that_is_malformed_or_not_sampled_is_dropped(counter: Counterside, value: str) -> None:
    response = await counter.call(
        "PUT",
        "/v1/products/new",
        {"name": "Heart", "price_minor": 255, "currency": "GBP"},
        traceparent=value.encode("latin-1"),  # type: ignore[arg-type]
    )
    assert response.status_code == 201
    assert "traceparent" not in counter.events()[-1]


async def test_an_event_handed_in_keeps_its_own_context_before_that_of_the_request(counter: Counterside) -> None:
    batch = [event("1", traceparent=OTHER), event("2"), event("3", traceparent="00-1-2-03"), event("4", traceparent=7)]
    response = await counter.call("POST", "/v1/events", batch, traceparent=TRACE)
    assert [one["status"] for one in response.json()["results"]] == ["accepted"] * 4
    assert [one["traceparent"] for one in counter.events("ProductView")] == [OTHER, TRACE, TRACE, TRACE]


async def test_a_request_without_a_context_makes_events_without_one(counter: Counterside) -> None:
    assert await take_in(counter, event()) == [("accepted", "")]
    assert "traceparent" not in counter.events()[-1]
