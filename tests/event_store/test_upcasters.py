"""Old versions of an event are read as the newest one for as long as the log has them."""

from __future__ import annotations

from typing import Any

import pytest

from event_store.codec import Codec, Upcaster
from event_store.decoded_batch import decode_batch
from event_store.envelope import stamp
from event_store.errors import UndecodableRecord
from event_store.events import EventType, Payload
from event_store.topics import ORDER_EVENTS

from .records import APPENDED_AT_US, AT, AT_TEXT, CODEC, GOOD, batch_of


class Versions:
    """One event type in three versions. The type carries the class's name, so all three are called alike."""

    class Paid(Payload, frozen=True, gc=False):
        """With what was known first."""

        order_id: str
        product_id: str

    V1 = EventType(Paid, "test", 1, ORDER_EVENTS, key=("order_id",))

    class Paid(Payload, frozen=True, gc=False):  # type: ignore[no-redef]
        """With an amount."""

        order_id: str
        product_id: str
        amount_minor: int

    V2 = EventType(Paid, "test", 2, ORDER_EVENTS, key=("order_id",))

    class Paid(Payload, frozen=True, gc=False):  # type: ignore[no-redef]
        """With a currency."""

        order_id: str
        product_id: str
        amount_minor: int
        currency: str

    V3 = EventType(Paid, "test", 3, ORDER_EVENTS, key=("order_id",))


def made(version: EventType, *values: object) -> Payload:
    make: Any = version.payload
    payload: Payload = make(*values)
    return payload


(V1, V2, V3) = (Versions.V1, Versions.V2, Versions.V3)
STEPS = [
    Upcaster(V1, V2, lambda old: made(V2, old.order_id, old.product_id, 0)),
    Upcaster(V2, V3, lambda old: made(V3, old.order_id, old.product_id, old.amount_minor, "GBP")),
]


def drawn(codec: Codec, payload: Payload) -> bytes:
    return stamp(codec.draft(payload, AT).payload, "/s", 4)


def reason(value: bytes, codec: Codec) -> str:
    with pytest.raises(UndecodableRecord) as refused:
        codec.decode(value, APPENDED_AT_US)
    return refused.value.reason


@pytest.mark.parametrize(
    ("old", "amount_minor"),
    [(made(V1, "o", "p"), 0), (made(V2, "o", "p", 7), 7), (made(V3, "o", "p", 9, "GBP"), 9)],
)
def test_an_old_version_is_read_as_the_newest_one_step_by_step(old: Payload, amount_minor: int) -> None:
    codec = Codec([V3], STEPS)
    decoded = codec.decode(drawn(codec, old), APPENDED_AT_US)
    assert decoded.event_type is V3
    assert decoded.envelope.data == made(V3, "o", "p", amount_minor, "GBP")
    assert (decoded.envelope.source, decoded.envelope.sequence) == ("/s", "0000000000000004")
    assert decoded.envelope.time == AT_TEXT.decode()


def test_a_version_that_nobody_told_us_of_is_unknown() -> None:
    value = drawn(Codec([V3], STEPS), made(V2, "o", "p", 7))
    assert reason(value, Codec([V3])) == "UNKNOWN_VERSION"
    assert reason(value, Codec([V1])) == "UNKNOWN_VERSION"
    assert reason(value, CODEC) == "UNKNOWN_TYPE"


def test_a_batch_of_several_versions_is_read_as_the_newest() -> None:
    codec = Codec([V3], STEPS)
    values = [drawn(codec, payload) for payload in (made(V1, "o", "p"), made(V3, "o", "p", 9, "GBP"))]
    decoded = decode_batch(codec, batch_of([*values, GOOD]))
    assert [letter.reason for letter in decoded.dead] == ["UNKNOWN_TYPE"]
    assert [list(run.sequences) for run in decoded.lanes if run.source == "/s"] == [[4, 4]]
