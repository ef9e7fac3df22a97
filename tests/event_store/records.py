"""Records as the log holds them: good ones of every event type, and every way we know for one to be bad."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from event_store.codec import Codec
from event_store.envelope import format_time, stamp
from event_store.events import (
    LikeChanged,
    Line,
    Payload,
    PaymentCompleted,
    PaymentFailed,
    PaymentRefunded,
    ProductListed,
    ProductView,
    RecordWithheld,
)
from event_store.record import RecordBatch, TopicPartition

TP = TopicPartition("order-events", 2)
SOURCE = "/countinghouse/commerce/1"
AT = datetime(2011, 3, 4, 12, 30, tzinfo=UTC)
AT_TEXT = b"2011-03-04T12:30:00.000000Z"
APPENDED_AT_US = 1_299_244_200_000_000
"""2011-03-04 13:10 UTC."""

CODEC = Codec()

IDS = st.sampled_from(["85123A", "85123a", "22423", "POST", "€", 'a"b\\c', "x" * 64])
CURRENCIES = st.sampled_from(["GBP", "EUR"])
TEXTS = st.text(st.characters(min_codepoint=32, exclude_categories=["Cs"]), min_size=1, max_size=20)
LINES = st.lists(st.builds(Line, IDS, st.integers(1, 10**6), st.integers(0, 10**15)), min_size=1, max_size=4)
SALES = st.integers(-300, 9_999_999).map(lambda ago_s: format_time(AT - timedelta(seconds=ago_s)))
"""When a sale was that a refund undoes: at the latest, by another clock, five minutes after it."""
PAYLOADS: st.SearchStrategy[Payload] = st.one_of(
    st.builds(ProductListed, IDS, st.integers(1, 2**53), TEXTS, st.integers(0, 10**15), CURRENCIES),
    st.builds(ProductView, IDS, TEXTS, CURRENCIES),
    st.builds(LikeChanged, IDS, TEXTS, CURRENCIES, st.sampled_from([1, -1])),
    st.builds(PaymentCompleted, TEXTS, TEXTS, CURRENCIES, LINES, st.none() | TEXTS),
    st.builds(PaymentFailed, TEXTS, TEXTS, st.none() | TEXTS),
    st.builds(PaymentRefunded, TEXTS, CURRENCIES, LINES, st.none() | TEXTS, st.none() | SALES),
    st.builds(RecordWithheld, TEXTS, TEXTS, TEXTS),
)
TIMES = st.integers(0, 40 * 60 * 1_000_000).map(lambda us: AT + timedelta(microseconds=us))
"""Up to the time at which the log took the records."""


def stamped(payload: Payload, sequence: int, *, at: datetime = AT, source: str = SOURCE) -> bytes:
    """As our relay writes it."""
    return stamp(CODEC.draft(payload, at).payload, source, sequence)


def foreign(payload: Payload, *, at: datetime = AT, source: str = "/till/7") -> bytes:
    """As another producer writes it: without a place in a lane."""
    return b'%b,"source":"%b"}' % (CODEC.draft(payload, at).payload[:-1], source.encode())


def batch_of(values: Sequence[bytes | None], first_offset: int = 0) -> RecordBatch:
    return RecordBatch(TP, first_offset, values, [None] * len(values), [APPENDED_AT_US] * len(values))


PAID = PaymentCompleted("536365", "p-1", "GBP", [Line("85123A", 6, 1530), Line("22423", 2, 2550)], "17850")
GOOD = stamped(PAID, 7)


def swapped(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    def swap(value: bytes) -> bytes:
        assert old in value, f"{old!r} is not in {value!r}"
        return value.replace(old, new, 1)

    return swap


BAD: dict[str, tuple[Callable[[bytes], bytes | None], str]] = {
    "tombstone": (lambda _: None, "TOMBSTONE"),
    "empty": (lambda _: b"", "NOT_JSON"),
    "null": (lambda _: b"null", "NOT_JSON"),
    "a number": (lambda _: b"17", "NOT_JSON"),
    "an array": (lambda value: b"[" + value + b"]", "NOT_JSON"),
    "no JSON": (lambda _: b"<event/>", "NOT_JSON"),
    "cut off": (lambda value: value[:-1], "NOT_JSON"),
    "trailing bytes": (lambda value: value + b"}", "NOT_JSON"),
    "two events": (lambda value: value + value, "NOT_JSON"),
    "byte order mark": (lambda value: b"\xef\xbb\xbf" + value, "NOT_JSON"),
    "UTF-16": (lambda value: value.decode().encode("utf-16"), "NOT_JSON"),
    "latin-1": (swapped(b'"17850"', b'"caf\xe9"'), "INVALID_EVENT"),
    "overlong UTF-8": (swapped(b'"17850"', b'"\xc0\x80"'), "INVALID_EVENT"),
    "raw control character": (swapped(b'"17850"', b'"178\x0150"'), "NOT_JSON"),
    "lone surrogate": (swapped(b'"17850"', b'"\\ud800"'), "NOT_JSON"),
    "lone surrogate in UTF-8": (swapped(b'"17850"', b'"\xed\xa0\x80"'), "INVALID_EVENT"),
    "NUL in an id": (swapped(b'"17850"', b'"178\\u000050"'), "INVALID_EVENT"),
    "NUL in a line": (swapped(b'"22423"', b'"22423\\u0000"'), "INVALID_EVENT"),
    "NUL in the source": (swapped(b'"/countinghouse', b'"\\u0000/countinghouse'), "INVALID_EVENT"),
    "NaN": (swapped(b"1530", b"NaN"), "NOT_JSON"),
    "Infinity": (swapped(b"1530", b"Infinity"), "NOT_JSON"),
    "a number beyond floats": (swapped(b"1530", b"1e999"), "INVALID_EVENT"),
    "20-digit integer": (swapped(b"1530", b"9" * 20), "INVALID_EVENT"),
    "5,000-digit integer": (swapped(b"1530", b"9" * 5000), "INVALID_EVENT"),
    "just over the bound": (swapped(b"1530", b"1000000000000001"), "INVALID_EVENT"),
    "negative amount": (swapped(b"1530", b"-1530"), "INVALID_EVENT"),
    "quantity zero": (swapped(b'"quantity":6', b'"quantity":0'), "INVALID_EVENT"),
    "float for integer": (swapped(b"1530", b"1530.5"), "INVALID_EVENT"),
    "float without a fraction": (swapped(b"1530", b"1530.0"), "INVALID_EVENT"),
    "integer with an exponent": (swapped(b"1530", b"1e3"), "INVALID_EVENT"),
    "string for integer": (swapped(b"1530", b'"1530"'), "INVALID_EVENT"),
    "bool for integer": (swapped(b"1530", b"true"), "INVALID_EVENT"),
    "null for integer": (swapped(b"1530", b"null"), "INVALID_EVENT"),
    "integer for string": (swapped(b'"22423"', b"22423"), "INVALID_EVENT"),
    "depth 100,000": (swapped(b'"data":{', b'"data":{"x":' + b"[" * 100_000 + b"]" * 100_000 + b","), "NOT_JSON"),
    "depth 100,000 never closed": (lambda _: b'{"a":' * 100_000, "NOT_JSON"),
    "missing field": (swapped(b'"currency":"GBP",', b""), "INVALID_EVENT"),
    "missing data": (swapped(b'"data":{', b'"date":{'), "INVALID_EVENT"),
    "no lines": (lambda value: re.sub(rb'"lines":\[.*\]', b'"lines":[]', value), "INVALID_EVENT"),
    "id too long": (swapped(b'"id":"', b'"id":"' + b"x" * 64), "INVALID_EVENT"),
    "id that is no string": (swapped(b'"id":"', b'"id":1,"was":"'), "INVALID_EVENT"),
    "empty product id": (swapped(b'"22423"', b'""'), "INVALID_EVENT"),
    "1 MB string": (swapped(b'"17850"', b'"' + b"x" * 1_000_000 + b'"'), "INVALID_EVENT"),
    "no time": (swapped(b'"time":', b'"when":'), "INVALID_EVENT"),
    "a time that is no instant": (swapped(AT_TEXT, b"2011-02-30T12:30:00.000000Z"), "INVALID_EVENT"),
    "a time without a zone": (swapped(AT_TEXT, b"2011-03-04T12:30:00.0000000"), "INVALID_EVENT"),
    "a time as a number": (swapped(b'"%b"' % AT_TEXT, b"1299241800"), "INVALID_EVENT"),
    "a week date": (swapped(AT_TEXT, b"2011-W09-5T12:30:00.00+00:00"), "INVALID_EVENT"),
    "a leap second": (swapped(AT_TEXT, b"2011-03-04T12:30:60.000000Z"), "INVALID_EVENT"),
    "future time": (swapped(AT_TEXT, b"2011-03-04T13:15:00.000001Z"), "FUTURE_TIME"),
    "far future": (swapped(AT_TEXT, b"9999-12-31T23:59:59.999999Z"), "FUTURE_TIME"),
    "ancient time": (swapped(AT_TEXT, b"1999-12-31T23:59:59.999999Z"), "ANCIENT_TIME"),
    "the year 3": (swapped(AT_TEXT, b"0003-01-01T00:00:00.000000Z"), "ANCIENT_TIME"),
    "the year 3 in another spelling": (swapped(AT_TEXT, b"0003-01-01T00:00:00.0+00:00"), "ANCIENT_TIME"),
    "before all instants": (swapped(AT_TEXT, b"0001-01-01T00:00:00.0+01:00"), "INVALID_EVENT"),
    "after all instants": (swapped(AT_TEXT, b"9999-12-31T23:59:59-01:00"), "INVALID_EVENT"),
    "sequence zero": (swapped(b"0000000000000007", b"0000000000000000"), "INVALID_EVENT"),
    "sequence too short": (swapped(b"0000000000000007", b"7"), "INVALID_EVENT"),
    "sequence with a sign": (swapped(b"0000000000000007", b"-000000000000007"), "INVALID_EVENT"),
    "sequence in other digits": (swapped(b"0000000000000007", "000000000000000७".encode()), "INVALID_EVENT"),
    "sequence as a number": (swapped(b'"0000000000000007"', b"7"), "INVALID_EVENT"),
    "no source": (swapped(b'"source":"/countinghouse/commerce/1",', b""), "INVALID_EVENT"),
    "no source and no sequence": (lambda value: value[: value.index(b',"source"')] + b"}", "INVALID_EVENT"),
    "empty source": (swapped(b'"/countinghouse/commerce/1"', b'""'), "INVALID_EVENT"),
    "source too long": (swapped(b'"/countinghouse/commerce/1"', b'"' + b"s" * 201 + b'"'), "INVALID_EVENT"),
    "no CloudEvent": (lambda _: b'{"order":17}', "NOT_A_CLOUDEVENT"),
    "another specversion": (swapped(b'"specversion":"1.0"', b'"specversion":"0.3"'), "NOT_A_CLOUDEVENT"),
    "type that is no string": (swapped(b'"com.countinghouse.orders.PaymentCompleted.v1"', b"1"), "NOT_A_CLOUDEVENT"),
    "unknown type": (swapped(b"PaymentCompleted.v1", b"OrderShipped.v1"), "UNKNOWN_TYPE"),
    "unknown version": (swapped(b"PaymentCompleted.v1", b"PaymentCompleted.v9"), "UNKNOWN_VERSION"),
    "a key that is no UTF-8 and another time": (
        lambda value: swapped(AT_TEXT, b"2011-03-04T12:30:00Z")(value)[:-1] + b',"\xff":1}',
        "INVALID_EVENT",
    ),
}
"""Kind → (what becomes of a good record, the reason it is refused for)."""

READ_OVER: dict[str, Callable[[bytes], bytes]] = {
    "extra field in the data": swapped(b'"data":{', b'"data":{"giftwrap":{"colour":"red"},'),
    "extra field in the envelope": lambda value: value[:-1] + b',"tracestate":"shop=1"}',
    "a trace context that is none": lambda value: value[:-1] + b',"traceparent":"00-1-2-03"}',
    "a trace context of the right length": swapped(b'"data":{', b'"traceparent":"%b","data":{' % (b"x" * 55)),
    "a trace context of 1 MB": lambda value: value[:-1] + b',"traceparent":"%b"}' % (b"0" * 1_000_000),
    "a number as trace context": lambda value: value[:-1] + b',"traceparent":17}',
    "an object as trace context": lambda value: value[:-1] + b',"traceparent":{"version":0}}',
    "a trace context in latin-1": lambda value: value[:-1] + b',"traceparent":"caf\xe9"}',
    "a trace context with a control character": lambda value: value[:-1] + b',"traceparent":"\\u0000"}',
    "white space": lambda value: value.replace(b",", b" ,\n\t"),
    "fields in another order": lambda value: (
        b'{"sequence":"0000000000000007",' + value.replace(b',"sequence":"0000000000000007"', b"")[1:]
    ),
    "escaped text": swapped(b'"85123A"', b'"\\u0038\\u0035123A"'),
    "a key that comes twice: the last one is read": swapped(b'"currency":"GBP"', b'"currency":"EUR","currency":"GBP"'),
}
"""Kind → a record that says the same as the good one."""
