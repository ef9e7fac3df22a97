"""JSON bodies, read strictly: of the declared type in every bound, or refused with the place that is wrong.

msgspec refuses NaN, numbers and strings in each other's place, unknown fields, invalid UTF-8 and lone surrogates.
It reads over repeated keys, of which readers keep now the first and now the last, so they are looked for here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any, TypeVar

import msgspec

from .commerce import PATTERNS
from .refusals import INVALID_FIELD, MALFORMED_JSON, FieldError, Refused

T = TypeVar("T")

MAX_LOCATED_BYTES = 65_536
"""How far into a broken body its place is looked for: a walk of a few milliseconds at most."""

_TOKEN = re.compile(rb'\s*("(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+)', re.DOTALL)
_AT = re.compile(r" - at `\$(.*)`$")
_NAMED = re.compile(r"(?:missing required|unknown) field `(.*)`")
_BYTE = re.compile(r"\(byte (\d+)\)$")
_STEP = re.compile(r"\.([^.\[]+)|\[(\d+|\.\.\.)\]")


class _RepeatedKey(Exception):
    pass


def decode(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    """Raises Refused: MALFORMED_JSON where it is no JSON, INVALID_FIELD where it is not of the declared type."""
    decoded = parse(decoder, body)
    check_keys(body)
    return decoded


def parse(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    """`decode` without the look for repeated keys."""
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        (pointer, detail) = _explained(str(error))
        raise Refused(INVALID_FIELD, detail, [FieldError(pointer, detail)]) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _malformed(body, error) from error


def check_keys(body: bytes) -> None:
    """Refuses an object that has one key twice. `body` is known to be JSON."""
    if body.count(b":") < 2:  # One key at the most, as in nearly every view.
        return
    try:
        _KEYS.decode(body.decode())
    except _RepeatedKey:
        twice = FieldError(_repeated_key(body), "stands twice")
        raise Refused(MALFORMED_JSON, "A key stands twice in one object.", [twice]) from None
    except RecursionError as error:
        raise _malformed(body, error) from error


def _without_repeats(pairs: list[tuple[str, Any]]) -> None:
    if len(pairs) > 1 and len({key for key, _ in pairs}) < len(pairs):
        raise _RepeatedKey


_KEYS = json.JSONDecoder(object_pairs_hook=_without_repeats, parse_int=len, parse_float=len, strict=False)


def _explained(message: str) -> tuple[str, str]:
    """The JSON pointer and the sentence of a message of msgspec's: "Expected `int`, got `str` - at `$.lines[0].x`"."""
    at = _AT.search(message)
    pointer = "".join(f"/{name or index}" for name, index in _STEP.findall(at.group(1))) if at else ""
    detail = message[: at.start()] if at else message
    named = _NAMED.search(detail)
    if named:
        pointer += f"/{_escaped(named.group(1))}"
    for pattern, meaning in PATTERNS.items():
        if repr(pattern) in detail:
            detail = f"Expected {meaning}"
    return pointer, detail.replace("`", "'")


def _malformed(body: bytes, error: Exception) -> Refused:
    if isinstance(error, RecursionError):
        return Refused(MALFORMED_JSON, "The body is nested too deep.", [FieldError("", "nested too deep")])
    if isinstance(error, UnicodeDecodeError):
        (detail, offset) = ("The body is not UTF-8.", _first_bad_byte(body))
    else:
        detail = f"{error}."
        found = _BYTE.search(str(error))
        offset = int(found.group(1)) if found else len(body)
    if not body:
        detail = "The body is missing."
    return Refused(MALFORMED_JSON, detail, [FieldError(_pointer_at(body, offset), f"unreadable at byte {offset}")])


def _first_bad_byte(body: bytes) -> int:
    try:
        body.decode()
    except UnicodeDecodeError as error:
        return error.start
    return len(body)


def _pointer_at(body: bytes, offset: int) -> str:
    """The place of what stands at `offset`, or the deepest one known before it."""
    walk = _Walk()
    for token in _TOKEN.finditer(body[:MAX_LOCATED_BYTES]):
        if token.end() > offset:
            break
        walk.step(token.group(1))
    return walk.pointer()


def _repeated_key(body: bytes) -> str:
    walk = _Walk()
    for token in _TOKEN.finditer(body[:MAX_LOCATED_BYTES]):
        if walk.step(token.group(1)):
            return walk.pointer()
    return ""


class _Walk:
    """Follows the tokens of a JSON text and knows the place it has come to."""

    def __init__(self) -> None:
        self._path: list[str | int] = []
        self._keys: list[set[str]] = []
        self._string = b""

    def step(self, token: bytes) -> bool:
        """True when the token ends a key that its object had before."""
        if token in (b"{", b"["):
            self._path.append("" if token == b"{" else 0)
            self._keys.append(set())
        elif token in (b"}", b"]"):
            if self._path:
                self._path.pop()
                self._keys.pop()
        elif token == b",":
            self._next()
        elif token == b":":
            return self._begin_value()
        else:
            self._string = token
        return False

    def _next(self) -> None:
        if self._path:
            last = self._path[-1]
            self._path[-1] = last + 1 if isinstance(last, int) else ""

    def _begin_value(self) -> bool:
        if not self._path:
            return False
        key = _unquoted(self._string)
        repeated = key in self._keys[-1]
        self._keys[-1].add(key)
        self._path[-1] = key
        return repeated

    def pointer(self) -> str:
        steps: Iterable[str | int] = self._path[:20]
        return "".join(f"/{_escaped(str(step))[:100]}" for step in steps if step != "")


def _unquoted(token: bytes) -> str:
    try:
        return str(json.loads(token))
    except ValueError:
        return token.strip(b'"').decode(errors="replace")


def _escaped(step: str) -> str:
    """As RFC 6901 writes a step of a pointer."""
    return step.replace("~", "~0").replace("/", "~1")
