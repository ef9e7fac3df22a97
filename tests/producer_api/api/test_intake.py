"""The intake: each event of a batch is accepted, a duplicate, or refused with its reason."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from event_store.codec import Codec
from event_store.envelope import stamp
from event_store.events import EVENT_TYPES, RecordWithheld
from tests.samples import SAMPLES
from tests.servers.commerce import SQLITE

from .counter import Counterside, pointers, problem


def event(id_: str = "1", **changes: Any) -> dict[str, Any]:
    made = {
        "specversion": "1.0",
        "id": id_,
        "source": "/search",
        "type": "com.countinghouse.catalog.ProductView.v1",
        "time": "2011-01-05T10:00:00Z",
        "data": {"product_id": "not listed here", "visitor_id": "v", "currency": "GBP"},
        **changes,
    }
    return {name: value for name, value in made.items() if value is not ...}


async def take_in(counter: Counterside, *events: Any) -> list[tuple[str, str]]:
    """(status, reason) of each."""
    response = await counter.call("POST", "/v1/events", list(events))
    assert response.status_code == 200, response.text
    return [(result["status"], result.get("reason", "")) for result in response.json()["results"]]


async def test_an_accepted_event_goes_on_under_a_new_id_and_says_where_it_came_from(counter: Counterside) -> None:
    handed_in = event(sequence="x7", originid="forged", originsource="/forged", traceparent="00-1-2-01", subject="s")
    assert await take_in(counter, handed_in) == [("accepted", "")]
    (told,) = counter.events("ProductView")
    assert (told["originsource"], told["originid"]) == ("/search", "1")
    assert told["id"] != "1"
    assert told["data"] == handed_in["data"]
    assert told["time"] == "2011-01-05T10:00:00.000000Z"
    assert "sequence" not in told
    assert "source" not in told


async def test_every_type_of_event_is_taken_in_and_is_one_in_the_log(counter: Counterside) -> None:
    codec = Codec()
    for name, sample in SAMPLES.items():
        if RecordWithheld.__name__ not in name:
            assert await take_in(counter, {**json.loads(sample), "id": name[-60:]}) == [("accepted", "")], name
    for (payload,) in counter.rows("SELECT payload FROM outbox"):
        codec.decode(stamp(payload, "/shop", 1))
    assert len(counter.rows("SELECT * FROM accepted_events")) == len(EVENT_TYPES) - 1


async def test_an_event_is_a_duplicate_by_its_source_and_id(counter: Counterside) -> None:
    assert await take_in(counter, event("1"), event("2"), event("1"), event("1", source="/other")) == [
        ("accepted", ""),
        ("accepted", ""),
        ("duplicate", ""),
        ("accepted", ""),
    ]
    changed = event("1", data={"product_id": "another", "visitor_id": "v", "currency": "GBP"})
    assert await take_in(counter, changed, event("3")) == [("duplicate", ""), ("accepted", "")]
    assert len(counter.events("ProductView")) == 4


async def test_batches_that_come_together_take_each_event_in_once(counter: Counterside) -> None:
    batch = [event(str(number)) for number in range(20)]
    results = await asyncio.gather(*(take_in(counter, *batch) for _ in range(8)))
    assert [statuses.count(("accepted", "")) for statuses in zip(*results, strict=True)] == [1] * 20
    assert len(counter.events("ProductView")) == 20


AHEAD = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
VIEW = {"product_id": "p", "visitor_id": "v", "currency": "GBP"}
REFUSED: dict[str, tuple[Any, str]] = {
    "a number": (7, "NOT_A_CLOUDEVENT"),
    "null": (None, "NOT_A_CLOUDEVENT"),
    "an empty object": ({}, "NOT_A_CLOUDEVENT"),
    "an old specversion": (event(specversion="0.3"), "NOT_A_CLOUDEVENT"),
    "an unknown type": (event(type="com.example.Thing.v1"), "UNKNOWN_TYPE"),
    "an unknown version": (event(type="com.countinghouse.catalog.ProductView.v9"), "UNKNOWN_VERSION"),
    "no id": (event(id=...), "INVALID_EVENT"),
    "an empty id": (event(""), "INVALID_EVENT"),
    "a long id": (event("x" * 65), "INVALID_EVENT"),
    "no source": (event(source=...), "INVALID_EVENT"),
    "no time": (event(time=...), "INVALID_EVENT"),
    "a time that is none": (event(time="tomorrow"), "INVALID_EVENT"),
    "a naive time": (event(time="2011-01-05T10:00:00"), "INVALID_EVENT"),
    "a time before all events": (event(time="1999-01-05T10:00:00Z"), "ANCIENT_TIME"),
    "a time ahead of the clock": (event(time=AHEAD), "FUTURE_TIME"),
    "a wrong field": (event(data={**VIEW, "visitor_id": 5}), "INVALID_EVENT"),
    "a missing field": (event(data={"product_id": "p"}), "INVALID_EVENT"),
    "NUL in an id": (event(data={**VIEW, "product_id": "a\0b"}), "INVALID_EVENT"),
    "a relay's own event": (
        event(
            type="com.countinghouse.lane.RecordWithheld.v1",
            data={"event_id": "1", "event_type": "x", "reason": "y"},
        ),
        "NOT_ACCEPTED",
    ),
    "an event too large": (
        event(
            type="com.countinghouse.orders.PaymentRefunded.v1",
            data={
                "refund_id": "r",
                "currency": "GBP",
                "lines": [{"product_id": "\N{SNOWMAN}" * 64, "quantity": 1, "amount_minor": 1}] * 1200,
            },
        ),
        "TOO_LARGE",
    ),
}


@pytest.mark.parametrize("database", [SQLITE], indirect=True)
@pytest.mark.parametrize("kind", REFUSED)
async def test_a_refused_event_says_why_and_does_not_hurt_its_neighbours(counter: Counterside, kind: str) -> None:
    (bad, reason) = REFUSED[kind]
    raw = json.dumps([event("1"), bad, event("2")], ensure_ascii=False).encode()
    response = await counter.call("POST", "/v1/events", raw=raw)
    results = response.json()["results"]
    assert [result["status"] for result in results] == ["accepted", "refused", "accepted"]
    assert results[1]["reason"] == reason
    assert results[1]["detail"]
    assert len(counter.events("ProductView")) == 2


async def test_a_key_that_stands_twice_in_an_event_refuses_it_alone(counter: Counterside) -> None:
    twice = json.dumps(event("1")).replace('"visitor_id"', '"visitor_id": "w", "visitor_id"')
    raw = f"[{twice}, {json.dumps(event('2'))}]".encode()
    results = (await counter.call("POST", "/v1/events", raw=raw)).json()["results"]
    assert [result["status"] for result in results] == ["refused", "accepted"]
    assert "/data/visitor_id" in results[0]["detail"]


async def test_results_come_in_order_with_the_ids_that_were_given(counter: Counterside) -> None:
    batch = [event("b"), event("a", type="x"), {"id": 5, "source": "/s"}, event("c")]
    results = (await counter.call("POST", "/v1/events", batch)).json()["results"]
    assert [(result["id"], result["source"]) for result in results] == [
        ("b", "/search"),
        ("a", "/search"),
        (None, "/s"),
        ("c", "/search"),
    ]


@pytest.mark.parametrize("database", [SQLITE], indirect=True)
async def test_a_batch_that_can_not_be_read_takes_nothing_in(counter: Counterside) -> None:
    good = json.dumps(event()).encode()
    problem(await counter.call("POST", "/v1/events", raw=b"[" + good), 400, "malformed-json")
    problem(await counter.call("POST", "/v1/events", raw=b"[" + good + b",NaN]"), 400, "malformed-json")
    problem(await counter.call("POST", "/v1/events", raw=b"[" + good + b",{}," + b"[" * 100_000), 400, "malformed-json")
    problem(await counter.call("POST", "/v1/events", raw=good), 422, "invalid-field")
    too_many = problem(await counter.call("POST", "/v1/events", [event()] * 501), 422, "invalid-field")
    assert pointers(too_many) == [""]
    assert counter.events("ProductView") == []


async def test_the_media_type_of_batches_and_the_empty_batch_are_taken(counter: Counterside) -> None:
    media_type = "application/cloudevents-batch+json; charset=utf-8"
    response = await counter.call("POST", "/v1/events", raw=b"[]", content_type=media_type)
    assert (response.status_code, response.json()) == (200, {"results": []})
    assert len(await take_in(counter, *[event(str(number)) for number in range(500)])) == 500
