"""Events to bytes and back, strictly: a record is one of our events in every bound, or it says why not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec

from .envelope import SEQUENCE_DIGITS, Envelope, format_time, new_event_id
from .errors import UndecodableRecord
from .event_time import canonical_time, check_not_ahead, check_sold_at
from .events import EVENT_TYPES, EventType, Payload, PaymentRefunded
from .head import Head, read_head
from .record import MAX_RECORD_BYTES
from .traceparent import drop_malformed, well_formed

MAX_PAYLOAD_BYTES = MAX_RECORD_BYTES - 300
"""Of an envelope that has no place in a lane yet."""
MAX_SOURCE_LENGTH = 200
"""As the envelope bounds it."""


@dataclass(frozen=True, slots=True)
class Upcaster:
    """Turns the payload of an old version into that of the next one."""

    old: EventType
    new: EventType
    upcast: Callable[[Any], Payload]


UPCASTERS: tuple[Upcaster, ...] = ()


@dataclass(frozen=True, slots=True)
class Draft:
    """An event ready for the outbox: its envelope lacks only its place in a lane."""

    event_id: str
    event_type: EventType
    key: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Decoded:
    """An envelope whose `data` is of the newest version, with its event type."""

    event_type: EventType
    envelope: Envelope


@dataclass(slots=True)
class Codec:
    """Encodes and decodes one set of event types. Building it makes one decoder for all of them."""

    event_types: Sequence[EventType] = EVENT_TYPES
    upcasters: Sequence[Upcaster] = UPCASTERS
    notes_traces: bool = False
    """Whether a decoded batch names the trace contexts of its events. Where nobody traces, nobody looks for them."""
    is_compiled: bool = True
    """Whether batches of what our relay writes are read by compiled code, where there is such code."""
    _by_payload: dict[type[Payload], EventType] = field(init=False)
    _by_type: dict[str, EventType] = field(init=False)
    by_class: Mapping[type[Envelope], EventType] = field(init=False)
    """Envelope class → event type, for readers that group a whole batch by class."""
    _steps: dict[EventType, Upcaster] = field(init=False)
    _classes: dict[EventType, type[Envelope]] = field(init=False)
    _encode: Callable[[Any], bytes] = field(init=False)
    decode_canonical: Callable[[bytes], Envelope] = field(init=False)
    """Decodes a value as our relay writes it; raises msgspec's errors for every other."""

    def __post_init__(self) -> None:
        old = [step.old for step in self.upcasters]
        every = [*self.event_types, *old]
        self._by_payload = {kind.payload: kind for kind in every}
        self._by_type = {kind.type: kind for kind in every}
        self._steps = {step.old: step for step in self.upcasters}
        self._classes = {kind: envelope_class(kind) for kind in every}
        self.by_class = {cls: kind for kind, cls in self._classes.items()}
        self._encode = msgspec.json.Encoder().encode
        union: Any = _union(self._classes.values())
        self.decode_canonical = msgspec.json.Decoder(union).decode

    def draft(
        self,
        payload: Payload,
        at: datetime,
        *,
        event_id: str | None = None,
        origin_source: str | None = None,
        origin_id: str | None = None,
        traceparent: str | None = None,
    ) -> Draft:
        """The outbox row of `payload`, which happened `at` (aware). Raises ValueError over `MAX_RECORD_BYTES`."""
        kind = self._by_payload[type(payload)]
        key = kind.key_of(payload)
        event_id = event_id or new_event_id()
        envelope = self._classes[kind](
            specversion="1.0",
            id=event_id,
            time=format_time(at),
            subject=f"{kind.subject_kind}/{key}",
            datacontenttype="application/json",
            dataschema=kind.dataschema,
            originsource=origin_source,
            originid=origin_id,
            traceparent=traceparent,
            data=payload,
        )
        encoded = self._encode(envelope)
        if len(encoded) > MAX_PAYLOAD_BYTES:
            raise ValueError(f"the event has {len(encoded)} bytes, the most is {MAX_PAYLOAD_BYTES}")
        return Draft(event_id, kind, key, encoded)

    def kind_of(self, type_name: str) -> EventType | None:
        return self._by_type.get(type_name)

    def decode(self, value: bytes | None, appended_at_us: int | None = None) -> Decoded:
        """One record, thoroughly. Raises UndecodableRecord with the reason; `None` is a tombstone.

        `appended_at_us` is the log's time of the record, against which a time in the future is judged.
        """
        if value is None:
            raise UndecodableRecord("TOMBSTONE", "the record has no value")
        try:
            envelope = self.decode_canonical(value)
        except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
            envelope = self._decode_foreign(value, error)
        canonical = canonical_time(envelope.time)
        if canonical != envelope.time:  # Another spelling that happens to be as long as ours.
            envelope = msgspec.structs.replace(envelope, time=canonical)
        if envelope.traceparent != well_formed(envelope.traceparent):
            envelope = msgspec.structs.replace(envelope, traceparent=None)
        check_not_ahead(canonical, appended_at_us)
        check_text(envelope)
        _check_sequence(envelope)
        return self._newest(envelope)

    def type_of_row(self, payload: bytes) -> str:
        """The CloudEvents type an outbox row claims, "?" where it can't be read."""
        head = read_head(payload)
        return head.type if head is not None and isinstance(head.type, str) else "?"

    def id_of(self, value: bytes | None) -> str | None:
        """The CloudEvents id a record claims, None where it can't be read."""
        head = read_head(value)
        return head.id if head is not None and isinstance(head.id, str) else None

    def place_in_lane(self, value: bytes | None) -> tuple[str, int] | None:
        """(source, sequence) of a record that doesn't decode, where they can be read."""
        head = read_head(value)
        if head is None or not isinstance(head.source, str) or not isinstance(head.sequence, str):
            return None
        if not 1 <= len(head.source) <= MAX_SOURCE_LENGTH or _has_control_character(head.source):
            return None
        return (head.source, int(head.sequence)) if _is_sequence(head.sequence) else None

    def schema(self) -> dict[str, Any]:
        """JSON Schema 2020-12 of every event as it stands in the log."""
        (schemas, components) = msgspec.json.schema_components(self._classes.values(), ref_template="#/$defs/{name}")
        return {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": "Countinghouse events",
            "anyOf": list(schemas),
            "$defs": components,
        }

    def _newest(self, envelope: Envelope) -> Decoded:
        kind = self.by_class[type(envelope)]
        while (step := self._steps.get(kind)) is not None:
            kind = step.new
            fields = {name: getattr(envelope, name) for name in Envelope.__struct_fields__}
            envelope = self._classes[kind](**{**fields, "data": step.upcast(envelope.data)})
        return Decoded(kind, envelope)

    @property
    def has_upcasters(self) -> bool:
        return bool(self._steps)

    def _decode_foreign(self, value: bytes, error: Exception) -> Envelope:
        """The same event in another producer's spelling: any RFC 3339 time, normalised. Else the reason."""
        head = read_head(value)
        if head is None:
            raise UndecodableRecord("NOT_JSON", _sentence(error)) from error
        self._check_head(head)
        canonical = canonical_time(head.time)
        try:
            return self.decode_canonical(_respelled(value, canonical))
        except (msgspec.MsgspecError, RecursionError, UnicodeError) as again:
            raise UndecodableRecord("INVALID_EVENT", _sentence(again)) from again

    def _check_head(self, head: Head) -> None:
        if head.specversion != "1.0" or not isinstance(head.type, str):
            raise UndecodableRecord("NOT_A_CLOUDEVENT", "specversion must be '1.0' and type a string")
        if head.type not in self._by_type:
            unversioned = head.type.rpartition(".")[0]
            known = any(name.rpartition(".")[0] == unversioned for name in self._by_type)
            reason = "UNKNOWN_VERSION" if known else "UNKNOWN_TYPE"
            raise UndecodableRecord(reason, f"no event type {head.type[:200]!r} is known here")


