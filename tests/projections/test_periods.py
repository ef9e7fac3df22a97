"""The days and hours of time zones, laid over quarters of an hour of UTC."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from projections.periods import (
    ALWAYS,
    EndsBeforeStart,
    OffBucket,
    QuestionError,
    Range,
    TooManyPeriods,
    UnknownZone,
    UnreadableDay,
    day_named,
    days,
    hours,
    months,
    quarter_hours,
    today,
    weeks,
    whole,
    zone_named,
)

HOUR_S = 3600
LONDON = ZoneInfo("Europe/London")
NEW_YORK = ZoneInfo("America/New_York")


def extent(first: str, last: str) -> tuple[int, int]:
    """First and last bucket, from UTC times."""
    return _second(first), _second(last)


def _second(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def lengths(zone: str, first: str, last: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for one in days(zone_named(zone), extent(first, last), ALWAYS):
        found[one.label] = found.get(one.label, 0) + (one.end - one.start) / HOUR_S
    return found


@pytest.mark.parametrize(
    ("zone", "first", "last", "day", "length_h"),
    [
        ("Europe/London", "2011-03-25", "2011-03-30", "2011-03-27", 23),
        ("Europe/London", "2011-10-28", "2011-11-01", "2011-10-30", 25),
        ("America/New_York", "2011-03-11", "2011-03-16", "2011-03-13", 23),
        ("America/New_York", "2011-11-04", "2011-11-09", "2011-11-06", 25),
        ("Australia/Lord_Howe", "2011-04-01", "2011-04-06", "2011-04-03", 24.5),
        ("America/Havana", "2011-11-11", "2011-11-16", "2011-11-13", 25),
        ("America/Sao_Paulo", "2011-10-14", "2011-10-19", "2011-10-16", 23),
        ("America/Sao_Paulo", "2012-02-23", "2012-02-28", "2012-02-25", 25),
        ("Asia/Kathmandu", "2011-03-25", "2011-03-30", "2011-03-27", 24),
    ],
)
def test_a_day_is_as_long_as_the_zones_own_clock_makes_it(
    zone: str, first: str, last: str, day: str, length_h: float
) -> None:
    assert lengths(zone, first, last)[day] == length_h


def test_a_day_that_a_zone_skipped_is_no_day_of_it() -> None:
    assert list(lengths("Pacific/Apia", "2011-12-28T12:00", "2012-01-01T09:45")) == [
        "2011-12-28",
        "2011-12-29",
        "2011-12-31",
        "2012-01-01",
    ]


@pytest.mark.parametrize(
    ("zone", "starts_utc"), [("Asia/Kathmandu", "18:15"), ("Asia/Kolkata", "18:30"), ("Europe/London", "23:00")]
)
def test_a_day_begins_at_local_midnight_whatever_quarter_of_an_hour_of_utc_that_is(zone: str, starts_utc: str) -> None:
    found = days(zone_named(zone), extent("2011-06-01", "2011-06-04"), Range(date(2011, 6, 2), date(2011, 6, 2)))
    assert [datetime.fromtimestamp(one.start, UTC).strftime("%H:%M") for one in found] == [starts_utc]


def test_the_hour_that_comes_twice_is_two_hours() -> None:
    found = hours(LONDON, extent("2011-10-29T23:00", "2011-10-30T02:45"), ALWAYS)
    assert [(one.label, one.end - one.start) for one in found] == [
        ("2011-10-30T00:00+01:00", HOUR_S),
        ("2011-10-30T01:00+01:00", HOUR_S),
        ("2011-10-30T01:00+00:00", HOUR_S),
        ("2011-10-30T02:00+00:00", HOUR_S),
    ]


def test_the_hour_that_a_clock_change_skips_is_no_hour() -> None:
    found = hours(NEW_YORK, extent("2011-03-13T05:00", "2011-03-13T08:45"), ALWAYS)
    assert [one.label for one in found] == [
        "2011-03-13T00:00-05:00",
        "2011-03-13T01:00-05:00",
        "2011-03-13T03:00-04:00",
        "2011-03-13T04:00-04:00",
    ]


zones = st.sampled_from(
    (
        "UTC Europe/London America/New_York Asia/Kathmandu Asia/Kolkata Australia/Lord_Howe Pacific/Apia "
        "America/Havana America/Sao_Paulo Africa/Casablanca Asia/Pyongyang Pacific/Chatham"
    ).split()
)
moments = st.integers(_second("2005-01-01") // 900, _second("2025-01-01") // 900).map(lambda quarter: quarter * 900)


@settings(max_examples=150, deadline=None)
@given(zone=zones, start=moments, buckets=st.integers(0, 96 * 8))
def test_every_bucket_lies_in_exactly_one_day_and_it_is_its_local_date(zone: str, start: int, buckets: int) -> None:
    at = start
    for one in days(zone_named(zone), (start, start + buckets * 900), ALWAYS):
        assert one.start == at
        for bucket in range(one.start, one.end, 900):
            local = datetime.fromtimestamp(bucket, UTC).astimezone(zone_named(zone))
            assert local.date().isoformat() == one.label
        at = one.end
    assert at == start + (buckets + 1) * 900


@settings(max_examples=100, deadline=None)
@given(zone=zones, start=moments, buckets=st.integers(0, 96 * 2))
def test_every_bucket_lies_in_exactly_one_hour_with_its_offset(zone: str, start: int, buckets: int) -> None:
    at = start
    for one in hours(zone_named(zone), (start, start + buckets * 900), ALWAYS):
        assert one.start == at
        for bucket in range(one.start, one.end, 900):
            local = datetime.fromtimestamp(bucket, UTC).astimezone(zone_named(zone))
            assert local.replace(minute=0).isoformat(timespec="minutes") == one.label
        at = one.end
    assert at == start + (buckets + 1) * 900


@settings(max_examples=50, deadline=None)
@given(zone=zones, start=moments, buckets=st.integers(0, 96 * 2))
def test_every_bucket_is_one_quarter_of_an_hour_of_the_zone_named_by_its_local_time(
    zone: str, start: int, buckets: int
) -> None:
    found = quarter_hours(zone_named(zone), (start, start + buckets * 900), ALWAYS)
    assert [(one.start, one.end) for one in found] == [(at, at + 900) for at in range(start, found[-1].end, 900)]
    assert len(found) == buckets + 1
    for one in found:
        local = datetime.fromtimestamp(one.start, UTC).astimezone(zone_named(zone))
        assert one.label == local.isoformat(timespec="minutes")


@settings(max_examples=50, deadline=None)
@given(zone=zones, start=moments, length_d=st.integers(0, 80), asked_d=st.integers(0, 90))
def test_weeks_and_months_are_made_of_exactly_the_asked_days(
    zone: str, start: int, length_d: int, asked_d: int
) -> None:
    seen = (start, start + length_d * 86_400)
    first = datetime.fromtimestamp(start, UTC).date()
    asked = Range(first, first + timedelta(days=asked_d))
    each = days(zone_named(zone), seen, asked)
    for kind, form in ((weeks, "%G-W%V"), (months, "%Y-%m")):
        found = kind(zone_named(zone), seen, asked)
        assert sum(one.end - one.start for one in found) == sum(one.end - one.start for one in each)
        for day in each:
            (within,) = [one for one in found if one.start <= day.start and day.end <= one.end]
            assert within.label == date.fromisoformat(day.label).strftime(form)


def test_a_range_may_end_within_its_last_day() -> None:
    seen = extent("2011-03-20", "2011-04-05")
    cut = _second("2011-03-22T13:30")
    asked = Range(date(2011, 3, 21), date(2011, 3, 22), cut)
    assert days(LONDON, seen, asked)[-1].end == hours(LONDON, seen, asked)[-1].end == cut
    assert whole(LONDON, seen, asked)[0].end == cut


@settings(max_examples=100, deadline=None)
@given(zone=zones, start=moments, skip=st.integers(0, 6), take=st.integers(0, 6))
def test_a_range_of_days_is_those_days_of_all_days(zone: str, start: int, skip: int, take: int) -> None:
    seen = (start, start + 10 * 86_400)
    first = datetime.fromtimestamp(start, UTC).date() + timedelta(days=skip)
    asked = Range(first, first + timedelta(days=take))
    every = days(zone_named(zone), seen, ALWAYS)
    assert days(zone_named(zone), seen, asked) == [one for one in every if date.fromisoformat(one.label) in asked]


def test_a_range_as_a_whole_is_one_period_over_its_days() -> None:
    seen = extent("2011-03-20", "2011-04-05")
    asked = Range(date(2011, 3, 26), date(2011, 3, 28))
    each = days(LONDON, seen, asked)
    assert [(one.label, one.start, one.end) for one in whole(LONDON, seen, asked)] == [
        ("", each[0].start, each[-1].end)
    ]


def test_a_range_without_ends_goes_from_the_first_bucket_to_the_last() -> None:
    (one,) = whole(LONDON, extent("2011-03-20", "2011-04-05"), ALWAYS)
    assert (one.start, one.end) == (_second("2011-03-20"), _second("2011-04-05") + 900)


def test_a_range_far_from_every_bucket_has_no_days() -> None:
    seen = extent("2011-03-20", "2011-04-05")
    assert days(LONDON, seen, Range(date(1, 1, 1), date(1, 1, 2))) == []
    assert days(LONDON, seen, Range(date(9999, 12, 30), date(9999, 12, 31))) == []
    assert len(days(LONDON, seen, Range(date(1, 1, 1), date(9999, 12, 31)))) == len(days(LONDON, seen, ALWAYS))


def test_a_range_that_ends_before_it_starts_is_refused() -> None:
    with pytest.raises(EndsBeforeStart, match="ends on 2011-04-01, before it starts on 2011-05-01"):
        Range(date(2011, 5, 1), date(2011, 4, 1))


@pytest.mark.parametrize(
    "name", ["", "Nowhere/City", "..", "../../etc/passwd", "/etc/passwd", "Europe", "a\0b", "x" * 5000, "Europe/Löndon"]
)
def test_a_zone_that_nobody_knows_is_refused(name: str) -> None:
    with pytest.raises(UnknownZone, match="no time zone"):
        zone_named(name)


@pytest.mark.parametrize(
    "text", ["", "20110327", "2011-3-27", "2011-02-30", "2011-W12-7", "27.3.2011", "2011-03-27T00"]
)
def test_a_text_that_is_no_day_is_refused(text: str) -> None:
    with pytest.raises(UnreadableDay, match="2011-03-27"):
        day_named(text)


def test_a_zone_whose_clock_is_off_the_quarters_of_an_hour_is_refused_where_it_is_so() -> None:
    monrovia = zone_named("Africa/Monrovia")  # 44 minutes 30 seconds behind UTC until 1972
    with pytest.raises(OffBucket, match="Africa/Monrovia can't be answered around 1970-11-0"):
        days(monrovia, extent("1970-11-06", "1970-11-09"), ALWAYS)
    assert len(days(monrovia, extent("2011-11-06", "2011-11-09"), ALWAYS)) == 4


def test_a_clock_change_inside_a_bucket_is_refused_only_where_it_parts_the_bucket() -> None:
    st_johns = zone_named("America/St_Johns")  # changed at one minute past midnight until 2011
    with pytest.raises(OffBucket, match="2010-11-07"):
        days(st_johns, extent("2010-11-06", "2010-11-09"), ALWAYS)
    spring = days(st_johns, extent("2011-03-12T03:30", "2011-03-15T02:15"), ALWAYS)
    assert [(one.label, (one.end - one.start) / HOUR_S) for one in spring] == [
        ("2011-03-12", 24),
        ("2011-03-13", 23),
        ("2011-03-14", 24),
    ]


def test_more_hours_than_anybody_reads_are_refused() -> None:
    with pytest.raises(TooManyPeriods, match="ask for fewer days"):
        hours(zone_named("UTC"), extent("2000-01-01", "2012-01-01"), ALWAYS)


def test_today_is_the_zones_own_day() -> None:
    now_us = _second("2011-06-30T20:00") * 1_000_000
    assert today(zone_named("Asia/Kathmandu"), now_us) == date(2011, 7, 1)
    assert today(NEW_YORK, now_us) == date(2011, 6, 30)


def test_every_refusal_is_a_question_error_and_so_a_value_error() -> None:
    kinds = (UnknownZone, UnreadableDay, EndsBeforeStart, OffBucket, TooManyPeriods)
    assert all(issubclass(kind, QuestionError) and issubclass(kind, ValueError) for kind in kinds)
