"""What the compiled code is told of events, taken from their declarations: nothing of it is declared twice."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec
import polars as pl
from msgspec import inspect

from .compiled import Field, Kind, Schema, Source
from .events import EventType
from .facts import FACTS

(TEXT, EXACT, NUMBER, INSTANT, SEQUENCE, OBJECT, LIST) = range(7)
"""Kinds of fields, as compiled/events.c numbers them."""
(OFFSET, BUCKET, OF_EVENT, OF_ENTRY, FIRST_OF_ENTRIES) = range(5)
"""What a column takes its values from."""
PLACED = ("time", "source", "sequence")
"""What every event must say; their slots are the first, in this order."""
EARLIER = "sold_at"
"""An instant that isn't after the event's own."""
SLOTS = 32
MOST_FIELDS = 64
NEVER = -(2**63)
"""In place of a number that a field may not hold, though it is within its bounds."""
MOST_CHARACTERS = 2**31

T = TypeVar("T", bound=ctypes.Structure)


class Undeclarable(Exception):
    """An event type is declared in a way that the compiled code can't be told."""


@dataclass(slots=True)
class CompiledSchema:
    """Of event types, each with the class of its envelope. Raises Undeclarable."""

    classes: Sequence[tuple[EventType, type[msgspec.Struct]]]
    kinds: list[Kind] = field(default_factory=list)
    schema: Schema = field(init=False)
    """Valid for as long as this object is there."""
    _fields: list[Field] = field(default_factory=list)
    _columns: list[Source] = field(default_factory=list)
    _memory: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        for kind, envelope in self.classes:
            self._add(kind, envelope)
        arrays = (self._array(Field, self._fields), self._array(Kind, self.kinds), self._array(Source, self._columns))
        self.schema = Schema(*arrays, len(self.kinds), len(self._columns))

    def _array(self, cls: type[T], items: Sequence[T]) -> Any:
        made = (cls * len(items))(*items)
        self._memory.append(made)
        return ctypes.cast(made, ctypes.POINTER(cls))

    def _add(self, kind: EventType, envelope: type[msgspec.Struct]) -> None:
        slots = _Slots({name: slot for slot, name in enumerate(PLACED)})
        (first, count) = self._object(_struct(inspect.type_info(envelope)), slots)
        head = b'{"type":%b,' % msgspec.json.encode(kind.type)
        columns = [self._column(name, dtype, slots) for name, dtype in FACTS.get(kind.payload, {}).items()]
        first_column = len(self._columns)
        self._columns += columns
        earlier = slots.of_event.get(EARLIER, -1)
        entries = len(slots.of_entry)
        self.kinds.append(Kind(head, len(head), first, count, first_column, len(columns), entries, earlier))

    def _object(self, struct: inspect.StructType, slots: _Slots) -> tuple[int, int]:
        """Where the fields of an object begin, and how many there are."""
        made = [self._field(one, slots) for one in struct.fields]
        if len(made) > MOST_FIELDS:
            raise Undeclarable(f"{struct.cls.__name__} has {len(made)} fields")
        self._fields += made
        return len(self._fields) - len(made), len(made)

    def _field(self, one: inspect.Field, slots: _Slots) -> Field:
        name = b"%b:" % msgspec.json.encode(one.encode_name)
        (info, is_nullable) = _plain(one.type)
        is_placed = one.encode_name in PLACED
        made = Field(
            name=name,
            name_size=len(name),
            is_nullable=is_nullable and not is_placed,
            is_required=one.required or is_placed,
            slot=-1,
            never=NEVER,
        )
        self._judge(made, one.encode_name, info, slots)
        return made

    def _judge(self, made: Field, name: str, info: inspect.Type, slots: _Slots) -> None:
        """Says what the field holds, and where it goes."""
        if isinstance(info, inspect.StructType):
            made.kind = OBJECT
            (made.first, made.count) = self._object(info, slots)
        elif isinstance(info, inspect.ListType):
            made.kind = LIST
            (made.least, made.most) = (info.min_length or 0, info.max_length or MOST_CHARACTERS)
            (made.first, made.count) = self._object(_struct(info.item_type), slots.entered())
        elif isinstance(info, inspect.LiteralType) and isinstance(info.values[0], str):
            made.kind = EXACT
            made.exact = msgspec.json.encode(_only(info.values))
            made.exact_size = len(made.exact)
        else:
            (made.kind, made.least, made.most, made.never) = _bounds(name, info)
            made.slot = slots.take(name)

    def _column(self, name: str, dtype: Any, slots: _Slots) -> Source:
        is_text = dtype == pl.String
        if name == "offset":
            return Source(OFFSET, 0, is_text, False)
        if name == "bucket":
            return Source(BUCKET, slots.of_event["time"], is_text, False)
        if name == "sale_bucket":
            return Source(BUCKET, slots.of_event[EARLIER], is_text, True)
        if name == "first_of_product":
            return Source(FIRST_OF_ENTRIES, slots.of_entry["product_id"], is_text, False)
        if name in slots.of_entry:
            return Source(OF_ENTRY, slots.of_entry[name], is_text, False)
        return Source(OF_EVENT, slots.of_event[name], is_text, False)


@dataclass(slots=True)
class _Slots:
    """Where values are kept until the event's rows are written."""

    of_event: dict[str, int]
    of_entry: dict[str, int] = field(default_factory=dict)
    is_in_entry: bool = False

    def entered(self) -> _Slots:
        if self.is_in_entry or self.of_entry:
            raise Undeclarable("an event has one list at the most")
        return _Slots(self.of_event, self.of_entry, is_in_entry=True)

    def take(self, name: str) -> int:
        known = self.of_entry if self.is_in_entry else self.of_event
        if name in known and name not in PLACED:
            raise Undeclarable(f"{name} stands in an event twice")
        slot = known.setdefault(name, len(known))
        if slot >= SLOTS:
            raise Undeclarable(f"an event has more than {SLOTS} values")
        return slot


def _bounds(name: str, info: inspect.Type) -> tuple[int, int, int, int]:
    """The kind of a field, the least and the most that it may hold or have characters, and what it never holds."""
    if isinstance(info, inspect.StrType) and info.pattern is None:
        kind = {"time": INSTANT, EARLIER: INSTANT, "sequence": SEQUENCE}.get(name, TEXT)
        return kind, info.min_length or 0, info.max_length or MOST_CHARACTERS, NEVER
    if isinstance(info, inspect.IntType) and info.ge is not None and info.le is not None:
        return NUMBER, info.ge, info.le, NEVER
    if isinstance(info, inspect.LiteralType) and set(info.values) == {-1, 1}:
        return NUMBER, -1, 1, 0
    raise Undeclarable(f"{name} is declared as {info}")


def _plain(info: inspect.Type) -> tuple[inspect.Type, bool]:
    """Without what is only said about it, and without None; and whether it may be None."""
    while isinstance(info, inspect.Metadata):
        info = info.type
    if isinstance(info, inspect.UnionType):
        others = [one for one in info.types if not isinstance(one, inspect.NoneType)]
        (plain, _) = _plain(_only(others))
        return plain, len(others) < len(info.types)
    return info, False


def _struct(info: inspect.Type) -> inspect.StructType:
    (plain, _) = _plain(info)
    if not isinstance(plain, inspect.StructType) or plain.array_like:
        raise Undeclarable(f"{info} is no object")
    return plain


def _only(items: Iterable[Any]) -> Any:
    (first, *more) = items
    if more:
        raise Undeclarable(f"{items} are several")
    return first
