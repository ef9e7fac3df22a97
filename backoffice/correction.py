"""A corrected event in the stead of a dead letter.

It is another event, with an id that follows from the letter's place: so whoever goes on with a correction that was
broken off writes the same one. The record itself stays as it is and where it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID, uuid5

from event_store.codec import Codec, Draft
from event_store.dead_letters import DeadLetter
from event_store.decoded_batch import decode_batch
from event_store.envelope import stamp
from event_store.errors import UndecodableRecord
from event_store.foreign_draft import foreign_draft
from event_store.record import RecordBatch, TopicPartition

from .recorded import Addition, additions_of

LETTERS = UUID("6d0c5b3e-8f0a-5a0e-9a52-0c3f7f6e6f11")
"""The namespace of the ids."""
NOWHERE = "/nowhere"
"""The source of a record that was never sent, for reading it."""


@dataclass(frozen=True, slots=True)
class Correction:
    draft: Draft
    additions: Sequence[Addition]
    """What it will add to which figures."""


def corrected(codec: Codec, dead: DeadLetter, text: str, now_us: int) -> Correction:
    """The event that the text says, as it will be written. Raises UndecodableRecord where it says none."""
    envelope = codec.decode(text.encode("utf-8", "replace"), now_us).envelope
    draft = foreign_draft(
        codec,
        envelope,
        event_id=event_id_of(dead.tp, dead.offset),
        origin_source=envelope.originsource,
        origin_id=envelope.originid,
        traceparent=envelope.traceparent,
    )
    record = RecordBatch(dead.tp, 0, [stamp(draft.payload, NOWHERE, 1)], [draft.key.encode()], [now_us])
    return Correction(draft, additions_of(decode_batch(codec, record)))


def draft_of(codec: Codec, event_id: str, payload: bytes) -> Draft:
    """The draft whose payload was kept."""
    decoded = codec.decode(stamp(payload, NOWHERE, 1))
    return Draft(event_id, decoded.event_type, decoded.event_type.key_of(decoded.envelope.data), payload)


def can_be_read(codec: Codec, dead: DeadLetter) -> bool:
    """Whether this version reads the record as it stands, so that a rebuild may count it."""
    try:
        codec.decode(dead.raw, dead.appended_at_us)
    except UndecodableRecord:
        return False
    return True


def event_id_of(tp: TopicPartition, offset: int) -> str:
    return str(uuid5(LETTERS, f"{tp.topic}/{tp.partition}/{offset}"))
