"""Periods: a time zone's days, and what they are made of or make up, laid over the 15-minute UTC buckets of figures.

A day is the zone's own: from the first bucket whose local date it is to the last, so 23 or 25 hours where the clock
changes. An hour is named with its offset, so the hour that comes twice stays two. Weeks (ISO 8601, from Monday) and
months are made of whole days; at the ends of a range only of those that were asked for. A zone is asked with whatever
tzdata knows at the time of the question; nothing about zones is stored.

    QuestionError(ValueError)     the question can't be answered; the message says what to change
    ├── UnknownZone
    ├── UnreadableDay
    ├── EndsBeforeStart
    ├── OffBucket                 the zone's clock doesn't fall on quarters of an hour there
    ├── TooManyPeriods
    ├── UnknownGrouping           (figures.py)
    └── UnknownMetric             (figures.py)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

from event_store.buckets import BUCKET_S

from .read_model import Period

DAY_S = 86_400
MAX_PERIODS = 100_000
"""More than eleven years of hours; beyond that the question is a mistake, and its answer nobody's to read."""


class QuestionError(ValueError):
    """A question about figures that can't be answered as it stands."""


class UnknownZone(QuestionError):
    """No such time zone is known to this machine."""


class UnreadableDay(QuestionError):
    """A text that should be a day isn't one."""


class EndsBeforeStart(QuestionError):
    """The range ends before it starts."""


class OffBucket(QuestionError):
    """A day or hour of the zone begins inside a bucket, which can't be split."""


class TooManyPeriods(QuestionError):
    """The range has more days or hours than are answered at once."""


@dataclass(frozen=True, slots=True)
class Range:
    """Days of a zone, both included; None is open."""

    first: date | None = None
    last: date | None = None
    before: int | None = None
    """Seconds since 1970 UTC, on a bucket: nothing from then on is asked for."""

    def __post_init__(self) -> None:
        if self.first and self.last and self.last < self.first:
            raise EndsBeforeStart(
                f"the range ends on {self.last}, before it starts on {self.first}; put the earlier day first"
            )

    def __contains__(self, day: date) -> bool:
        return (self.first is None or self.first <= day) and (self.last is None or day <= self.last)


ALWAYS = Range()

ALL_TIME = (946_684_800, 4_102_444_800 - BUCKET_S)
"""The first and the last bucket of the years 2000 to 2099, where all events are: days that are asked for bound it."""


@lru_cache(256)
def zone_named(name: str) -> ZoneInfo:
    """The IANA zone of this name, e.g. `Europe/London`. Raises UnknownZone."""
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError) as error:
        raise UnknownZone(f"no time zone {name[:64]!r} is known; use an IANA name such as Europe/London") from error


def day_named(text: str) -> date:
    """A day written as 2011-03-27. Raises UnreadableDay."""
    try:
        day = date.fromisoformat(text)
    except ValueError as error:
        raise UnreadableDay(f"{text[:32]!r} is no day; write it as 2011-03-27") from error
    if day.isoformat() != text:
        raise UnreadableDay(f"{text[:32]!r} is no day; write it as {day}")
    return day


def range_named(first: str | None, last: str | None) -> Range:
    """From one day to another; an end that isn't named is open. Raises UnreadableDay, EndsBeforeStart."""
    return Range(day_named(first) if first else None, day_named(last) if last else None)


def today(zone: ZoneInfo, now_us: int) -> date:
    return datetime.fromtimestamp(now_us / 1e6, zone).date()


def days(zone: ZoneInfo, extent: tuple[int, int], asked: Range) -> list[Period]:
    """The asked days of `zone` between the first and the last bucket of `extent`, oldest first."""
    return list(_periods(zone, extent, asked, _day))


def hours(zone: ZoneInfo, extent: tuple[int, int], asked: Range) -> list[Period]:
    """The hours of those days, named by local start and offset: `2011-10-30T01:00+01:00`."""
    return list(_periods(zone, extent, asked, _hour))


def quarter_hours(zone: ZoneInfo, extent: tuple[int, int], asked: Range) -> list[Period]:
    """The quarters of an hour of those days, named like hours."""
    return list(_periods(zone, extent, asked, _quarter_hour))


def weeks(zone: ZoneInfo, extent: tuple[int, int], asked: Range) -> list[Period]:
    """The asked days by week: `2011-W13`."""
    return _joined(days(zone, extent, asked), week_of)


def months(zone: ZoneInfo, extent: tuple[int, int], asked: Range) -> list[Period]:
    """The asked days by month: `2011-03`."""
    return _joined(days(zone, extent, asked), lambda day: day[:7])


