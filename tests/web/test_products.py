"""The products page and a product's page show what `figures` answers, to the digit; what moved is told."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from projections.figures import Question, figures
from projections.periods import Range
from tests.web.reading import WHOLE, filled, page, shown, table
from tests.web.shop import Shop, Tables, busy_days, exact, listed, viewed

AUTUMN = datetime(2011, 10, 28, tzinfo=UTC)


async def test_the_table_shows_every_product_and_its_name(shop: Shop) -> None:
    await shop.happened(listed(AUTUMN, "A", "Bunting"), *busy_days(shop, seed=13, first=AUTUMN, days=3, events=120))
    answer = await figures(shop.read_model, Question(("product",), "Europe/London"))
    names = {"A": "Bunting", "B": "", "C": ""}
    expected = [
        ([row["product_id"], names[row["product_id"]], row["currency"]], [row[name] for name in WHOLE])
        for row in answer.to_dicts()
    ]
    async with shop.browser("Europe/London") as client:
        rows = await table(client, "/products", range="all", sort="product_id")
    assert shown(rows[1:-2], 3, skip=1) == expected
    totals = (await figures(shop.read_model, Question((), "Europe/London"))).to_dicts()
    assert [values for _, values in shown(rows[-2:], 3, skip=1)] == [[row[name] for name in WHOLE] for row in totals]


@pytest.mark.parametrize("metric", [*WHOLE, "conversion", "like_rate"])
@pytest.mark.parametrize("direction", ["up", "down"])
async def test_products_can_be_sorted_by_any_metric_either_way(shop: Shop, metric: str, direction: str) -> None:
    await shop.happened(*busy_days(shop, seed=14, first=AUTUMN, days=3, events=60))
    answer = await figures(shop.read_model, Question(("product",), ratios=True))
    rows = answer.sort(metric, descending=direction == "down", nulls_last=True, maintain_order=True)
    async with shop.browser() as client:
        found = await table(client, "/products", range="all", sort=metric, dir=direction)
    assert [(row[0], row[2]) for row in found[1:-2]] == rows.select("product_id", "currency").rows()


async def test_a_search_finds_ids_and_names_whatever_their_case_and_adds_up_what_it_found(shop: Shop) -> None:
    sales = [shop.sold(AUTUMN, (product, 1, amount)) for product, amount in (("85123A", 100), ("22423", 30), ("X", 7))]
    await shop.happened(listed(AUTUMN, "22423", "Regency CAKESTAND"), *sales)
    async with shop.browser() as client:
        by_name = await table(client, "/products", range="all", q="cakestand")
        by_id = await table(client, "/products", range="all", q="5123a")
        nothing = await page(client, "/products", range="all", q="umbrella")
        too_long = await client.get("/products", params={"q": "a" * 10_000})
    assert [row[0] for row in by_name[1:]] == ["22423", "All found"]
    assert [row[0] for row in by_id[1:]] == ["85123A", "All found"]
    assert exact(by_id[-1][4]) == 100
    assert "No product has figures here" in nothing
    assert too_long.status_code == 400
    assert "The search has 10,000 characters; use at most 200." in too_long.text


async def test_products_come_in_pages_and_the_totals_are_of_all_of_them(shop: Shop) -> None:
    await shop.happened(*(viewed(AUTUMN, f"P{number:03}") for number in range(120)))
    async with shop.browser() as client:
        texts = [
            await page(client, "/products", range="all", sort="product_id", page=number) for number in (1, 2, 3, 9)
        ]
    tables = [Tables(text).tables[0] for text in texts]
    assert [row[0] for found in tables[:3] for row in found[1:-1]] == [f"P{number:03}" for number in range(120)]
    assert tables[3] == tables[2]
    views = 4 + WHOLE.index("views")
    assert [exact(found[-1][views]) for found in tables] == [120] * 4
    assert "1 to 50 of 120" in texts[0]
    assert "There is no page 9: this is the last." in texts[3]
    assert "There is no page" not in texts[2]


async def test_each_product_stands_beside_what_it_is_compared_with(shop: Shop) -> None:
    week = timedelta(days=7)
    sales = [("RISER", 100, 500), ("FALLER", 500, 100), ("NEW", 0, 50), ("GONE", 70, 0), ("SAME", 20, 20)]
    for product, before, now in sales:
        amounts = [(AUTUMN - week, before), (AUTUMN, now)]
        await shop.happened(*(shop.sold(at, (product, 1, amount)) for at, amount in amounts if amount))
    query = {"from": "2011-10-28", "to": "2011-10-28", "compare": "weekdays", "sort": "gross_minor"}
    async with shop.browser() as client:
        text = await page(client, "/products", **query)
    (found,) = Tables(text).tables
    changes = {row[0]: row[4] for row in found[1:-1]}
    assert changes == {
        "RISER": "▲ 400.0 % up",
        "FALLER": "▼ 80.0 % down",
        "NEW": "▲  up from nothing",
        "GONE": "▼ 100.0 % down",
        "SAME": "=  no change",
    }
    (rose, fell) = [part.split("</section>")[0] for part in text.split('class="panel movers"')[1:]]
    assert [one for one in ("RISER", "NEW", "FALLER", "GONE", "SAME") if f">{one}<" in rose] == ["RISER", "NEW"]
    assert rose.index(">RISER<") < rose.index(">NEW<")
    assert fell.index(">FALLER<") < fell.index(">GONE<")
    assert "+£4.00" in rose
    assert "-£4.00" in fell
    assert found[-1][4] == "▼ 2.9 % down"


async def test_a_trend_is_drawn_for_the_products_of_the_page(shop: Shop) -> None:
    await shop.happened(*busy_days(shop, seed=15, first=AUTUMN, days=4, events=100))
    async with shop.browser() as client:
        text = await page(client, "/products", **{"from": "2011-10-28", "to": "2011-10-31"}, sort="views")
    points = [part.partition('"')[0].split() for part in text.split('<polyline points="')[1:]]
    assert points
    assert {len(one) for one in points} == {4}


async def test_a_products_page_shows_its_own_days_and_the_hours_of_one(shop: Shop) -> None:
    await shop.happened(*busy_days(shop, seed=15, first=AUTUMN, days=4, events=300))
    night = datetime(2011, 10, 30, 0, 30, tzinfo=UTC)
    await shop.happened(viewed(night, "A"), viewed(night + timedelta(hours=1), "A"))
    zone = "Europe/London"
    by_day = await figures(shop.read_model, Question(("day",), zone, products=("A",)))
    change = Range(date(2011, 10, 30), date(2011, 10, 30))
    by_hour = await figures(shop.read_model, Question(("hour",), zone, change, products=("A",)))
    one_day = {"from": "2011-10-30", "to": "2011-10-30", "compare": "none"}
    async with shop.browser(zone) as client:
        days = await table(client, "/product", id="A", range="all")
        hours = await table(client, "/product", id="A", **one_day)
        text = await page(client, "/product", id="A", **one_day)
    expected_days = {(str(row["day"]), row["currency"]): [row[name] for name in WHOLE] for row in by_day.to_dicts()}
    assert {tuple(keys): values for keys, values in filled(shown(days[1:-2], 2))} == expected_days
    expected_hours = {
        (f"{row['hour'][11:16]} {row['hour'][16:]}", row["currency"]): [row[name] for name in WHOLE]
        for row in by_hour.to_dicts()
    }
    assert {tuple(keys): values for keys, values in filled(shown(hours[1:-2], 2))} == expected_hours
    assert {"01:00 +01:00", "01:00 +00:00"} <= {row[0] for row in hours[1:]}
    assert "countinghouse explain --product A --day 2011-10-30 --tz Europe/London" in text