def envelope_class(kind: EventType) -> type[Envelope]:
    made: Any = msgspec.defstruct(
        f"{kind.name}V{kind.version}",
        [("data", kind.payload)],
        bases=(Envelope,),
        frozen=True,
        gc=False,
        kw_only=True,
        omit_defaults=True,
        tag_field="type",
        tag=kind.type,
        namespace={"__post_init__": _check_sale} if kind.payload is PaymentRefunded else None,
    )
    cls: type[Envelope] = made
    return cls


def _check_sale(envelope: Envelope) -> None:
    """Of a refund, whenever one is made or decoded; msgspec turns the ValueError into its own."""
    if envelope.data.sold_at is not None:
        check_sold_at(envelope.data.sold_at, envelope.time)


def _union(classes: Iterable[type[Envelope]]) -> Any:
    union: Any = None
    for cls in classes:
        union = cls if union is None else union | cls
    return union


_ANY_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])


def _respelled(value: bytes, canonical_time: str) -> bytes:
    fields: dict[str, Any] = _ANY_OBJECT.decode(value)
    fields["time"] = canonical_time
    drop_malformed(fields)
    return msgspec.json.encode({"type": fields.pop("type"), **fields})


def _is_sequence(text: str) -> bool:
    return len(text) == SEQUENCE_DIGITS and text.isascii() and text.isdigit() and int(text) > 0


def _check_sequence(envelope: Envelope) -> None:
    text = envelope.sequence
    if text is not None and not _is_sequence(text):
        raise UndecodableRecord("INVALID_EVENT", f"sequence {text!r} is no number from 1 - at `$.sequence`")
    if not envelope.source:
        raise UndecodableRecord("INVALID_EVENT", "source is missing - at `$.source`")


def check_text(envelope: Envelope) -> None:
    """Raises UndecodableRecord for a control character: PostgreSQL can't store NUL, and none belongs in an id."""
    for name, text in _texts(envelope):
        if _has_control_character(text):
            raise UndecodableRecord("INVALID_EVENT", f"control character in {name}")


def _has_control_character(text: str) -> bool:
    return any(ord(character) < 32 for character in text)


def _texts(envelope: Envelope) -> Iterable[tuple[str, str]]:
    yield "$.id", envelope.id
    yield "$.source", envelope.source
    for name, value in msgspec.structs.asdict(envelope.data).items():
        if isinstance(value, str):
            yield f"$.data.{name}", value
        elif isinstance(value, list):
            yield from ((f"$.data.{name}[...].product_id", line.product_id) for line in value)


def _sentence(error: Exception) -> str:
    return str(error)[:500] or type(error).__name__
