"""What somebody chose to see: days of a time zone, what they are compared with, and in which steps.

All of it is read from the URL and written back into links. What isn't chosen follows from the rest: today, against the
day before up to the same time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from urllib.parse import urlencode

from event_store.buckets import BUCKET_S
from projections.periods import ALWAYS, QuestionError, Range, range_named, zone_named

from . import intervals
from .compared import COMPARISONS, NONE, Now, compared

PRESETS = {
    "today": "Today",
    "yesterday": "Yesterday",
    "7d": "Last 7 days",
    "30d": "Last 30 days",
    "90d": "Last 90 days",
    "week": "This week",
    "last_week": "Last week",
    "month": "This month",
    "last_month": "Last month",
    "year": "This year",
    "all": "All",
    "custom": "Custom",
}
ZONES = (
    "UTC",
    "Europe/London",
    "Europe/Berlin",
    "America/New_York",
    "America/Los_Angeles",
    "America/Sao_Paulo",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Asia/Tokyo",
    "Australia/Sydney",
)
"""What is offered; any other IANA name can be typed."""

PARTS = ("at", "until")
"""What a page's own choices call a part of the range; with another range they name nothing."""

Extent = tuple[int, int]


class UnknownPreset(QuestionError):
    """No such preset range."""


class UnknownComparison(QuestionError):
    """No such comparison."""


@dataclass(frozen=True, slots=True)
class Selection:
    preset: str
    tz: str
    asked: Range
    now: Now
    extent: Extent
    """The first and the last bucket that there can be figures in."""
    compare: str = ""
    """As chosen; "" follows from the range."""
    step: str = ""
    """The interval, as chosen; "" follows from the range."""
    more: Mapping[str, str] = field(default_factory=dict)
    """The page's own choices, by their names in the URL."""

    @property
    def comparison(self) -> str:
        return self.compare or (NONE if self.preset == "all" else "before")

    @property
    def compared(self) -> Range | None:
        """None where nothing is to be compared, or where it would all lie before the first figure."""
        asked = self.asked if self.asked.first is None else Range(*self.ends)
        days = compared(asked, self.comparison, self.now)
        return None if days is None or days.last is None or days.last < self.extent_days[0] else days

    @property
    def extent_days(self) -> tuple[date, date]:
        (first, last) = (_day(self.now, second) for second in self.extent)
        return first, last

    @property
    def oldest_day(self) -> str:
        return _written(self.extent_days[0])

    @property
    def newest_day(self) -> str:
        """Of the newest figures, as it is read."""
        return _written(self.extent_days[1])

    @property
    def until(self) -> int | None:
        """The bucket of this moment, where the range is still running."""
        return self.now.us // 1_000_000 // BUCKET_S if self.ends[1] >= self.now.today else None

    @property
    def shown_extent(self) -> Extent:
        """The first figure there is, and what the range is drawn to: this moment, or the last figure of an open end."""
        here = self.now.us // 1_000_000 // BUCKET_S * BUCKET_S
        (first, last) = self.extent
        return first, last if self.asked.last is None else max(last, here)

    @property
    def ends(self) -> tuple[date, date]:
        """The first and the last day asked for; an open end is where the figures begin or end."""
        (first, last) = self.extent_days
        first = self.asked.first or min(first, self.asked.last or first)
        return first, self.asked.last or max(first, last)

    @property
    def length_days(self) -> int:
        (first, last) = self.ends
        return (last - first).days + 1

    @property
    def interval(self) -> str:
        return intervals.chosen(self.step, self.length_days)

    @property
    def intervals(self) -> dict[str, str]:
        """Name → title of those that fit."""
        return {name: intervals.INTERVALS[name].title for name in intervals.offered(self.length_days)}

    @property
    def state(self) -> dict[str, str]:
        """Everything chosen, as it stands in the URL."""
        custom = self.preset == "custom"
        days = {"from": self.asked.first, "to": self.asked.last} if custom else {}
        written = {name: day.isoformat() for name, day in days.items() if day}
        chosen = {"compare": self.compare, "interval": self.step}
        kept = {name: word for name, word in chosen.items() if word}
        return {"range": self.preset, "tz": self.tz, **written, **kept, **self.more}

    @property
    def query(self) -> str:
        return urlencode({name: value for name, value in self.state.items() if name != "page"})

    @property
    def compared_state(self) -> dict[str, str]:
        """The compared days, as they stand in a URL that is about nothing else."""
        days = self.compared
        if days is None:
            return {}
        until = {} if days.before is None else {"until": self.now.at(days.before).isoformat(timespec="minutes")}
        return {"range": "custom", "from": str(days.first), "to": str(days.last), **until}

    def link(self, path: str = "", **changes: object) -> str:
        """The URL with some choices changed; None and "" take a choice out."""
        chosen: dict[str, object] = {**self.state, **changes}
        return f"{path}?{urlencode({name: value for name, value in chosen.items() if value not in (None, '')})}"

    def range_link(self, preset: str, first: date | None = None, last: date | None = None, path: str = "") -> str:
        """The URL with another range; the interval follows from it again."""
        steps = dict.fromkeys(["page", "interval", *PARTS])
        return self.link(path, range=preset, **steps, **{"from": first, "to": last})

    def kept(self, *without: str) -> list[tuple[str, str]]:
        """Hidden fields that carry the state through a form which sets the rest."""
        chosen = self.state.items()
        return [(name, value) for name, value in chosen if value and name not in (*without, *PARTS)]

    @property
    def sentence(self) -> str:
        return PRESETS[self.preset] if self.preset != "custom" else span(self.asked)

    @property
    def compared_sentence(self) -> str:
        """The compared days, and until when on the last one."""
        days = self.compared
        if days is None or days.first is None:
            return ""
        if days.before is None:
            return span(days)
        until = self.now.at(days.before)
        return f"{span(days)}, until {until:%H:%M}" if until.date() == days.last else span(days)


