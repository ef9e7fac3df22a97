"""The head of a record: what can be read of it before, or without, decoding the whole."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct


class Head(Struct, frozen=True):
    """The little that is read from a record which doesn't decode, to say why and to keep its lane whole."""

    type: Any = None
    specversion: Any = None
    source: Any = None
    sequence: Any = None
    time: Any = None
    id: Any = None


_DECODER = msgspec.json.Decoder(Head)


def read_head(value: bytes | None) -> Head | None:
    try:
        return _DECODER.decode(value or b"")
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        return None
