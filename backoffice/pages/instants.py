"""Instants on pages that have no time zone of their own choice."""

from __future__ import annotations

from datetime import UTC, datetime


def utc(at_us: int | None) -> str:
    """To the second; nothing where there is none."""
    return "" if at_us is None else f"{datetime.fromtimestamp(at_us / 1e6, UTC):%Y-%m-%d %H:%M:%S} UTC"
