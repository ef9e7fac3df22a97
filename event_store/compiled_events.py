"""Values of records into columns by compiled code, which is told by their declarations what events hold.

It reads what is written as our relay writes it; whatever else it meets, the whole batch is read in Python.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence
from ctypes import POINTER, byref, c_void_p, py_object, pythonapi
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import polars as pl

from .codec import envelope_class
from .compiled import ArrowArray, ArrowSchema, Run, address, reader
from .compiled_schema import CompiledSchema, Undeclarable
from .events import EventType
from .facts import FACTS, Facts
from .pieces import Pieces


@dataclass(frozen=True, slots=True)
class Place:
    """Neighbouring records of one source whose sequences go up by one."""

    record: int
    """Counted from 0 in the batch."""
    sequence: int
    source: str


@dataclass(frozen=True, slots=True)
class Read:
    facts: Facts
    places: Sequence[Place]
    latest_minute: int
    """Of any event's time, since 1970 UTC."""


class CompiledEvents:
    def __init__(self, event_types: Sequence[EventType], compiled: ctypes.CDLL) -> None:
        """Raises Undeclarable."""
        self._compiled = compiled
        self._kinds = event_types
        self._schema = CompiledSchema([(kind, envelope_class(kind)) for kind in event_types])

    def read(self, values: Pieces, first_offset: int) -> Read | None:
        """None where a value is not as our relay writes it."""
        reading = self._compiled.begin(byref(self._schema.schema))
        try:
            return self._read(reading, values, first_offset) if reading else None
        finally:
            self._compiled.drop(reading)

    def _read(self, reading: int, values: Pieces, first_offset: int) -> Read | None:
        for part in values.parts:
            count = len(part.sizes)
            numbers = (address(part.starts), address(part.sizes))
            if self._compiled.read(reading, part.text, *numbers, count, first_offset) != count:
                return None
            first_offset += count
        facts = {
            kind.name: self._frame(reading, index)
            for index, kind in enumerate(self._kinds)
            if kind.payload in FACTS and self._compiled.rows(reading, index)
        }
        return Read(facts, list(self._places(reading)), self._compiled.latest_minute(reading))

    def _frame(self, reading: int, index: int) -> pl.DataFrame:
        names = FACTS[self._kinds[index].payload]
        first = self._schema.kinds[index].first_column
        return pl.DataFrame([self._series(reading, index, first + at, name) for at, name in enumerate(names)])

    def _series(self, reading: int, index: int, column: int, name: str) -> pl.Series:
        handed = _Handed()
        if not self._compiled.column(reading, index, column, byref(handed.schema), byref(handed.array)):
            raise MemoryError(f"column {name} of a batch")
        handed.schema.name = name.encode()
        return pl.Series(name, handed)

    def _places(self, reading: int) -> Iterator[Place]:
        (runs, sources) = (POINTER(Run)(), c_void_p())
        count = self._compiled.runs(reading, byref(runs), byref(sources))
        for run in runs[:count]:
            source = ctypes.string_at((sources.value or 0) + run.source_at, run.source_size)
            yield Place(run.record, run.sequence, source.decode())


@lru_cache
def compiled_events(event_types: tuple[EventType, ...]) -> CompiledEvents | None:
    """None where nothing was compiled, or these types are declared in a way that the compiled code can't be told."""
    compiled = reader()
    try:
        return None if compiled is None else CompiledEvents(event_types, compiled)
    except Undeclarable:
        return None


(_SCHEMA, _ARRAY) = (b"arrow_schema", b"arrow_array")
"""The capsules' names, which must live as long as they do."""


class _Handed:
    """A column on its way to polars, which takes it over in the way of Arrow's PyCapsule interface."""

    def __init__(self) -> None:
        self.schema = ArrowSchema()
        self.array = ArrowArray()

    def __arrow_c_array__(self, requested_schema: object = None) -> tuple[Any, Any]:
        return _capsule(self.schema, _SCHEMA), _capsule(self.array, _ARRAY)


def _capsule(content: ctypes.Structure, name: bytes) -> Any:
    return _new_capsule(ctypes.addressof(content), name, None)


_new_capsule = ctypes.PYFUNCTYPE(py_object, c_void_p, ctypes.c_char_p, c_void_p)(("PyCapsule_New", pythonapi))
