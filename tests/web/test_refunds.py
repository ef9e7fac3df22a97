"""Refunds of a product by the day they were made and by the day of their sale, on its page and in the API."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tests.web.reading import page
from tests.web.shop import Shop, Tables, viewed

SATURDAY = datetime(2011, 10, 29, 12, tzinfo=UTC)
TUESDAY = SATURDAY + timedelta(days=3)
OF_SATURDAY = {"from": "2011-10-29", "to": "2011-10-29", "compare": "none"}
OF_TUESDAY = {"from": "2011-11-01", "to": "2011-11-01", "compare": "none"}


async def _trade(shop: Shop) -> None:
    """Of 10 pounds of Saturday's sales 2.50 come back on Tuesday, and 1 of nobody knows when."""
    await shop.happened(
        shop.sold(SATURDAY, ("A", 4, 1000)),
        shop.refunded(TUESDAY, ("A", 1, 250), sold_at=SATURDAY),
        shop.refunded(TUESDAY, ("A", 1, 100)),
        shop.refunded(TUESDAY, ("B", 1, 7), sold_at=SATURDAY),
    )


def _refunds(text: str) -> dict[str, list[str]]:
    table = next(table for table in Tables(text).tables if table[0][0] == "In this range")
    return {row[0]: row[1:] for row in table[1:]}


async def test_a_products_page_shows_what_came_back_of_a_days_sales_beside_what_came_back_that_day(shop: Shop) -> None:
    await _trade(shop)
    async with shop.browser() as client:
        saturday = await page(client, "/product", id="A", **OF_SATURDAY)
        tuesday = await page(client, "/product", id="A", **OF_TUESDAY)
    assert _refunds(saturday) == {
        "By day of refund": ["GBP", "0", "£0.00"],
        "Of them, of unknown sales": ["GBP", "0", "£0.00"],
        "By day of sale": ["GBP", "1", "£2.50"],
        "Share of sales refunded": ["GBP", "", "25.0 %"],
    }
    assert _refunds(tuesday) == {
        "By day of refund": ["GBP", "2", "£3.50"],
        "Of them, of unknown sales": ["GBP", "1", "£1.00"],
        "By day of sale": ["GBP", "0", "£0.00"],
        "Share of sales refunded": ["GBP", "", "–"],
    }


async def test_the_refunds_of_a_range_stand_beside_those_that_it_is_compared_with(shop: Shop) -> None:
    await _trade(shop)
    query = {"from": "2011-11-01", "to": "2011-11-03", "compare": "before"}
    async with shop.browser() as client:
        found = _refunds(await page(client, "/product", id="A", **query))
    assert found["By day of refund"] == ["GBP", "2", "£3.50", "0", "£0.00"]
    assert found["By day of sale"] == ["GBP", "0", "£0.00", "1", "£2.50"]
    assert found["Share of sales refunded"] == ["GBP", "", "–", "", "25.0 %"]


async def test_a_product_of_which_nothing_came_back_has_no_table_of_refunds(shop: Shop) -> None:
    await shop.happened(shop.sold(SATURDAY, ("A", 1, 100)), viewed(SATURDAY, "A"))
    async with shop.browser() as client:
        text = await page(client, "/product", id="A", **OF_SATURDAY)
    assert len(Tables(text).tables) == 1


async def test_the_api_tells_and_explains_refunds_by_their_sale_and_of_unknown_sales(shop: Shop) -> None:
    await _trade(shop)
    asked = {"by": "product,day", "product": "A", "ratios": "true"}
    async with shop.browser() as client:
        rows = {row["day"]: row for row in (await client.get("/api/figures", params=asked)).json()["rows"]}
        explained = {}
        for metric, day in (("sale_refunded_minor", "2011-10-29"), ("untraced_refunded_minor", "2011-11-01")):
            query = {"metric": metric, "product": "A", "from": day, "to": day}
            (explained[metric],) = (await client.get("/api/explain", params=query)).json()["explained"]
        none = await client.get("/api/explain", params={**query, "metric": "sale_refunds"})
    (saturday, tuesday) = (rows["2011-10-29"], rows["2011-11-01"])
    assert (saturday["sale_refunds"], saturday["sale_refunded_minor"], saturday["refund_rate"]) == (1, 250, 0.25)
    assert (saturday["refunds"], saturday["untraced_refunds"]) == (0, 0)
    assert (tuesday["refunds"], tuesday["traced_refunds"], tuesday["untraced_refunds"]) == (2, 1, 1)
    assert (tuesday["untraced_refunded_minor"], tuesday["sale_refunded_minor"]) == (100, 0)
    for metric, amount in (("sale_refunded_minor", 250), ("untraced_refunded_minor", 100)):
        one = explained[metric]
        assert (one["figure"], one["sum"], one["equal"], one["events"]) == (amount, amount, True, 1)
        (event,) = one["contributions"]
        assert (event["event"], event["time"][:10]) == ("PaymentRefunded", "2011-11-01")
    assert [(one["figure"], one["events"], one["equal"]) for one in none.json()["explained"]] == [(0, 0, True)]


async def test_the_events_behind_refunds_by_day_of_sale_are_said_to_be_of_any_time(shop: Shop) -> None:
    await _trade(shop)
    query = {"id": "A", "currency": "GBP", **OF_SATURDAY}
    async with shop.browser() as client:
        by_sale = await page(client, "/behind", metric="sale_refunded_minor", **query)
        sales = await page(client, "/behind", metric="gross_minor", **query)
    (table,) = Tables(by_sale).tables
    assert (len(table), table[1][1], table[1][-1]) == (3, "PaymentRefunded", "£2.50")
    assert "1 Nov 2011" in table[1][0]
    assert "whenever they were made" in by_sale
    assert "whenever they were made" not in sales


async def test_what_is_only_a_part_of_the_reckoning_is_no_column_to_draw_or_to_sort_by(shop: Shop) -> None:
    await _trade(shop)
    async with shop.browser() as client:
        drawn = await client.get("/product", params={"id": "A", "metric": "traced_refunds"})
        ordered = await client.get("/products", params={"sort": "traced_refunds"})
    assert (drawn.status_code, ordered.status_code) == (400, 400)
    assert "traced_refunds&#39;; there are net_minor" in drawn.text
