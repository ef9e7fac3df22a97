"""What a range is compared with: the period before it, a year before, or the same weekdays earlier.

The compared range has as many days. Where the range is still running, it ends at the same time of its last day by the
zone's clock, to the nearest quarter of an hour, since that is what figures are kept in.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from event_store.buckets import BUCKET_S
from projections.periods import Range

NONE = "none"
COMPARISONS = {
    NONE: "No comparison",
    "before": "The period before",
    "year": "A year before",
    "weekdays": "The same weekdays before",
}


@dataclass(frozen=True, slots=True)
class Now:
    """A moment by the clock of a zone."""

    zone: ZoneInfo
    us: int

    @property
    def local(self) -> datetime:
        return datetime.fromtimestamp(self.us / 1e6, self.zone)

    def at(self, second: int) -> datetime:
        return datetime.fromtimestamp(second, self.zone)

    @property
    def today(self) -> date:
        return self.local.date()


def compared(asked: Range, how: str, now: Now) -> Range | None:
    """None where nothing is compared, or the range has no beginning."""
    if how == NONE or asked.first is None:
        return None
    last = asked.last or now.today
    if last < asked.first:
        return None
    try:
        back = timedelta(days=_days_back(asked.first, last, how))
        return Range(asked.first - back, last - back, _cut(now, last, back))
    except (OverflowError, ValueError):
        return None  # Before the year 1 there is nothing.


def _days_back(first: date, last: date, how: str) -> int:
    length_days = (last - first).days + 1
    if how == "year":
        return (first - a_year_before(first)).days
    return -(-length_days // 7) * 7 if how == "weekdays" else length_days


def a_year_before(day: date) -> date:
    """The same day of the year before; for 29 February, the 28th."""
    if (day.month, day.day) == (2, 29):
        return day.replace(year=day.year - 1, day=28)
    return day.replace(year=day.year - 1)


def _cut(now: Now, last: date, back: timedelta) -> int | None:
    """Where the compared range ends, if the range itself has not ended yet."""
    if last < now.today:
        return None
    clock = now.local.replace(tzinfo=None)
    midnight = datetime.combine(clock.date(), datetime.min.time())
    quarters = max(1, round((clock - midnight) / timedelta(seconds=BUCKET_S)))
    there = (midnight - back + timedelta(seconds=quarters * BUCKET_S)).replace(tzinfo=now.zone, fold=now.local.fold)
    return int(there.timestamp()) // BUCKET_S * BUCKET_S
