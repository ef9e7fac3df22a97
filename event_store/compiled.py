"""The functions of event_store/compiled, which a C compiler made when the package was installed.

Each reads what is written as we write it and stops at everything else, for which there is a way in Python that judges.
So nothing depends on them but speed, and where no compiler was, they are not there.
"""

from __future__ import annotations

import ctypes
from array import array
from collections.abc import Mapping, Sequence
from ctypes import POINTER, Structure, c_bool, c_char_p, c_int64, c_void_p
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

SOURCES = Path(__file__).parent / "compiled"
LIBRARY = SOURCES / "reader.so"


class Field(Structure):
    """See compiled/events.c, as of those that follow."""

    _fields_ = (
        ("name", c_char_p),
        ("name_size", c_int64),
        ("exact", c_char_p),
        ("exact_size", c_int64),
        ("kind", c_int64),
        ("least", c_int64),
        ("most", c_int64),
        ("never", c_int64),
        ("is_nullable", c_int64),
        ("is_required", c_int64),
        ("slot", c_int64),
        ("first", c_int64),
        ("count", c_int64),
    )


class Source(Structure):
    _fields_ = (("source", c_int64), ("slot", c_int64), ("is_text", c_int64), ("is_nullable", c_int64))


class Kind(Structure):
    _fields_ = (
        ("head", c_char_p),
        ("head_size", c_int64),
        ("first", c_int64),
        ("count", c_int64),
        ("first_column", c_int64),
        ("columns", c_int64),
        ("entry_slots", c_int64),
        ("earlier", c_int64),
    )


class Schema(Structure):
    _fields_ = (
        ("fields", POINTER(Field)),
        ("kinds", POINTER(Kind)),
        ("columns", POINTER(Source)),
        ("kind_count", c_int64),
        ("column_count", c_int64),
    )


class Run(Structure):
    _fields_ = (("record", c_int64), ("sequence", c_int64), ("source_at", c_int64), ("source_size", c_int64))


class ArrowSchema(Structure):
    """Of the Arrow C data interface, as `ArrowArray`; see compiled/columns.h."""

    _fields_ = (
        ("format", c_char_p),
        ("name", c_char_p),
        ("metadata", c_char_p),
        ("flags", c_int64),
        ("n_children", c_int64),
        ("children", c_void_p),
        ("dictionary", c_void_p),
        ("release", c_void_p),
        ("private_data", c_void_p),
    )


class ArrowArray(Structure):
    _fields_ = (
        ("length", c_int64),
        ("null_count", c_int64),
        ("offset", c_int64),
        ("n_buffers", c_int64),
        ("n_children", c_int64),
        ("buffers", c_void_p),
        ("children", c_void_p),
        ("dictionary", c_void_p),
        ("release", c_void_p),
        ("private_data", c_void_p),
    )


_NUMBERS = c_void_p
"""The address of an array's 64-bit numbers."""
_FUNCTIONS: Mapping[str, tuple[Any, Sequence[Any]]] = {
    "made_from": (c_char_p, []),
    "begin": (c_void_p, [POINTER(Schema)]),
    "read": (c_int64, [c_void_p, c_char_p, _NUMBERS, _NUMBERS, c_int64, c_int64]),
    "latest_minute": (c_int64, [c_void_p]),
    "rows": (c_int64, [c_void_p, c_int64]),
    "runs": (c_int64, [c_void_p, POINTER(POINTER(Run)), POINTER(c_void_p)]),
    "column": (c_bool, [c_void_p, c_int64, c_int64, POINTER(ArrowSchema), POINTER(ArrowArray)]),
    "drop": (None, [c_void_p]),
    "records": (c_int64, [c_char_p, c_int64, c_int64, c_int64, *[_NUMBERS] * 5]),
}


@cache
def reader() -> ctypes.CDLL | None:
    """Its functions let other threads run. None where nothing was compiled for this machine from these very sources."""
    try:
        found = ctypes.CDLL(str(LIBRARY))
        for name, (result, arguments) in _FUNCTIONS.items():
            function = found[f"countinghouse_{name}"]
            function.restype = result
            function.argtypes = arguments
            setattr(found, name, function)
        return found if found.made_from() == _made_from() else None
    except (OSError, AttributeError):
        return None


def _made_from() -> bytes:
    sources = sorted(SOURCES.glob("*.[ch]"))
    return sha256(b"".join(path.read_bytes() for path in sources)).hexdigest().encode()


def address(numbers: array[int]) -> int:
    return numbers.buffer_info()[0]