def whole(zone: ZoneInfo, extent: tuple[int, int], asked: Range) -> list[Period]:
    """The asked days as one period, or few, all with the label ``""``."""
    if asked == ALWAYS:
        return [Period("", extent[0], extent[1] + BUCKET_S)]
    return _joined(days(zone, extent, asked), lambda _: "")


def week_of(day: str) -> str:
    (year, week, _) = date.fromisoformat(day).isocalendar()
    return f"{year:04}-W{week:02}"


def _joined(parts: Iterable[Period], label_of: Callable[[str], str]) -> list[Period]:
    """Parts that follow each other and have one label as one period."""
    joined: list[Period] = []
    for part in parts:
        label = label_of(part.label)
        follows = joined and joined[-1].end == part.start and joined[-1].label == label
        start = joined.pop().start if follows else part.start
        joined.append(Period(label, start, part.end))
    return joined


@dataclass(frozen=True, slots=True)
class _Step:
    """A kind of period: what it is called, and how long it lasts from a local time on if the clock doesn't change."""

    label: Callable[[datetime], str]
    left_s: Callable[[datetime], int]


_day = _Step(
    label=lambda local: local.date().isoformat(),
    left_s=lambda local: DAY_S - (local.hour * 3600 + local.minute * 60 + local.second),
)
_hour = _Step(
    label=lambda local: local.replace(minute=0, second=0).isoformat(timespec="minutes"),
    left_s=lambda local: 3600 - (local.minute * 60 + local.second),
)
_quarter_hour = _Step(
    label=lambda local: local.replace(minute=local.minute // 15 * 15, second=0).isoformat(timespec="minutes"),
    left_s=lambda local: BUCKET_S - (local.minute * 60 + local.second) % BUCKET_S,
)


def _periods(zone: ZoneInfo, extent: tuple[int, int], asked: Range, step: _Step) -> Iterator[Period]:
    (at, end) = _clipped(extent, asked)
    local = _local(zone, at)
    count = 0
    while at < end:
        (until, following) = _end_of(zone, at, local, step)
        if local.date() in asked:
            count += 1
            if count > MAX_PERIODS:
                raise TooManyPeriods(f"the range has more than {MAX_PERIODS} of these periods; ask for fewer days")
            yield Period(step.label(local), at, min(until, end))
        (at, local) = (until, following)


def _clipped(extent: tuple[int, int], asked: Range) -> tuple[int, int]:
    """The extent less what lies days outside of the asked range, whatever its zone."""
    (start, end) = (extent[0], extent[1] + BUCKET_S)
    if asked.first is not None:
        start = max(start, _midnight_utc(asked.first) - 2 * DAY_S)
    if asked.last is not None:
        end = min(end, _midnight_utc(asked.last) + 3 * DAY_S)
    if asked.before is not None:
        end = min(end, asked.before)
    return start, end


def _midnight_utc(day: date) -> int:
    return (day.toordinal() - date(1970, 1, 1).toordinal()) * DAY_S


def _end_of(zone: ZoneInfo, at: int, local: datetime, step: _Step) -> tuple[int, datetime]:
    """Where the period ends that begins with the bucket at `at`, which is `local` there; and what time it is then.

    Without a clock change that is arithmetic. With one every bucket up to two hours beyond is looked at: a change
    may skip midnight, repeat it, or skip a whole day.
    """
    until = at + step.left_s(local)
    if until % BUCKET_S:
        raise _off_bucket(zone, local)
    following = _local(zone, until)
    if following.utcoffset() == local.utcoffset():
        return until, following
    return _end_by_buckets(zone, at, until + 2 * 3600, step)


def _end_by_buckets(zone: ZoneInfo, at: int, latest: int, step: _Step) -> tuple[int, datetime]:
    label = step.label(_local(zone, at))
    for bucket in range(at, latest, BUCKET_S):
        first = _local(zone, bucket)
        if step.label(first) != step.label(_local(zone, bucket + BUCKET_S - 1)):
            raise _off_bucket(zone, first)
        if step.label(first) != label:
            return bucket, first
    return latest, _local(zone, latest)


def _off_bucket(zone: ZoneInfo, local: datetime) -> OffBucket:
    return OffBucket(
        f"{zone.key} can't be answered around {local.isoformat(sep=' ', timespec='minutes')}: figures are kept in "
        "quarters of an hour of UTC, and its clock or its clock change doesn't fall on one; ask for other days, or UTC"
    )


def _local(zone: ZoneInfo, second: int) -> datetime:
    return datetime.fromtimestamp(second, zone)