def span(days: Range) -> str:
    """`12 Mar 2011`, `1 – 12 Mar 2011`, `28 Feb – 12 Mar 2011`."""
    (first, last) = (days.first, days.last)
    if first is None or last is None:
        return f"{_written(first) or 'the beginning'} to {_written(last) or 'now'}"
    if first == last:
        return _written(first)
    year = "" if first.year == last.year else f" {first.year}"
    month = "" if not year and first.month == last.month else f" {first:%b}"
    return f"{first.day}{month}{year} – {_written(last)}"


def _written(day: date | None) -> str:
    return f"{day.day} {day:%b} {day.year}" if day else ""


def selected(
    query: Mapping[str, str],
    default_tz: str,
    now_us: int,
    more: tuple[str, ...] = (),
    extent: Extent | None = None,
    preset: str = "today",
) -> Selection:
    """`preset` is for a URL that names no range.

    Raises QuestionError for a zone, a preset, days, a comparison or an interval that can't be.
    """
    tz = query.get("tz") or default_tz
    (first, last) = (query.get("from"), query.get("to"))
    preset = query.get("range") or ("custom" if first or last else preset)
    if preset not in PRESETS:
        raise UnknownPreset(f"no range {preset[:32]!r}; there are {', '.join(PRESETS)}")
    compare = query.get("compare", "")
    if compare and compare not in COMPARISONS:
        raise UnknownComparison(f"no comparison {compare[:32]!r}; there are {', '.join(COMPARISONS)}")
    now = Now(zone_named(tz), now_us)
    asked = range_named(first, last) if preset == "custom" else _preset(preset, now.today)
    here = now_us // 1_000_000 // BUCKET_S * BUCKET_S
    chosen = {name: query[name] for name in more if query.get(name)}
    selection = Selection(preset, tz, asked, now, extent or (here, here), compare, query.get("interval", ""), chosen)
    intervals.chosen(selection.step, selection.length_days)
    return selection


def _preset(preset: str, now: date) -> Range:
    if preset == "all":
        return ALWAYS
    if preset.endswith("d"):
        return Range(now - timedelta(days=int(preset[:-1]) - 1), now)
    yesterday = now - timedelta(days=1)
    monday = now - timedelta(days=now.weekday())
    first = now.replace(day=1)
    before = first - timedelta(days=1)
    return {
        "today": Range(now, now),
        "yesterday": Range(yesterday, yesterday),
        "week": Range(monday, now),
        "last_week": Range(monday - timedelta(days=7), monday - timedelta(days=1)),
        "month": Range(first, now),
        "last_month": Range(before.replace(day=1), before),
        "year": Range(now.replace(month=1, day=1), now),
    }[preset]


def _day(now: Now, second: int) -> date:
    return datetime.fromtimestamp(second, UTC).astimezone(now.zone).date()
