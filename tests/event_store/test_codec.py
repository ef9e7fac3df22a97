"""A record is one of our events in every bound, or it says why not; nothing else can come of decoding it."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from event_store.codec import Codec
from event_store.envelope import format_time, parse_time
from event_store.errors import UndecodableRecord
from event_store.events import EVENT_TYPES, Line, Payload, PaymentCompleted, ProductView
from event_store.record import MAX_RECORD_BYTES

from .records import (
    APPENDED_AT_US,
    AT,
    AT_TEXT,
    BAD,
    CODEC,
    GOOD,
    PAID,
    PAYLOADS,
    READ_OVER,
    SOURCE,
    TIMES,
    foreign,
    stamped,
    swapped,
)

VALIDATOR = Draft202012Validator(json.loads(msgspec.json.encode(CODEC.schema())))


def refusal(value: bytes | None, codec: Codec = CODEC) -> UndecodableRecord:
    with pytest.raises(UndecodableRecord) as refused:
        codec.decode(value, APPENDED_AT_US)
    return refused.value


def outcome(value: bytes) -> str:
    """DECODED, or the reason for which the record is refused."""
    try:
        CODEC.decode(value, APPENDED_AT_US)
    except UndecodableRecord as refused:
        return refused.reason
    return "DECODED"


@given(PAYLOADS, TIMES, st.integers(1, 10**16 - 1))
def test_an_event_comes_back_as_it_was_recorded(payload: Payload, at: datetime, sequence: int) -> None:
    decoded = CODEC.decode(stamped(payload, sequence, at=at), APPENDED_AT_US)
    assert decoded.event_type.payload is type(payload)
    assert decoded.envelope.data == payload
    assert parse_time(decoded.envelope.time) == at
    assert (decoded.envelope.source, int(decoded.envelope.sequence or 0)) == (SOURCE, sequence)


@given(PAYLOADS)
def test_an_event_of_another_producer_has_no_sequence(payload: Payload) -> None:
    envelope = CODEC.decode(foreign(payload), APPENDED_AT_US).envelope
    assert (envelope.source, envelope.sequence, envelope.data) == ("/till/7", None, payload)


@pytest.mark.parametrize(("spoil", "reason"), BAD.values(), ids=BAD)
def test_a_malformed_record_is_refused_with_its_reason(spoil: Callable[[bytes], bytes | None], reason: str) -> None:
    refused = refusal(spoil(GOOD))
    assert refused.reason == reason
    assert 0 < len(refused.detail) <= 600


@pytest.mark.parametrize("respell", READ_OVER.values(), ids=READ_OVER)
def test_what_a_newer_writer_adds_and_how_it_spells_is_read_over(respell: Callable[[bytes], bytes]) -> None:
    assert CODEC.decode(respell(GOOD), APPENDED_AT_US) == CODEC.decode(GOOD, APPENDED_AT_US)


@given(st.binary(max_size=300))
def test_bytes_that_are_no_event_are_refused_and_nothing_else(value: bytes) -> None:
    refusal(value)


@given(st.integers(0, len(GOOD)), st.integers(0, 6), st.binary(max_size=6))
def test_a_damaged_event_is_decoded_or_refused_and_nothing_else(at: int, gone: int, put: bytes) -> None:
    value = GOOD[:at] + put + GOOD[at + gone :]
    CODEC.place_in_lane(value)
    CODEC.id_of(value)
    assert outcome(value).isupper()


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@given(st.sampled_from(sorted(json.loads(GOOD))), JSON_VALUES)
def test_any_value_in_any_field_is_decoded_or_refused_and_nothing_else(name: str, value: object) -> None:
    text = json.dumps({**json.loads(GOOD), name: value}).encode()
    CODEC.place_in_lane(text)
    assert outcome(text).isupper()


@pytest.mark.parametrize(
    "text",
    [
        "2011-03-04T12:30:00Z",
        "2011-03-04T12:30:00z",
        "2011-03-04t12:30:00z",
        "2011-03-04T12:30:00.000000z",
        "2011-03-04t12:30:00.000000Z",
        "2011-03-04T13:30:00+01:00",
        "2011-03-04T13:30:00.0+01:00",
        "2011-03-04T07:00:00.000-05:30",
        "2011-03-04T12:30:00-00:00",
        "2011-03-04T12:30:00.000000000Z",
        "2011-03-05T02:29:60.000+14:00".replace(":29:60", ":30:00"),
    ],
)
def test_any_rfc_3339_spelling_of_a_time_is_the_same_instant(text: str) -> None:
    decoded = CODEC.decode(swapped(AT_TEXT, text.encode())(GOOD), APPENDED_AT_US)
    assert decoded == CODEC.decode(GOOD, APPENDED_AT_US)


@given(TIMES, st.integers(-23 * 60, 23 * 60), st.integers(0, 9), st.booleans())
def test_an_offset_and_a_fraction_change_the_spelling_and_not_the_instant(
    at: datetime, offset_min: int, digits: int, lower: bool
) -> None:
    local = (at + timedelta(minutes=offset_min)).replace(tzinfo=None)
    (hours, minutes) = divmod(abs(offset_min), 60)
    fraction = f"{local.microsecond:06}000"[:digits]
    zone = f"{'-' if offset_min < 0 else '+'}{hours:02}:{minutes:02}"
    text = f"{local:%Y-%m-%dT%H:%M:%S}{'.' * bool(digits)}{fraction}{zone}"
    kept_us = int(fraction[:6].ljust(6, "0"))
    value = swapped(AT_TEXT, (text.lower() if lower else text).encode())(GOOD)
    decoded = CODEC.decode(value, APPENDED_AT_US)
    assert parse_time(decoded.envelope.time) == at.replace(microsecond=kept_us)
    assert len(decoded.envelope.time) == 27


def test_a_time_is_judged_by_the_logs_clock_and_only_where_it_is_given() -> None:
    ahead = swapped(AT_TEXT, b"2011-03-04T13:15:00.000000Z")(GOOD)
    assert CODEC.decode(ahead, APPENDED_AT_US).envelope.time == "2011-03-04T13:15:00.000000Z"
    assert CODEC.decode(swapped(AT_TEXT, b"2999-01-01T00:00:00.000000Z")(GOOD)).event_type.payload is PaymentCompleted


def test_the_oldest_instant_that_is_taken_is_the_first_of_the_century() -> None:
    value = swapped(AT_TEXT, b"2000-01-01T00:00:00.000000Z")(GOOD)
    assert CODEC.decode(value, APPENDED_AT_US).envelope.time == "2000-01-01T00:00:00.000000Z"
    assert refusal(swapped(AT_TEXT, b"2000-01-01T00:30:00+01:00")(GOOD)).reason == "ANCIENT_TIME"


@pytest.mark.parametrize("kind", ["missing field", "future time", "unknown version", "negative amount"])
def test_a_record_of_ours_that_is_refused_keeps_its_place_in_the_lane(kind: str) -> None:
    assert CODEC.place_in_lane(BAD[kind][0](GOOD)) == (SOURCE, 7)


@pytest.mark.parametrize(
    "kind",
    [
        "tombstone",
        "empty",
        "null",
        "sequence zero",
        "sequence too short",
        "sequence in other digits",
        "sequence as a number",
        "no source",
        "empty source",
        "source too long",
        "NUL in the source",
    ],
)
def test_a_record_that_names_no_lane_has_no_place_in_one(kind: str) -> None:
    assert CODEC.place_in_lane(BAD[kind][0](GOOD)) is None


def test_the_id_a_record_claims_can_be_read_though_it_does_not_decode() -> None:
    event_id = CODEC.decode(GOOD).envelope.id
    assert CODEC.id_of(BAD["missing field"][0](GOOD)) == event_id
    assert CODEC.id_of(BAD["id that is no string"][0](GOOD)) is None
    assert CODEC.id_of(None) is None


def test_a_draft_says_its_type_key_and_id() -> None:
    draft = CODEC.draft(PAID, AT, event_id="e-1", origin_source="/till/7", origin_id="44")
    assert (draft.event_id, draft.key, draft.event_type.payload) == ("e-1", "536365", PaymentCompleted)
    assert CODEC.type_of_row(draft.payload) == draft.event_type.type
    envelope = CODEC.decode(stamped(PAID, 1)).envelope
    assert envelope.subject == "order/536365"
    assert envelope.dataschema == "urn:countinghouse:event:PaymentCompleted:1"


def test_ids_of_drafts_sort_by_the_time_they_were_drawn() -> None:
    ids = [CODEC.draft(PAID, AT).event_id for _ in range(100)]
    assert ids == sorted(set(ids))


def test_an_event_that_no_log_would_take_is_refused_before_it_is_written() -> None:
    lines = [Line("x" * 64, 10**6, 10**15)] * 2000
    with pytest.raises(ValueError, match="bytes"):
        CODEC.draft(PaymentCompleted("o", "p", "GBP", lines), AT)


def test_the_largest_draft_is_a_record_that_every_log_takes() -> None:
    def paid_by(buyer_id: str) -> PaymentCompleted:
        return PaymentCompleted("o", "p", "GBP", [Line("22423", 1, 1)], buyer_id)

    with pytest.raises(ValueError, match="bytes") as refused:
        CODEC.draft(paid_by("b" * MAX_RECORD_BYTES), AT)
    over = int(str(refused.value).split()[3]) - (MAX_RECORD_BYTES - 300)
    largest = stamped(paid_by("b" * (MAX_RECORD_BYTES - over)), 1, source="s" * 200)
    assert MAX_RECORD_BYTES - 100 < len(largest) <= MAX_RECORD_BYTES


def test_a_naive_time_has_no_place_on_the_time_line() -> None:
    with pytest.raises(ValueError, match="time zone"):
        CODEC.draft(PAID, datetime(2011, 3, 4, 12, 30))  # noqa: DTZ001


def test_a_time_is_written_in_utc_to_the_microsecond() -> None:
    assert format_time(datetime(2011, 3, 4, 12, 30, 0, 7, UTC)) == "2011-03-04T12:30:00.000007Z"


def test_the_schema_describes_every_event_and_accepts_what_we_write() -> None:
    schema = json.loads(msgspec.json.encode(CODEC.schema()))
    Draft202012Validator.check_schema(schema)
    validator = VALIDATOR
    assert len(schema["anyOf"]) == len(EVENT_TYPES)
    assert validator.is_valid(json.loads(GOOD))
    for kind in ("negative amount", "string for integer", "missing field", "unknown version", "source too long"):
        spoilt = BAD[kind][0](GOOD)
        assert spoilt is not None
        assert not validator.is_valid(json.loads(spoilt)), kind


@given(PAYLOADS)
def test_every_event_that_can_be_recorded_is_as_the_schema_says(payload: Payload) -> None:
    VALIDATOR.validate(json.loads(stamped(payload, 1)))


def test_every_type_has_a_name_of_its_own() -> None:
    assert len({kind.type for kind in EVENT_TYPES}) == len({kind.payload for kind in EVENT_TYPES}) == len(EVENT_TYPES)
    view = next(kind for kind in EVENT_TYPES if kind.payload is ProductView)
    assert view.type == "com.countinghouse.catalog.ProductView.v1"
    assert CODEC.kind_of(view.type) is view
    assert CODEC.kind_of("com.countinghouse.catalog.ProductView.v2") is None
