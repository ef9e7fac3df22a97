"""The pipeline's last hour as lines, and as the table of the same numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from backoffice.pipeline_trend import TrendMinute

from .sparkline import sparkline

Value = float | None


@dataclass(frozen=True, slots=True)
class Line:
    title: str
    points: str
    newest: str
    most: str


@dataclass(frozen=True, slots=True)
class Trend:
    minutes: Sequence[TrendMinute]
    lines: Sequence[Line]
    rows: Sequence[tuple[datetime, Sequence[str]]]
    """Newest first, with a cell for each line."""


def trend_of(minutes: Sequence[TrendMinute]) -> Trend:
    cells = [[text(value(one)) for _, value, text in _LINES] for one in minutes]
    rows = [(one.at, of_minute) for one, of_minute in zip(minutes, cells, strict=True)]
    return Trend(minutes, [_line(*line, minutes) for line in _LINES] if minutes else [], rows[::-1])


def _line(
    title: str, value: Callable[[TrendMinute], Value], text: Callable[[Value], str], minutes: Sequence[TrendMinute]
) -> Line:
    values = [value(one) for one in minutes]
    known = [one for one in values if one is not None]
    return Line(title, sparkline([one or 0 for one in values]), text(values[-1]), text(max(known, default=None)))


def _number(value: Value) -> str:
    return "–" if value is None else f"{value:,.0f}"


def _rate(value: Value) -> str:
    return "–" if value is None else f"{value:,.1f}"


def _seconds(value: Value) -> str:
    return "–" if value is None else f"{value:,.1f} s"


_LINES: Sequence[tuple[str, Callable[[TrendMinute], Value], Callable[[Value], str]]] = (
    ("Sent/s", lambda one: one.sent_per_s, _rate),
    ("New in the log/s", lambda one: one.arrived_per_s, _rate),
    ("Counted/s", lambda one: one.counted_per_s, _rate),
    ("Waiting in the outbox", lambda one: one.waiting, _number),
    ("To count", lambda one: one.to_count, _number),
    ("The oldest on its way", lambda one: one.lag_s, _seconds),
)
