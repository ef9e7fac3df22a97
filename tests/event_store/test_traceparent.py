"""An event may carry the trace context of its request; nothing of what is counted depends on it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from event_store.codec import Codec
from event_store.decoded_batch import decode_batch
from event_store.envelope import stamp
from event_store.events import Payload
from event_store.traceparent import MAX_TRACEPARENTS, sampled, well_formed

from .records import APPENDED_AT_US, AT, CODEC, GOOD, PAID, PAYLOADS, SOURCE, batch_of, stamped

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
UNSAMPLED = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"
NOTING = Codec(notes_traces=True)


def traced(sequence: int, traceparent: str | None = TRACE, payload: Payload = PAID) -> bytes:
    return stamp(CODEC.draft(payload, AT, traceparent=traceparent).payload, SOURCE, sequence)


@given(PAYLOADS)
def test_an_event_comes_back_with_its_trace_context(payload: Payload) -> None:
    envelope = CODEC.decode(traced(1, payload=payload), APPENDED_AT_US).envelope
    assert (envelope.traceparent, envelope.data) == (TRACE, payload)


def test_an_event_without_one_has_no_such_attribute() -> None:
    assert "traceparent" not in json.loads(CODEC.draft(PAID, AT).payload)
    assert CODEC.decode(GOOD).envelope.traceparent is None


def test_another_producers_spelling_of_an_event_keeps_its_trace_context() -> None:
    value = traced(1).replace(b"12:30:00.000000Z", b"12:30:00Z")
    assert CODEC.decode(value, APPENDED_AT_US).envelope.traceparent == TRACE


@pytest.mark.parametrize(
    "text",
    [
        "",
        "00-1-2-03",
        TRACE[:-1],
        TRACE + "0",
        TRACE.upper(),
        TRACE.replace("-", "_"),
        f"ff{TRACE[2:]}",
        f"00-{'0' * 32}-00f067aa0ba902b7-01",
        f"00-4bf92f3577b34da6a3ce929d0e0e4736-{'0' * 16}-01",
        f"{TRACE[:-2]}0g",
        f"{TRACE[:-2]}0٣",
        TRACE[:-1] + "\n",
    ],
)
def test_what_is_no_trace_context_is_dropped_and_the_event_is_not(text: str) -> None:
    assert well_formed(text) is None
    value = json.dumps({**json.loads(GOOD), "traceparent": text}).encode()
    assert CODEC.decode(value, APPENDED_AT_US) == CODEC.decode(GOOD, APPENDED_AT_US)


def test_a_trace_that_nobody_records_is_kept_and_not_linked_to() -> None:
    assert (well_formed(UNSAMPLED), sampled(UNSAMPLED)) == (UNSAMPLED, None)
    assert CODEC.decode(traced(1, UNSAMPLED)).envelope.traceparent == UNSAMPLED
    assert decode_batch(NOTING, batch_of([traced(1, UNSAMPLED)])).traceparents == []


@given(st.lists(st.sampled_from([None, TRACE, UNSAMPLED, "x" * 55]), min_size=1, max_size=12))
def test_a_batch_says_the_same_whether_its_traces_are_noted_or_not(contexts: list[str | None]) -> None:
    values = [traced(sequence, context) for sequence, context in enumerate(contexts, 1)]
    noted = decode_batch(NOTING, batch_of(values))
    unnoted = decode_batch(CODEC, batch_of(values))
    assert noted.traceparents == [context for context in contexts if context == TRACE]
    assert unnoted.traceparents == []
    assert {name: frame.rows() for name, frame in noted.facts.items()} == {
        name: frame.rows() for name, frame in unnoted.facts.items()
    }
    assert replace(noted, facts={}, traceparents=[]) == replace(unnoted, facts={})


def test_a_batch_with_a_malformed_record_names_the_traces_of_the_others() -> None:
    assert decode_batch(NOTING, batch_of([traced(1), b"no event", stamped(PAID, 3)])).traceparents == [TRACE]


def test_a_batch_names_so_many_traces_and_no_more() -> None:
    values = [traced(sequence) for sequence in range(1, 1200)]
    assert len(decode_batch(NOTING, batch_of(values)).traceparents) == MAX_TRACEPARENTS


def test_what_was_counted_before_leaves_the_trace_contexts_as_they_are() -> None:
    decoded = decode_batch(NOTING, batch_of([traced(1), traced(2)]))
    assert (len(decoded.without([0]).traceparents), decoded.without([0]).repeated) == (2, 1)
