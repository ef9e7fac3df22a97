"""A batch says what its records say one by one: the fast ways may take nothing and shape nothing differently."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from event_store.batch_columns import Identity
from event_store.buckets import bucket_of
from event_store.codec import Codec
from event_store.dead_letters import DeadLetter
from event_store.decoded_batch import DecodedBatch, decode_batch
from event_store.envelope import Envelope, parse_time
from event_store.errors import UndecodableRecord
from event_store.events import Line, Payload, PaymentCompleted, PaymentRefunded
from event_store.facts import FACTS
from event_store.record import RecordBatch, fingerprint

from .records import (
    APPENDED_AT_US,
    AT_TEXT,
    BAD,
    CODEC,
    GOOD,
    PAID,
    PAYLOADS,
    READ_OVER,
    SOURCE,
    TIMES,
    TP,
    batch_of,
    foreign,
    stamped,
    swapped,
)

Row = tuple[Any, ...]

IN_PYTHON = Codec(is_compiled=False)

OURS = st.builds(
    lambda payload, sequence, at, source: stamped(payload, sequence, at=at, source=source),
    PAYLOADS,
    st.integers(1, 30),
    TIMES,
    st.sampled_from([SOURCE, SOURCE, "/countinghouse/commerce/2"]),
)
THEIRS = st.builds(lambda payload, at: foreign(payload, at=at), PAYLOADS, TIMES)
ODD = st.sampled_from([*(bad[0] for bad in BAD.values()), *READ_OVER.values()]).map(lambda spoil: spoil(GOOD))
DAMAGED = st.builds(
    lambda at, gone, put: GOOD[:at] + put + GOOD[at + gone :],
    st.integers(0, len(GOOD)),
    st.integers(0, 4),
    st.binary(max_size=4),
)
RECORDS = st.lists(st.one_of(OURS, OURS, OURS, THEIRS, ODD, DAMAGED), min_size=1, max_size=12)


@dataclass
class OneByOne:
    """What `Codec.decode`, asked record by record, says of a batch."""

    facts: dict[str, list[Row]] = field(default_factory=dict)
    lanes: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    foreign: list[Identity] = field(default_factory=list)
    dead: list[DeadLetter] = field(default_factory=list)

    def read(self, codec: Codec, offset: int, value: bytes | None) -> None:
        try:
            envelope = codec.decode(value, APPENDED_AT_US).envelope
        except UndecodableRecord as error:
            self.dead.append(DeadLetter(TP, offset, value, error.reason, error.detail, APPENDED_AT_US))
            place = codec.place_in_lane(value)
            if place is not None:
                self.lanes.setdefault(place[0], []).append((offset, place[1]))
        else:
            self.take(offset, envelope)

    def take(self, offset: int, envelope: Envelope) -> None:
        if envelope.sequence is None:
            self.foreign.append(Identity(offset, envelope.source, None, envelope.id))
        else:
            self.lanes.setdefault(envelope.source, []).append((offset, int(envelope.sequence)))
        seconds = int(parse_time(envelope.time).timestamp())
        rows = [(offset, seconds - seconds % 900, *columns) for columns in spoken_of(envelope.data)]
        if rows:
            self.facts.setdefault(type(envelope.data).__name__, []).extend(rows)


def spoken_of(payload: Payload) -> list[Row]:
    """The columns of facts.py that a payload fills, a row for each product it speaks of."""
    names = list(FACTS.get(type(payload), {}))[2:]
    if not isinstance(payload, PaymentCompleted | PaymentRefunded):
        return [tuple(getattr(payload, name) for name in names)] if names else []
    products = [line.product_id for line in payload.lines]
    sale = (_sale_bucket(payload.sold_at),) if isinstance(payload, PaymentRefunded) else ()
    firsts = [int(product not in products[:at]) for at, product in enumerate(products)]
    return [
        (line.product_id, payload.currency, line.quantity, line.amount_minor, first, *sale)
        for first, line in zip(firsts, payload.lines, strict=True)
    ]


def _sale_bucket(sold_at: str | None) -> int | None:
    return None if sold_at is None else int(parse_time(sold_at).timestamp()) // 900 * 900


def one_by_one(codec: Codec, values: Sequence[bytes | None], first_offset: int = 0) -> OneByOne:
    found = OneByOne()
    for index, value in enumerate(values):
        found.read(codec, first_offset + index, value)
    return found


def shown(batch: DecodedBatch) -> OneByOne:
    lanes: dict[str, list[tuple[int, int]]] = {}
    for run in batch.lanes:
        assert run.source not in lanes
        lanes[run.source] = list(zip(run.offsets, run.sequences, strict=True))
    facts = {name: frame.rows() for name, frame in batch.facts.items() if frame.height}
    return OneByOne(facts, lanes, list(batch.foreign), list(batch.dead))


def both_ways(batch: RecordBatch) -> DecodedBatch:
    """Decoded with compiled code, which must say what the way without it says."""
    (compiled, plain) = (decode_batch(CODEC, batch), decode_batch(IN_PYTHON, batch))
    assert shown(compiled) == shown(plain)
    assert {name: one.schema for name, one in compiled.facts.items()} == {
        name: one.schema for name, one in plain.facts.items()
    }
    return compiled


@given(RECORDS, st.integers(0, 10**9))
def test_a_batch_says_what_its_records_say_one_by_one(values: list[bytes | None], first_offset: int) -> None:
    decoded = both_ways(batch_of(values, first_offset))
    assert shown(decoded) == one_by_one(CODEC, values, first_offset)
    assert (decoded.tp, decoded.first_offset, decoded.next_offset) == (TP, first_offset, first_offset + len(values))
    assert len(decoded) == len(values)
    assert (decoded.last_fingerprint, decoded.last_appended_at_us) == (fingerprint(values[-1]), APPENDED_AT_US)


@given(st.lists(st.tuples(PAYLOADS, TIMES), min_size=1, max_size=12), st.integers(1, 10**15))
def test_a_batch_of_one_relay_says_what_its_records_say_one_by_one(
    events: list[tuple[Payload, datetime]], first: int
) -> None:
    values = [stamped(payload, first + index, at=at) for index, (payload, at) in enumerate(events)]
    decoded = both_ways(batch_of(values))
    assert shown(decoded) == one_by_one(CODEC, values)
    [run] = decoded.lanes
    assert run.sequences == range(first, first + len(values))


@given(st.lists(st.tuples(st.sampled_from([SOURCE, "/countinghouse/commerce/2"]), st.integers(1, 4)), min_size=1))
def test_lanes_that_alternate_are_told_apart(places: list[tuple[str, int]]) -> None:
    values = [stamped(PAID, sequence, source=source) for source, sequence in places]
    assert shown(both_ways(batch_of(values))) == one_by_one(CODEC, values)


@pytest.mark.parametrize("spoil", [bad[0] for bad in BAD.values()], ids=BAD)
def test_a_malformed_record_dies_alone(spoil: Callable[[bytes], bytes | None]) -> None:
    values = [stamped(PAID, sequence) for sequence in range(1, 5)]
    values_with_one = [*values[:2], spoil(GOOD), *values[2:]]
    decoded = both_ways(batch_of(values_with_one))
    assert shown(decoded) == one_by_one(CODEC, values_with_one)
    assert [(letter.offset, letter.raw) for letter in decoded.dead] == [(2, spoil(GOOD))]
    assert decoded.facts["PaymentCompleted"]["offset"].unique().to_list() == [0, 1, 3, 4]


@pytest.mark.parametrize("spoil", [bad[0] for bad in BAD.values()], ids=BAD)
def test_a_malformed_record_alone_in_its_batch_is_dead(spoil: Callable[[bytes], bytes | None]) -> None:
    decoded = both_ways(batch_of([spoil(GOOD)]))
    assert shown(decoded) == one_by_one(CODEC, [spoil(GOOD)])
    assert len(decoded.dead) == 1


@pytest.mark.parametrize("respell", READ_OVER.values(), ids=READ_OVER)
def test_another_spelling_of_an_event_has_the_same_facts(respell: Callable[[bytes], bytes]) -> None:
    assert shown(both_ways(batch_of([respell(GOOD)]))) == shown(both_ways(batch_of([GOOD])))


MINUTES = st.sampled_from(["00", "14", "15", "29", "30", "44", "45", "59", "60"])
TIME_TEXTS = st.builds(
    "{}-{}-{}{}{}:{}:{}.{}{}".format,
    st.sampled_from(["0001", "1999", "2000", "2011", "2012", "9999"]),
    st.sampled_from(["00", "01", "02", "03", "12", "13"]),
    st.sampled_from(["00", "01", "04", "28", "29", "30", "31", "32"]),
    st.sampled_from(["T", "t", " "]),
    st.sampled_from(["00", "12", "13", "23", "24"]),
    MINUTES,
    MINUTES,
    st.sampled_from(["000000", "999999", "00000a", "00000", "1"]),
    st.sampled_from(["Z", "z", "+00:00", "+01:00", "-05:30", ""]),
)


@given(st.lists(TIME_TEXTS, min_size=1, max_size=3))
def test_times_are_judged_alike_in_a_batch_and_one_by_one(texts: list[str]) -> None:
    values = [swapped(AT_TEXT, text.encode())(GOOD) for text in texts]
    assert shown(both_ways(batch_of(values))) == one_by_one(CODEC, values)


SOLD_AT = "2011-03-03T09:15:00.000000Z"
REFUND = stamped(PaymentRefunded("r-1", "GBP", [Line("22423", 1, 100)], None, SOLD_AT), 8)


@given(st.lists(TIME_TEXTS, min_size=1, max_size=3), TIME_TEXTS)
def test_times_of_sales_are_judged_alike_in_a_batch_and_one_by_one(texts: list[str], time: str) -> None:
    values = [swapped(SOLD_AT.encode(), text.encode())(REFUND) for text in texts]
    values.append(swapped(AT_TEXT, time.encode())(REFUND))
    assert shown(both_ways(batch_of(values))) == one_by_one(CODEC, values)


@pytest.mark.parametrize(
    ("sold_at", "bucket"),
    [
        ("2000-01-01T00:00:00.000000Z", 946_684_800),
        ("2011-03-03T09:29:59.999999Z", 1_299_143_700),
        ("2011-03-04T12:35:00.000000Z", 1_299_241_800),
        ("2011-03-04T12:35:00.000001Z", None),
        ("1999-12-31T23:59:59.999999Z", None),
        ("2011-02-29T00:00:00.000000Z", None),
        ("2011-03-03T09:15:00.000000z", None),
        ("2011-03-03T09:15:00.00+00:00", None),
        ("2011-03-03T09:15:00Z", None),
        ("", None),
    ],
)
def test_a_refund_is_taken_where_its_sale_was_before_and_is_written_as_we_write_times(
    sold_at: str, bucket: int | None
) -> None:
    decoded = both_ways(batch_of([swapped(SOLD_AT.encode(), sold_at.encode())(REFUND)]))
    assert [letter.reason for letter in decoded.dead] == ([] if bucket else ["INVALID_EVENT"])
    found = decoded.facts["PaymentRefunded"]["sale_bucket"].to_list() if bucket else [None]
    assert found == [bucket]


NEIGHBOURING_DAYS = st.builds(
    "2011-03-{}T{}:{}:00.000000Z".format,
    st.sampled_from(["02", "02", "02", "03"]),
    st.sampled_from(["00", "12", "23", "24"]),
    st.sampled_from(["14", "45", "60"]),
)


@given(st.lists(NEIGHBOURING_DAYS, min_size=3, max_size=6).map(sorted))
def test_times_in_order_are_judged_alike_in_a_batch_and_one_by_one(texts: list[str]) -> None:
    values = [swapped(AT_TEXT, text.encode())(GOOD) for text in texts]
    assert shown(both_ways(batch_of(values))) == one_by_one(CODEC, values)


@given(st.integers(-3 * 60, 3 * 60).map(lambda seconds: APPENDED_AT_US // 1_000_000 + 300 + seconds))
def test_times_near_the_tolerated_future_are_judged_alike(second: int) -> None:
    values = [stamped(PAID, 1, at=datetime.fromtimestamp(second, UTC))]
    assert shown(both_ways(batch_of(values))) == one_by_one(CODEC, values)


@given(TIMES)
def test_a_bucket_begins_at_the_quarter_hour_of_its_events(at: datetime) -> None:
    bucket = bucket_of(CODEC.decode(stamped(PAID, 1, at=at)).envelope.time)
    assert bucket % 900 == 0
    assert 0 <= at.timestamp() - bucket < 900


@given(RECORDS, st.data())
def test_a_batch_without_some_records_says_what_the_rest_says(values: list[bytes | None], data: st.DataObject) -> None:
    decoded = both_ways(batch_of(values))
    gone = data.draw(st.lists(st.sampled_from(range(len(values))), unique=True))
    rest = decoded.without(gone)
    expected = one_by_one(CODEC, [])
    for offset, value in enumerate(values):
        if offset not in gone:
            expected.read(CODEC, offset, value)
    found = shown(rest)
    assert (found.facts, found.foreign, found.dead) == (expected.facts, expected.foreign, expected.dead)
    assert (rest.first_offset, rest.next_offset, rest.repeated) == (0, len(values), len(gone))
    assert rest.lanes == decoded.lanes
