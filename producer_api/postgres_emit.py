"""countinghouse_emit: the SQL function by which a service in any language writes an event in its own transaction.

What it knows of events is written into it from their declarations; `countinghouse migrate` makes it anew where it is
of another make.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import Meta, inspect

from event_store.codec import MAX_PAYLOAD_BYTES
from event_store.envelope import EventId, Source
from event_store.event_time import EARLIEST, FUTURE_TOLERANCE
from event_store.events import EVENT_TYPES, EventType
from event_store.postgres_database import NOW_US, SCHEMA_LOCK, PostgresDatabase
from event_store.record import MAX_RECORD_BYTES
from event_store.topics import VERSION_SUFFIX
from event_store.traceparent import FORM

if TYPE_CHECKING:
    from event_store.postgres_database import Connection

LOOK = "`countinghouse events schema` prints what an event is."
SELECT_MAKE = "SELECT obj_description(to_regprocedure('countinghouse_emit(text, text, text)'), 'pg_proc')"


class _Head(msgspec.Struct):
    """What is taken from the envelope of another service."""

    id: EventId
    source: Source
    time: str
    subject: Annotated[str, Meta(max_length=200)] | None = None
    datacontenttype: Annotated[str, Meta(max_length=100)] | None = None
    dataschema: Annotated[str, Meta(max_length=200)] | None = None


async def renew_emit(url: str) -> bool:
    """Makes the function where it is missing or of another make, in a migrated commerce database; whether it did.

    Raises StorageUnavailable and StorageUnusable.
    """
    database = PostgresDatabase(url, channel="commerce", most_connections=1)
    try:
        return await database.transaction(_renewed)
    finally:
        await database.close()


async def _renewed(connection: Connection) -> bool:
    await connection.execute(SCHEMA_LOCK)
    is_old = await connection.fetchval(SELECT_MAKE) != _make()
    if is_old:
        await connection.execute(emit_schema())
    return bool(is_old)


@cache
def emit_schema() -> str:
    """The statements that make the function, beside the tables of a commerce database. They may run again."""
    return f"{_functions()}COMMENT ON FUNCTION countinghouse_emit(text, text, text) IS '{_make()}';\n"


def _make() -> str:
    """Tells one make of the function from another."""
    return f"countinghouse {hashlib.sha256(_functions().encode()).hexdigest()[:16]}"


@cache
def _functions() -> str:
    text = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")
    for name, value in _filled_in().items():
        text = text.replace(f"@{name}@", value)
    return text


def _filled_in() -> dict[str, str]:
    types = {kind.type: _type(kind) for kind in EVENT_TYPES if kind.topic is not None}
    return {
        "types": json.dumps(types),
        "envelope": json.dumps(_fields(_Head)),
        "look": LOOK,
        "max_bytes": str(MAX_RECORD_BYTES),
        "max_payload_bytes": str(MAX_PAYLOAD_BYTES),
        "earliest": EARLIEST.removesuffix("Z"),
        "tolerance_s": str(int(FUTURE_TOLERANCE.total_seconds())),
        "now_us": NOW_US,
        "traceparent": FORM,
        "version": VERSION_SUFFIX + "$",
    }


def _type(kind: EventType) -> dict[str, Any]:
    topic = "" if kind.topic is None else kind.topic.name
    return {
        "topic": topic,
        "subject": kind.subject_kind,
        "dataschema": kind.dataschema,
        "keys": kind.key,
        "fields": _fields(kind.payload),
    }


def _fields(struct: type[msgspec.Struct]) -> Sequence[dict[str, Any]]:
    info = inspect.type_info(struct)
    if not isinstance(info, inspect.StructType):
        raise TypeError(f"{struct} is no struct")
    return [{"name": one.encode_name, "required": one.required, **_bounds(one.type)} for one in info.fields]


def _bounds(info: inspect.Type) -> dict[str, Any]:
    """What the field holds. Raises TypeError for a kind of field that the function can't judge yet."""
    while isinstance(info, inspect.Metadata):
        info = info.type
    if isinstance(info, inspect.UnionType):  # With None: it may be absent.
        (info,) = (one for one in info.types if not isinstance(one, inspect.NoneType))
        return _bounds(info)
    if isinstance(info, inspect.StrType):
        return _between("string", info.min_length or 0, info.max_length or MAX_RECORD_BYTES, unit="characters")
    if isinstance(info, inspect.IntType):
        return _between("number", info.ge or 0, info.le or 0)
    if isinstance(info, inspect.LiteralType):
        numbers = [value for value in info.values if isinstance(value, int)]
        return _between("number", min(numbers), max(numbers), values=[str(number) for number in numbers])
    if isinstance(info, inspect.ListType) and isinstance(info.item_type, inspect.StructType):
        bounds = _between("array", info.min_length or 0, info.max_length or 0, unit="entries")
        return {**bounds, "fields": _fields(info.item_type.cls)}
    raise TypeError(f"countinghouse_emit can't judge a field of {info}")


def _between(kind: str, least: int, most: int, **more: Any) -> dict[str, Any]:
    return {"kind": kind, "least": least, "most": most, "range": f" from {least} to {most}", **more}
