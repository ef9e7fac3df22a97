"""When events happened, as they say it: one spelling of each instant, within the years that are believed."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any

from .envelope import format_time, parse_time
from .errors import UndecodableRecord

EARLIEST = "2000-01-01T00:00:00.000000Z"
"""No event is older: what claims to be has a broken clock."""
FUTURE_TOLERANCE = timedelta(minutes=5)
"""How far an event's time may be ahead of the log's clock before it is refused."""

_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", re.ASCII | re.IGNORECASE)

_OURS = re.compile(r"2\d{3}-\d\d-\d\dT([01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{6}Z", re.ASCII)


def canonical_time(text: Any) -> str:
    """The same instant in our spelling, not before `EARLIEST`. Python alone would take week dates and more."""
    if not isinstance(text, str):
        raise UndecodableRecord("INVALID_EVENT", "time is missing or not a string - at `$.time`")
    try:
        if _RFC_3339.fullmatch(text) is None:
            raise ValueError(text)
        instant = parse_time(text.upper())
    except (ValueError, OverflowError) as error:
        raise UndecodableRecord("INVALID_EVENT", f"time {text[:64]!r} is not RFC 3339 - at `$.time`") from error
    if instant < parse_time(EARLIEST):
        raise UndecodableRecord("ANCIENT_TIME", f"time {text} is before {EARLIEST}")
    return format_time(instant)


def check_not_ahead(canonical: str, appended_at_us: int | None) -> None:
    ahead_us = int(FUTURE_TOLERANCE.total_seconds() * 1e6)
    if appended_at_us is not None and parse_time(canonical).timestamp() * 1e6 > appended_at_us + ahead_us:
        detail = f"time {canonical} is more than {FUTURE_TOLERANCE} ahead of the log's clock"
        raise UndecodableRecord("FUTURE_TIME", detail)


def check_sold_at(sold_at: str, time: str) -> None:
    """Raises ValueError unless the sale that an event of `time` undoes is written as we write it, and was before.

    Two clocks tell the two times, so a sale may seem to be later by as much as an event's may be ahead of the log's.
    """
    if not _is_canonical(sold_at):
        raise ValueError(f"sold_at {sold_at!r} is no time from {EARLIEST} on that is written like that one")
    if _is_canonical(time) and sold_at <= time:
        return  # Times that are written alike come in the order of their texts.
    if parse_time(sold_at) > parse_time(time.upper()) + FUTURE_TOLERANCE:
        raise ValueError(f"sold_at {sold_at} is more than {FUTURE_TOLERANCE} after the event's own time {time}")


def _is_canonical(text: str) -> bool:
    try:
        return _OURS.fullmatch(text) is not None and bool(datetime.fromisoformat(text))
    except ValueError:
        return False
