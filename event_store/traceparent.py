"""The W3C trace context of the request that an event came with: CloudEvents' distributed tracing extension.

An event may carry it as its attribute `traceparent`. It is a courtesy to whoever follows a request through the shop:
no figure depends on it, and one that is malformed is dropped where it is met, the event is not.
(w3.org/TR/trace-context, cloudevents/spec, extensions/distributed-tracing.md)
"""

from __future__ import annotations

import re
from typing import Any

import msgspec
from msgspec import Struct

LENGTH = 55
"""Of `00-<32 hex digits of the trace>-<16 of the span>-<2 of flags>`. Later versions that are longer are dropped."""
MAX_TRACEPARENTS = 128
"""How many events of one batch are followed at most: as many as a span takes links by default."""
FORM = "(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
"""A regular expression that Python and PostgreSQL read alike."""
_FORM = re.compile(FORM)
_SAMPLED = 1
_TEXT = msgspec.json.Decoder(str)


def well_formed(text: str | None) -> str | None:
    """The trace context, or None where it isn't one."""
    return text if text is not None and len(text) == LENGTH and _FORM.fullmatch(text) else None


def sampled(text: str | None) -> str | None:
    """The same, or None where nobody has recorded the span that it names: there is nothing to link to."""
    found = well_formed(text)
    return found if found is not None and int(found[-2:], 16) & _SAMPLED else None


def drop_malformed(attributes: dict[str, msgspec.Raw]) -> None:
    """Takes `traceparent` out of an event's attributes unless it is one."""
    try:
        if "traceparent" in attributes and not well_formed(_TEXT.decode(attributes["traceparent"])):
            del attributes["traceparent"]
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        del attributes["traceparent"]


class _Traced(Struct):
    traceparent: Any = None


_DECODER = msgspec.json.Decoder(_Traced)


def traceparent_in(payload: bytes) -> str | None:
    """Of an event as the outbox keeps it, where it carries one that was sampled."""
    if b'"traceparent":' not in payload:
        return None
    try:
        found = _DECODER.decode(payload).traceparent
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        return None
    return sampled(found) if isinstance(found, str) else None
