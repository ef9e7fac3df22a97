"""The steps in which a range is drawn and listed: as fine as can be read, as coarse as still says something."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from projections.periods import QuestionError


class UnfitInterval(QuestionError):
    """No such interval, or the range is too long or too short for it."""


@dataclass(frozen=True, slots=True)
class Interval:
    title: str
    least_days: int
    most_days: int

    def fits(self, days: int) -> bool:
        return self.least_days <= days <= self.most_days


MOST_DAYS = 4_000_000
INTERVALS = {
    "15min": Interval("15 minutes", 1, 3),
    "hour": Interval("Hour", 1, 16),
    "day": Interval("Day", 1, 400),
    "week": Interval("Week", 8, 2_800),
    "month": Interval("Month", 29, MOST_DAYS),
}
DAYS_BY_HOUR = 2
"""A range so long or shorter is shown by the hour unless somebody chose otherwise."""


def usual(days: int) -> str:
    if days <= DAYS_BY_HOUR:
        return "hour"
    return "day" if days <= INTERVALS["day"].most_days else "month"


def offered(days: int) -> list[str]:
    return [name for name, one in INTERVALS.items() if one.fits(days)]


def chosen(name: str, days: int) -> str:
    """The interval of that name, or the usual one for "". Raises UnfitInterval."""
    if not name:
        return usual(days)
    if name not in INTERVALS:
        raise UnfitInterval(f"no interval {name[:32]!r}; there are {', '.join(INTERVALS)}")
    if not INTERVALS[name].fits(days):
        fitting = ", ".join(offered(days))
        raise UnfitInterval(
            f"the interval {name} doesn't fit a range of {days:,} days; choose {fitting}, or other days"
        )
    return name


Place = tuple[int, str, int]
"""Where a period stands in its range: periods of one place, in two ranges, are compared with each other."""


def place(interval: str, label: str, first: date, zone: ZoneInfo) -> Place:
    """Days, weeks and months of the same number; hours of the same time of those days, the first or the second time."""
    if interval == "day":
        return (date.fromisoformat(label) - first).days, "", 0
    if interval == "week":
        monday = date.fromisocalendar(int(label[:4]), int(label[6:]), 1)
        return (monday - first + timedelta(days=first.weekday())).days // 7, "", 0
    if interval == "month":
        return (int(label[:4]) - first.year) * 12 + int(label[5:]) - first.month, "", 0
    begins = datetime.fromisoformat(label).astimezone(zone)
    return (begins.date() - first).days, label[11:16], begins.fold
