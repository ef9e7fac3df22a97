"""The overview shows what `figures` answers for the range and zone of its URL, to the digit, and what it compares."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from backoffice.pages.cards import CARDS
from projections.catalogue import DERIVED, METRICS
from projections.figures import Question, figures, metric_named
from projections.memory_read_model import MemoryReadModel
from projections.periods import ALWAYS, Range
from projections.read_model import Changes, FiguresVersion
from tests.web.reading import WHOLE, filled, page, shown, table
from tests.web.shop import OPENED, Shop, busy_days, exact, viewed

AUTUMN = datetime(2011, 10, 28, tzinfo=UTC)
SPRING = datetime(2011, 3, 11, tzinfo=UTC)


async def expected(shop: Shop, question: Question) -> list[tuple[list[str], list[int]]]:
    """(period and currency, integers) of the rows that the question is answered with, newest first."""
    rows = (await figures(shop.read_model, question)).to_dicts()
    periods = list(dict.fromkeys(str(row[question.period]) for row in rows))[::-1]
    ordered = sorted(rows, key=lambda row: periods.index(str(row[question.period])))
    return [([str(row[question.period]), row["currency"]], [row[name] for name in WHOLE]) for row in ordered]


def by_key(rows: list[tuple[list[str], list[int]]]) -> dict[tuple[str, ...], list[int]]:
    return {tuple(keys): values for (keys, values) in rows}


@pytest.mark.parametrize(
    ("tz", "query", "asked"),
    [
        ("Europe/London", {"range": "all"}, ALWAYS),
        ("America/New_York", {"range": "all"}, ALWAYS),
        ("Asia/Kolkata", {"range": "all"}, ALWAYS),
        ("Asia/Kathmandu", {"from": "2011-10-29", "to": "2011-11-02"}, Range(date(2011, 10, 29), date(2011, 11, 2))),
        ("Europe/London", {"range": "custom", "from": "2011-10-30"}, Range(date(2011, 10, 30))),
    ],
)
@pytest.mark.parametrize("interval", ["day", "week", "month"])
async def test_the_table_has_the_figures_of_each_period(
    shop: Shop, tz: str, query: dict[str, str], asked: Range, interval: str
) -> None:
    await shop.happened(*busy_days(shop, seed=11, first=AUTUMN, days=5, events=120), viewed(OPENED, "A"))
    days = "to" in query
    if interval != "day" and days:
        query = {**query, "to": "2011-12-01"}
        asked = Range(asked.first, date(2011, 12, 1))
    async with shop.browser() as client:
        rows = await table(client, "/", tz=tz, compare="none", interval=interval, **query)
    wanted = await expected(shop, Question((interval,), tz, asked))
    found = filled(shown(rows[1:-2], 2))
    assert by_key(found) == by_key(wanted)
    assert [keys[0] for keys, _ in found] == sorted((keys[0] for keys, _ in found), reverse=True)


@pytest.mark.parametrize(
    ("tz", "first", "day", "quarters"),
    [
        ("Europe/London", AUTUMN, "2011-10-30", 100),
        ("Europe/London", datetime(2011, 3, 25, tzinfo=UTC), "2011-03-27", 92),
        ("America/New_York", SPRING, "2011-03-13", 92),
        ("America/New_York", datetime(2011, 11, 4, tzinfo=UTC), "2011-11-06", 100),
        ("Asia/Kathmandu", AUTUMN, "2011-10-30", 96),
    ],
)
@pytest.mark.parametrize("interval", ["hour", "15min"])
async def test_a_day_has_as_many_hours_as_the_zones_clock_gives_it(
    shop: Shop, tz: str, first: datetime, day: str, quarters: int, interval: str
) -> None:
    await shop.happened(*busy_days(shop, seed=12, first=first, days=5, events=300))
    async with shop.browser() as client:
        rows = await table(client, "/", tz=tz, **{"from": day, "to": day}, compare="none", interval=interval)
    asked = Range(date.fromisoformat(day), date.fromisoformat(day))
    labels = [row["label"] for row in await _labels(shop, tz, asked, interval)]
    periods = list(dict.fromkeys(row[0] for row in rows[1:-2]))
    assert len(periods) == quarters / (4 if interval == "hour" else 1)
    wanted = await expected(shop, Question((interval,), tz, asked))
    clocks_change = quarters != 96
    titles = {label: f"{label[11:16]} {label[16:]}" if clocks_change else label[11:16] for label in labels}
    assert by_key(filled(shown(rows[1:-2], 2))) == {
        (titles[label], currency): values for (label, currency), values in by_key(wanted).items()
    }


async def _labels(shop: Shop, tz: str, asked: Range, interval: str) -> list[dict[str, Any]]:
    rows = await figures(shop.read_model, Question((interval,), tz, asked))
    return [{"label": label} for label in rows[interval].to_list()]


@pytest.mark.parametrize("query", [{"range": "all"}, {"range": "7d"}, {"range": "7d", "compare": "none"}])
async def test_the_last_rows_are_the_sums_by_currency(shop: Shop, query: dict[str, str]) -> None:
    await shop.happened(*busy_days(shop, seed=12, first=OPENED - timedelta(days=12), days=11, events=150))
    asked = ALWAYS if query["range"] == "all" else Range(date(2011, 11, 25), date(2011, 12, 1))
    totals = await figures(shop.read_model, Question((), "Europe/London", asked))
    async with shop.browser("Europe/London") as client:
        rows = await table(client, "/", **query)
    compared = query.get("compare") != "none" and query["range"] != "all"
    if compared:
        rows = [[*row[:3], *row[5:]] for row in rows]
    assert shown(rows[-2:], 2) == [
        (["Together", row["currency"]], [row[name] for name in WHOLE]) for row in totals.to_dicts()
    ]


async def test_today_is_compared_with_yesterday_up_to_the_same_quarter_of_an_hour(shop: Shop) -> None:
    shop.clock.now = datetime(2011, 12, 1, 14, 37, tzinfo=UTC)
    at = {"today": datetime(2011, 12, 1, 9, tzinfo=UTC)}
    before = datetime(2011, 11, 30, 14, 44, tzinfo=UTC)
    await shop.happened(
        *(viewed(at["today"], "A") for _ in range(6)),
        *(viewed(before - timedelta(minutes=15), "A") for _ in range(4)),
        viewed(before, "A"),
        viewed(before + timedelta(minutes=1), "A"),
    )
    async with shop.browser() as client:
        shop.clock.now = datetime(2011, 12, 1, 14, 37, tzinfo=UTC)
        early = await page(client, "/", metric="views")
        shop.clock.now = datetime(2011, 12, 1, 14, 38, tzinfo=UTC)
        late = await page(client, "/", metric="views")
    assert "30 Nov 2011, until 14:30" in early
    assert "30 Nov 2011, until 14:45" in late
    assert ">4</a></span>" in early
    assert ">5</a></span>" in late
    assert "50.0 % up" in early
    assert "20.0 % up" in late


@pytest.mark.parametrize("compare", ["before", "year", "weekdays"])
@pytest.mark.parametrize("metric", ["net_minor", "views", "orders"])
async def test_each_row_and_the_sums_stand_beside_what_they_are_compared_with(
    shop: Shop, compare: str, metric: str
) -> None:
    back = {"before": 5, "year": 365, "weekdays": 7}[compare]
    first = datetime(2011, 11, 7, tzinfo=UTC)
    await shop.happened(
        *busy_days(shop, seed=5, first=first, days=5, events=80),
        *busy_days(shop, seed=6, first=first - timedelta(days=back), days=5, events=80),
    )
    query = {"from": "2011-11-07", "to": "2011-11-11", "compare": compare, "metric": metric}
    asked = Range(date(2011, 11, 7) - timedelta(days=back), date(2011, 11, 11) - timedelta(days=back))
    async with shop.browser() as client:
        rows = await table(client, "/", **query)
    answer = (await figures(shop.read_model, Question(("day",), "UTC", asked))).to_dicts()
    wanted = {(str(row["day"] + timedelta(days=back)), row["currency"]): row[metric] for row in answer}
    found = {(row[0], row[1]): exact(row[3]) for row in rows[1:-2]}
    assert {key: value for key, value in found.items() if value} == {k: v for k, v in wanted.items() if v}
    sums = (await figures(shop.read_model, Question((), "UTC", asked))).to_dicts()
    assert {row[1]: exact(row[3]) for row in rows[-2:]} == {row["currency"]: row[metric] for row in sums}


async def test_an_hour_that_only_the_compared_day_has_stands_in_the_table_so_that_it_adds_up(shop: Shop) -> None:
    skipped = datetime(2011, 3, 26, 1, 30, tzinfo=UTC)
    day = datetime(2011, 3, 27, 12, tzinfo=UTC)
    await shop.happened(viewed(skipped, "A"), viewed(skipped, "A"), viewed(day, "A"))
    query = {"from": "2011-03-27", "to": "2011-03-27", "metric": "views", "interval": "hour"}
    async with shop.browser("Europe/London") as client:
        rows = await table(client, "/", **query)
    assert len(rows) == 1 + 23 + 1 + 1
    (only,) = [row for row in rows[1:-1] if row[0] == "–"]
    assert [exact(text) for text in only[2:4]] == [0, 2]
    assert [exact(text) for text in rows[-1][2:4]] == [1, 2]


async def test_every_metric_has_a_column_and_the_chosen_ones_a_card(shop: Shop) -> None:
    await shop.happened(shop.sold(AUTUMN, ("A", 1, 100)), viewed(AUTUMN, "A"))
    async with shop.browser() as client:
        for url in ("/", "/product?id=A"):
            text = (await client.get(url, params={"range": "all", **({"id": "A"} if "id" in url else {})})).text
            (head, tail) = text.split("<thead>")
            shown = [metric.title for metric in METRICS if not metric.name.startswith("traced_")]
            for title in shown + [ratio.title for ratio in DERIVED]:
                assert title in tail.split("</thead>")[0], title
            for name in CARDS:
                assert metric_named(name).title in head


async def test_any_metric_can_be_drawn_and_stands_first_in_the_table(shop: Shop) -> None:
    await shop.happened(*busy_days(shop, seed=14, first=AUTUMN, days=3, events=60))
    async with shop.browser() as client:
        for name in [*WHOLE, "conversion", "like_rate"]:
            rows = await table(client, "/", range="all", metric=name)
            assert rows[0][2].startswith(metric_named(name).title)
            assert len(rows[0]) == len(rows[1]) == len(rows[-1])


async def test_an_order_of_two_products_is_never_called_two_orders(shop: Shop) -> None:
    await shop.happened(shop.sold(AUTUMN, ("A", 1, 100), ("B", 1, 100)))
    async with shop.browser() as client:
        overview = await page(client, "/", range="all")
        product = await page(client, "/product", id="A", range="all")
    assert "Orders (per product)" in overview
    assert "so this is not the number of orders" in overview
    assert "(per product)" not in product


async def test_an_empty_range_leads_to_the_newest_figures_by_one_link(shop: Shop) -> None:
    await shop.happened(viewed(AUTUMN, "A"))
    async with shop.browser() as client:
        text = await page(client, "/")
        assert "No figures in this range" in text
        assert "The newest figures are of 28 Oct 2011." in text
        link = "?range=custom&tz=UTC&from=2011-10-01&to=2011-10-28"
        assert f'href="{link.replace("&", "&amp;")}"' in text
        assert "1" in (await table(client, f"/{link}"))[-1]


async def test_an_up_and_a_down_are_said_in_words(shop: Shop) -> None:
    day = timedelta(days=1)
    await shop.happened(
        *(viewed(OPENED - 3600 * timedelta(seconds=1), "A") for _ in range(3)),
        *(viewed(OPENED - day - timedelta(hours=1), "A") for _ in range(2)),
        shop.sold(OPENED - day - timedelta(hours=1), ("A", 1, 100)),
    )
    async with shop.browser() as client:
        text = " ".join((await page(client, "/")).split())
    assert '<span aria-hidden="true">▲</span> 50.0 % up' in text
    assert '<span aria-hidden="true">▼</span> 100.0 % down' in text
    assert "no change" in text


async def test_a_dashboard_that_starts_reads_the_figures_before_anybody_asks(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_since: asyncio.Queue[FiguresVersion | None] = asyncio.Queue()
    changes = MemoryReadModel.changes

    async def noted(self: MemoryReadModel, since: FiguresVersion | None, most_rows: int) -> Changes | None:
        read_since.put_nowait(since)
        return await changes(self, since, most_rows)

    monkeypatch.setattr(MemoryReadModel, "changes", noted)
    await shop.happened(viewed(AUTUMN, "A"))
    async with shop.dashboard().lifespan(), asyncio.timeout(60):
        assert await read_since.get() is None
