"""Instants as people and programs read them. Inside they are microseconds since 1970."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def instant(us: int) -> datetime:
    return _EPOCH + timedelta(microseconds=us)


def instant_or_none(us: int | None) -> datetime | None:
    return None if us is None else instant(us)


def utc(at_us: int | None) -> str:
    """To the second, where no time zone is chosen; nothing where there is none."""
    return utc_of(instant_or_none(at_us))


def utc_of(at: datetime | None) -> str:
    return "" if at is None else f"{at:%Y-%m-%d %H:%M:%S} UTC"
