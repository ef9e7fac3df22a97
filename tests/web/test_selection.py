"""What is chosen stands in the URL, and comparisons are of as many days, at the same times."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from urllib.parse import parse_qsl
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backoffice.pages.change import change
from backoffice.pages.compared import COMPARISONS, Now, a_year_before, compared
from backoffice.pages.intervals import INTERVALS, UnfitInterval, chosen, offered, place, usual
from backoffice.pages.selection import PRESETS, Selection, selected, span
from backoffice.pages.sparkline import sparkline
from projections.figures import PERIODS
from projections.periods import ALWAYS, Range
from tests.web.reading import page, table
from tests.web.shop import OPENED, Shop, viewed

NOW_US = int(datetime(2011, 12, 1, 14, 37, tzinfo=UTC).timestamp() * 1e6)
ZONES = ["UTC", "Europe/London", "America/New_York", "Asia/Kathmandu", "Asia/Kolkata", "Pacific/Apia"]
zones = st.sampled_from(ZONES)
moments_us = st.datetimes(datetime(1990, 1, 1), datetime(2035, 1, 1)).map(  # noqa: DTZ001  # aware in the next line
    lambda at: int(at.replace(tzinfo=UTC).timestamp()) * 1_000_000
)
days = st.dates(date(1990, 1, 1), date(2035, 1, 1))
texts = st.text(min_size=1, max_size=20).filter(lambda text: text.isprintable())


def of(query: dict[str, str], now_us: int = NOW_US, tz: str = "UTC") -> Selection:
    return selected(query, tz, now_us, ("q", "metric"))


@settings(max_examples=200, deadline=None)
@given(
    now_us=moments_us,
    preset=st.sampled_from(list(PRESETS)),
    tz=zones,
    ends=st.tuples(days, days).map(sorted),
    compare=st.sampled_from(["", *COMPARISONS]),
    text=texts,
    fine=st.integers(0, 9),
)
def test_a_selection_comes_back_from_its_own_url(
    now_us: int, preset: str, tz: str, ends: list[date], compare: str, text: str, fine: int
) -> None:
    custom = {"from": ends[0].isoformat(), "to": ends[1].isoformat()} if preset == "custom" else {}
    query = {"range": preset, "tz": tz, "q": text, **custom, **({"compare": compare} if compare else {})}
    fitting = offered(of(query, now_us).length_days)
    query |= {"interval": fitting[fine]} if fine < len(fitting) else {}
    selection = of(query, now_us)
    assert of(dict(parse_qsl(selection.link().removeprefix("?"))), now_us, "Asia/Tokyo") == selection
    assert dict(parse_qsl(selection.link().removeprefix("?"))) == query


ranges = st.builds(lambda first, length: Range(first, first + timedelta(days=length)), days, st.integers(0, 500))


@settings(max_examples=300, deadline=None)
@given(asked=ranges, how=st.sampled_from(["before", "year", "weekdays"]), now_us=moments_us, tz=zones)
def test_the_compared_range_has_as_many_days_and_lies_before(asked: Range, how: str, now_us: int, tz: str) -> None:
    assert asked.first is not None
    assert asked.last is not None
    found = compared(asked, how, Now(ZoneInfo(tz), now_us))
    assert found is not None
    assert found.first is not None
    assert found.last is not None
    assert found.last - found.first == asked.last - asked.first
    if how == "before":
        assert found.last == asked.first - timedelta(days=1)
    if how == "weekdays":
        assert found.first.weekday() == asked.first.weekday()
        assert asked.first - timedelta(days=7) < found.last + timedelta(days=7)
        assert found.last < asked.first
    if how == "year":
        assert found.first == a_year_before(asked.first)


@settings(max_examples=300, deadline=None)
@given(length=st.integers(0, 60), how=st.sampled_from(["before", "year", "weekdays"]), now_us=moments_us, tz=zones)
def test_a_range_that_still_runs_is_compared_up_to_the_same_time_of_the_zones_clock(
    length: int, how: str, now_us: int, tz: str
) -> None:
    now = Now(ZoneInfo(tz), now_us)
    found = compared(Range(now.today - timedelta(days=length), now.today), how, now)
    assert found is not None
    assert found.last is not None
    assert found.before is not None
    assert found.before % 900 == 0
    there = datetime.fromtimestamp(found.before, now.zone).replace(tzinfo=None)
    wanted = now.local.replace(tzinfo=None) - (now.today - found.last)
    # Half a quarter of an hour, or a whole one after midnight; an hour more where the clock skips it there.
    assert abs(there - wanted) <= timedelta(minutes=15) or abs(there - wanted) <= timedelta(minutes=75)
    offsets = {
        (datetime.combine(found.last, datetime.min.time(), now.zone) + timedelta(hours=h)).utcoffset()
        for h in range(27)
    }
    if len(offsets) == 1:
        assert abs(there - wanted) <= timedelta(minutes=15)


@given(asked=ranges, how=st.sampled_from(["before", "year", "weekdays"]))
def test_a_range_that_is_over_is_compared_whole(asked: Range, how: str) -> None:
    found = compared(asked, how, Now(ZoneInfo("UTC"), 4_000_000_000_000_000))
    assert found is not None
    assert found.before is None


def test_nothing_is_compared_where_there_is_no_beginning_or_no_wish() -> None:
    now = Now(ZoneInfo("UTC"), NOW_US)
    assert compared(ALWAYS, "before", now) is None
    assert compared(Range(None, date(2011, 1, 1)), "year", now) is None
    assert compared(Range(date(2011, 1, 1)), "none", now) is None
    assert compared(Range(date(1, 1, 1), date(2011, 1, 1)), "before", now) is None


@pytest.mark.parametrize(
    ("preset", "first", "last"),
    [
        ("today", "2011-12-01", "2011-12-01"),
        ("yesterday", "2011-11-30", "2011-11-30"),
        ("7d", "2011-11-25", "2011-12-01"),
        ("30d", "2011-11-02", "2011-12-01"),
        ("90d", "2011-09-03", "2011-12-01"),
        ("week", "2011-11-28", "2011-12-01"),
        ("last_week", "2011-11-21", "2011-11-27"),
        ("month", "2011-12-01", "2011-12-01"),
        ("last_month", "2011-11-01", "2011-11-30"),
        ("year", "2011-01-01", "2011-12-01"),
    ],
)
def test_a_preset_is_days_counted_from_today(preset: str, first: str, last: str) -> None:
    assert of({"range": preset}).asked == Range(date.fromisoformat(first), date.fromisoformat(last))


def test_today_is_the_zones_own() -> None:
    assert of({"tz": "Pacific/Kiritimati"}).asked.first == date(2011, 12, 2)
    assert of({}).preset == "today"
    assert of({}).comparison == "before"
    assert of({"range": "all"}).comparison == "none"


@pytest.mark.parametrize(
    ("days_long", "wanted"),
    [(1, "hour"), (2, "hour"), (3, "day"), (31, "day"), (400, "day"), (401, "month"), (9_000, "month")],
)
def test_a_range_has_an_interval_that_it_fits_unless_one_is_chosen(days_long: int, wanted: str) -> None:
    assert usual(days_long) == chosen("", days_long) == wanted
    assert wanted in offered(days_long)
    for name in INTERVALS:
        if name in offered(days_long):
            assert chosen(name, days_long) == name
        else:
            with pytest.raises(UnfitInterval, match=f"choose {', '.join(offered(days_long))}"):
                chosen(name, days_long)


@settings(max_examples=100, deadline=None)
@given(interval=st.sampled_from(list(PERIODS)), tz=zones, asked=ranges, now_us=moments_us)
def test_periods_of_a_range_have_places_of_their_own_in_their_order(
    interval: str, tz: str, asked: Range, now_us: int
) -> None:
    del now_us
    assert asked.first is not None
    last = min(asked.last or asked.first, asked.first + timedelta(days=3 if interval in ("15min", "hour") else 500))
    begin = int(datetime.combine(asked.first, datetime.min.time(), UTC).timestamp())
    extent = (begin - 86_400 * 2, begin + 86_400 * 505)
    found = PERIODS[interval](ZoneInfo(tz), extent, Range(asked.first, last))
    labels = list(dict.fromkeys(one.label for one in found))
    places = [place(interval, label, asked.first, ZoneInfo(tz)) for label in labels]
    assert len(set(places)) == len(labels)
    assert [one[0] for one in places] == sorted(one[0] for one in places)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"compare": "tomorrow"}, "No comparison &#39;tomorrow&#39;; there are none, before, year, weekdays."),
        ({"interval": "minute"}, "No interval &#39;minute&#39;; there are 15min, hour, day, week, month."),
        (
            {"range": "90d", "interval": "15min"},
            "The interval 15min doesn&#39;t fit a range of 90 days; choose day, week, month, or other days.",
        ),
        ({"metric": "profit"}, "No metric &#39;profit&#39;; there are net_minor, orders"),
        ({"from": "2011-05-01", "to": "2011-04-01"}, "put the earlier day first."),
    ],
)
async def test_what_can_not_be_chosen_is_refused_in_words(shop: Shop, query: dict[str, str], words: str) -> None:
    await shop.happened(viewed(OPENED, "A"))
    async with shop.browser() as client:
        answer = await client.get("/", params=query)
    assert answer.status_code == 400
    assert words in answer.text


async def test_presets_list_the_days_up_to_today(shop: Shop) -> None:
    back_days = (0, 1, 6, 29, 30)
    await shop.happened(*(viewed(OPENED - timedelta(days=back), "A") for back in back_days))
    async with shop.browser() as client:
        for preset, length in {"today": 1, "yesterday": 1, "7d": 7, "30d": 30, "all": 31}.items():
            rows = await table(client, "/", range=preset, interval="day", compare="none", metric="views")
            listed = [row[0] for row in rows[1:-1]]
            newest = OPENED.date() - timedelta(days=preset == "yesterday")
            assert listed == [str(newest - timedelta(days=back)) for back in range(length)]
            assert [row[2] for row in rows[1:-1]].count("1") == sum(
                newest - timedelta(days=length) < OPENED.date() - timedelta(days=back) <= newest for back in back_days
            )


async def test_where_all_would_lie_before_the_first_figure_nothing_is_compared(shop: Shop) -> None:
    await shop.happened(viewed(OPENED, "A"))
    async with shop.browser() as client:
        text = await page(client, "/", range="7d")
    assert "nothing to compare with: the figures begin on 1 Dec 2011" in text
    assert "from nothing" not in text


@pytest.mark.parametrize(
    ("now", "before", "text"),
    [
        (112.3, 100, "▲ 12.3 % up"),
        (75, 100, "▼ 25.0 % down"),
        (5, 5, "= no change"),
        (0, 0, "= no change"),
        (100_001, 100_000, "▲ under 0.1 % up"),
        (5, 0, "▲ up from nothing"),
        (-5, 0, "▼ down from nothing"),
        (50, -100, "▲ 150.0 % up"),
        (-200, -100, "▼ 100.0 % down"),
        (10**40, 10**20, "▲ 10,000,000,000,000,000,000,000.0 % up"),
    ],
)
def test_a_change_is_an_arrow_a_part_and_a_word(now: float, before: float, text: str) -> None:
    found = change(now, before)
    assert found is not None
    assert found.text == text


def test_what_has_no_value_has_not_changed() -> None:
    assert change(None, 1) is None
    assert change(1, None) is None


@given(st.lists(st.integers(-(10**18), 10**18), max_size=2_000))
def test_a_sparkline_stays_in_its_box_and_has_few_points(values: list[int]) -> None:
    points = [tuple(map(float, one.split(","))) for one in sparkline(values).split()]
    assert len(points) <= 200
    assert all(0 <= x <= 100 and 0 <= y <= 24 for x, y in points)
    if len(values) > 1 and len(values) <= 200 and any(values):
        assert len(points) == len(values)


@pytest.mark.parametrize(
    ("first", "last", "text"),
    [
        ("2011-03-12", "2011-03-12", "12 Mar 2011"),
        ("2011-03-01", "2011-03-12", "1 – 12 Mar 2011"),
        ("2011-02-28", "2011-03-12", "28 Feb – 12 Mar 2011"),
        ("2010-12-31", "2011-01-01", "31 Dec 2010 – 1 Jan 2011"),
    ],
)
def test_days_are_written_as_short_as_they_can_be(first: str, last: str, text: str) -> None:
    assert span(Range(date.fromisoformat(first), date.fromisoformat(last))) == text
