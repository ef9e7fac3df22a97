"""The pages show what `figures` answers, to the digit, for the range and zone in their URL."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import httpx
import pytest

from backoffice.pages.shown import SHOWN
from projections.catalogue import DERIVED, METRICS
from projections.figures import Question, figures
from projections.metric import Unit
from projections.periods import ALWAYS, Range
from tests.web.shop import OPENED, PARTITIONS, Shop, Tables, busy_days, exact, listed, viewed

AUTUMN = datetime(2011, 10, 28, tzinfo=UTC)
WHOLE = [metric.name for metric in SHOWN if metric.unit is not Unit.RATIO]
"""Columns that are integers; the ratios come after them."""


async def page(client: httpx.AsyncClient, url: str, **query: object) -> str:
    answer = await client.get(url, params={name: str(value) for name, value in query.items()} or None)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    return answer.text


def shown(rows: list[list[str]], keys: int) -> list[tuple[list[str], list[int]]]:
    """(keys, integers) of each row of a table."""
    return [(row[:keys], [exact(text) for text in row[keys : keys + len(WHOLE)]]) for row in rows]


@pytest.mark.parametrize(
    ("tz", "query", "asked"),
    [
        ("Europe/London", {}, ALWAYS),
        ("America/New_York", {"range": "all"}, ALWAYS),
        ("Asia/Kathmandu", {"from": "2011-10-29", "to": "2011-10-30"}, Range(date(2011, 10, 29), date(2011, 10, 30))),
        ("Europe/London", {"range": "custom", "from": "2011-10-30"}, Range(date(2011, 10, 30))),
    ],
)
async def test_the_overview_shows_each_day_newest_first(
    shop: Shop, tz: str, query: dict[str, str], asked: Range
) -> None:
    await shop.happened(*busy_days(shop, seed=11, first=AUTUMN, days=5, events=200))
    answer = await figures(shop.read_model, Question(("day",), tz, asked))
    expected = [([str(row["day"]), row["currency"]], [row[name] for name in WHOLE]) for row in answer.to_dicts()][::-1]
    async with shop.browser() as client:
        (table,) = Tables(await page(client, "/", tz=tz, **query)).tables
    assert shown(table[1 : 1 + len(expected)], 2) == expected


async def test_the_overviews_last_rows_are_the_sums_of_its_days_by_currency(shop: Shop) -> None:
    await shop.happened(*busy_days(shop, seed=12, first=AUTUMN, days=4, events=150))
    totals = await figures(shop.read_model, Question((), "Europe/London"))
    expected = [(["All days", row["currency"]], [row[name] for name in WHOLE]) for row in totals.to_dicts()]
    async with shop.browser("Europe/London") as client:
        (table,) = Tables(await page(client, "/")).tables
    assert len(expected) == 2
    assert shown(table[-2:], 2) == expected


async def test_every_metric_of_the_catalogue_has_a_card_and_a_column(shop: Shop) -> None:
    await shop.happened(shop.sold(AUTUMN, ("A", 1, 100)), viewed(AUTUMN, "A"))
    async with shop.browser() as client:
        for url in ("/", "/product?id=A"):
            text = await page(client, url)
            for title in [metric.title for metric in METRICS] + [ratio.title for ratio in DERIVED]:
                assert text.count(title) >= 2, title


@pytest.mark.parametrize(("days_apart", "points"), [(0, 0), (1, 2), (399, 400), (400, 201), (4_000, 364)])
async def test_the_course_of_a_card_is_drawn_in_few_points_however_long_the_range(
    shop: Shop, days_apart: int, points: int
) -> None:
    await shop.happened(viewed(AUTUMN, "A"), viewed(AUTUMN - timedelta(days=days_apart), "A"))
    async with shop.browser() as client:
        text = await page(client, "/")
    drawn = text.partition('points="')[2].partition('"')[0].split()
    assert len(drawn) == points
    assert drawn[:1] + drawn[-1:] == (["0.0,1.0", "100.0,1.0"] if points else [])


async def test_an_order_of_two_products_is_never_called_two_orders(shop: Shop) -> None:
    await shop.happened(shop.sold(AUTUMN, ("A", 1, 100), ("B", 1, 100)))
    async with shop.browser() as client:
        overview = await page(client, "/")
        product = await page(client, "/product", id="A")
    assert "Orders (per product)" in overview
    assert "so this is not the number of orders" in overview
    assert "(per product)" not in product


async def test_the_products_table_shows_every_product_and_its_name(shop: Shop) -> None:
    await shop.happened(listed(AUTUMN, "A", "Bunting"), *busy_days(shop, seed=13, first=AUTUMN, days=3, events=120))
    answer = await figures(shop.read_model, Question(("product",), "Europe/London"))
    names = {"A": "Bunting", "B": "", "C": ""}
    expected = [
        ([row["product_id"], names[row["product_id"]], row["currency"]], [row[name] for name in WHOLE])
        for row in answer.to_dicts()
    ]
    async with shop.browser("Europe/London") as client:
        (table,) = Tables(await page(client, "/products", sort="product_id")).tables
    assert shown(table[1:-2], 3) == expected


@pytest.mark.parametrize("text", ["%00", "%FF%FE", "%ED%A0%80", "a" * 3000, "%E2%80%AE", "{{7*7}}", "%27%22%3E"])
@pytest.mark.parametrize("name", ["id", "q", "day", "sort", "tz", "range", "from", "page", "unknown"])
async def test_no_value_in_a_url_breaks_a_page(shop: Shop, name: str, text: str) -> None:
    await shop.happened(viewed(AUTUMN, "A"))
    async with shop.browser() as client:
        answers = [await client.get(f"{path}?{name}={text}") for path in ("/", "/products", "/product", "/figures.csv")]
    assert {answer.status_code for answer in answers} <= {200, 400, 404}


@pytest.mark.parametrize("metric", [*WHOLE, "conversion", "like_rate"])
@pytest.mark.parametrize("direction", ["up", "down"])
async def test_products_can_be_sorted_by_any_metric_either_way(shop: Shop, metric: str, direction: str) -> None:
    await shop.happened(*busy_days(shop, seed=14, first=AUTUMN, days=3, events=60))
    answer = await figures(shop.read_model, Question(("product",), ratios=True))
    rows = answer.sort(metric, descending=direction == "down", nulls_last=True, maintain_order=True)
    async with shop.browser() as client:
        (table,) = Tables(await page(client, "/products", sort=metric, dir=direction)).tables
    assert [(row[0], row[2]) for row in table[1:-2]] == rows.select("product_id", "currency").rows()


async def test_a_search_finds_ids_and_names_whatever_their_case_and_adds_up_what_it_found(shop: Shop) -> None:
    sales = [shop.sold(AUTUMN, (product, 1, amount)) for product, amount in (("85123A", 100), ("22423", 30), ("X", 7))]
    await shop.happened(listed(AUTUMN, "22423", "Regency CAKESTAND"), *sales)
    async with shop.browser() as client:
        (by_name,) = Tables(await page(client, "/products", q="cakestand")).tables
        (by_id,) = Tables(await page(client, "/products", q="5123a")).tables
        nothing = await page(client, "/products", q="umbrella")
    assert [row[0] for row in by_name[1:]] == ["22423", "All found"]
    assert [row[0] for row in by_id[1:]] == ["85123A", "All found"]
    assert exact(by_id[-1][3]) == 100
    assert "No product has figures here" in nothing


async def test_products_come_in_pages_and_the_totals_are_of_all_of_them(shop: Shop) -> None:
    await shop.happened(*(viewed(AUTUMN, f"P{number:03}") for number in range(120)))
    async with shop.browser() as client:
        texts = [await page(client, "/products", sort="product_id", page=number) for number in (1, 2, 3, 9)]
    tables = [Tables(text).tables[0] for text in texts]
    assert [row[0] for table in tables[:3] for row in table[1:-1]] == [f"P{number:03}" for number in range(120)]
    assert tables[3] == tables[2]
    views = 3 + WHOLE.index("views")
    assert [exact(table[-1][views]) for table in tables] == [120] * 4
    assert "1 to 50 of 120" in texts[0]


async def test_a_products_page_shows_its_own_days_and_the_hours_of_one(shop: Shop) -> None:
    await shop.happened(*busy_days(shop, seed=15, first=AUTUMN, days=4, events=300))
    night = datetime(2011, 10, 30, 0, 30, tzinfo=UTC)
    await shop.happened(viewed(night, "A"), viewed(night + timedelta(hours=1), "A"))
    zone = "Europe/London"
    by_day = await figures(shop.read_model, Question(("day",), zone, products=("A",)))
    change = Range(date(2011, 10, 30), date(2011, 10, 30))
    by_hour = await figures(shop.read_model, Question(("hour",), zone, change, products=("A",)))
    async with shop.browser(zone) as client:
        (hours, days) = Tables(await page(client, "/product", id="A", day="2011-10-30")).tables
    expected_days = [([str(row["day"]), row["currency"]], [row[name] for name in WHOLE]) for row in by_day.to_dicts()]
    assert shown(days[1:-2], 2) == expected_days[::-1]
    expected_hours = [
        ([f"{row['hour'][11:16]} {row['hour'][16:]}", row["currency"]], [row[name] for name in WHOLE])
        for row in by_hour.to_dicts()
    ]
    assert shown(hours[1:], 2) == expected_hours
    assert {"01:00 +01:00", "01:00 +00:00"} <= {row[0] for row in hours[1:]}


async def test_a_listed_product_that_nobody_saw_has_a_page(shop: Shop) -> None:
    await shop.happened(listed(AUTUMN, "A/B?c=d&e", "Umbrella"), viewed(AUTUMN, "other"))
    async with shop.browser() as client:
        text = await page(client, "/product", id="A/B?c=d&e")
    assert "<h1><bdi>Umbrella</bdi></h1>" in text
    assert "£12.50" in text
    assert "No figures of this product in this range" in text


@pytest.mark.parametrize(
    ("preset", "tz", "days"),
    [
        ("today", "UTC", ["2011-12-01"]),
        ("today", "Pacific/Kiritimati", ["2011-12-02"]),
        ("yesterday", "UTC", ["2011-11-30"]),
        ("7d", "UTC", ["2011-12-01", "2011-11-30", "2011-11-25"]),
        ("30d", "UTC", ["2011-12-01", "2011-11-30", "2011-11-25", "2011-11-02"]),
        ("all", "UTC", ["2011-12-01", "2011-11-30", "2011-11-25", "2011-11-02", "2011-11-01"]),
    ],
)
async def test_a_preset_is_days_of_the_zone_counted_back_from_its_today(
    shop: Shop, preset: str, tz: str, days: list[str]
) -> None:
    back_days = (0, 1, 6, 29, 30)
    await shop.happened(*(viewed(OPENED - timedelta(days=back), "A") for back in back_days))
    async with shop.browser() as client:
        (table,) = Tables(await page(client, "/", range=preset, tz=tz)).tables
    assert [row[0] for row in table[1:-1]] == days


async def test_what_was_chosen_goes_along_to_other_pages_in_the_url(shop: Shop) -> None:
    await shop.happened(viewed(AUTUMN, "A"))
    async with shop.browser() as client:
        text = await page(client, "/", tz="Asia/Kolkata", **{"from": "2011-10-28", "to": "2011-10-29"})
    chosen = "range=custom&amp;tz=Asia%2FKolkata&amp;from=2011-10-28&amp;to=2011-10-29"
    assert f'href="/products?{chosen}"' in text
    assert f'href="/pipeline?{chosen}"' in text
    assert 'value="2011-10-28"' in text
    assert 'value="Asia/Kolkata"' in text


@pytest.mark.parametrize("url", ["/", "/products", "/product?id=A", "/pipeline"])
async def test_every_page_says_how_far_it_is_complete(shop: Shop, url: str) -> None:
    await shop.happened(viewed(AUTUMN, "A"), viewed(AUTUMN, "A"))
    shop.accepts(*viewed(AUTUMN, "A"))
    shop.clock.passes(5)
    async with shop.browser() as client:
        text = " ".join((await page(client, url)).split())
    assert '<time datetime="2011-12-01T12:00:00+00:00">1 Dec 2011, 12:00:00</time>, offset 2' in text
    assert "1 event on its way" in text


@pytest.mark.parametrize("url", ["/", "/products"])
async def test_an_empty_shop_says_which_command_brings_data(shop: Shop, url: str) -> None:
    async with shop.browser() as client:
        text = await page(client, url)
    assert "countinghouse demo" in text
    assert "countinghouse import online-retail FILE" in text


async def test_a_range_without_figures_leads_back_to_the_whole_time(shop: Shop) -> None:
    await shop.happened(viewed(AUTUMN, "A"))
    async with shop.browser() as client:
        text = await page(client, "/", range="today")
    assert "No figures in this range" in text
    assert 'href="?range=all&amp;tz=UTC"' in text


async def test_the_pipeline_page_shows_what_waits_in_each_stage(shop: Shop) -> None:
    await shop.happened(*(viewed(AUTUMN, "A") for _ in range(3)))
    shop.accepts(*viewed(AUTUMN, "A"))
    await shop.sends()
    shop.accepts(*viewed(AUTUMN, "A"))
    shop.accepts(*viewed(AUTUMN, "A"))
    async with shop.browser() as client:
        (partitions, lanes, generations) = Tables(await page(client, "/pipeline")).tables
    (behind,) = [row for row in partitions[1:] if row[3] != "0"]
    assert behind[1:4] == ["4", "3", "1"]
    (waiting,) = [row for row in lanes[1:] if row[1] != "0"]
    assert waiting[1:6] == ["2", "0", "0", "0", "4"]
    assert generations[1][:2] == ["1", "serving"]


async def test_the_pipeline_page_shows_throughput_and_who_counts_what(shop: Shop) -> None:
    names = [f"partition/{topic}/{number}" for topic, count in PARTITIONS.items() for number in range(count)]
    await shop.leases.take([*names, "member/<first>"], "<first>", 60)
    async with shop.browser() as client:
        before = await page(client, "/pipeline")
        await shop.happened(*(viewed(AUTUMN, "A") for _ in range(30)))
        shop.clock.passes(10)
        after = await page(client, "/pipeline")
    assert "counted/s" not in before
    assert "Rates over the last 10.0 s" in after
    (partitions, lanes, _) = Tables(after).tables
    assert len({len(row) for row in partitions}) == 1
    at = {name: partitions[0].index(name) for name in ("New/s", "Counted/s", "Consumer", "Rebalances")}
    (busy,) = [row for row in partitions[1:] if row[1] == "30"]
    assert [busy[number] for number in at.values()] == ["3.0", "3.0", "<first>", "0"]
    assert [row[lanes[0].index("Sent/s")] for row in lanes[1:] if row[5] == "30"] == ["3.0"]


async def test_an_open_page_gets_only_the_stamp_until_something_was_counted(shop: Shop) -> None:
    await shop.happened(viewed(AUTUMN, "A"))
    async with shop.browser() as client:
        whole = await page(client, "/")
        version = whole.partition('data-version="')[2].partition('"')[0]
        again = (await client.get("/", headers={"X-Figures-Version": version})).text
        await shop.happened(viewed(AUTUMN, "A"))
        changed = (await client.get("/", headers={"X-Figures-Version": version})).text
        elsewhere = (await client.get("/?range=today", headers={"X-Figures-Version": version})).text
    assert version
    assert 'id="stamp"' in again
    assert "<table" not in again
    assert "<table" in changed
    assert "No figures in this range" in elsewhere
