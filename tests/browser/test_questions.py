"""Somebody who was told nothing answers the two questions of docs/dashboard.md by clicking alone."""

from __future__ import annotations

from datetime import date

import pytest
from playwright.async_api import expect

from event_store.audit import Entry
from event_store.pauses import Part
from projections.figures import Question
from projections.periods import Range

from .stocked_shop import StockedShop
from .visit import Visiting

pytestmark = [pytest.mark.processes, pytest.mark.asyncio(loop_scope="session")]

SATURDAY = date(2011, 10, 29)
ADA = Entry(who="ada", what="", reason="the broker moves")


async def test_what_sold_best_on_a_saturday_against_the_one_before_and_which_events_make_that_number(
    visiting: Visiting, shop: StockedShop
) -> None:
    visit = await visiting()
    await visit.to("/?tz=Europe/London")
    page = visit.page
    await page.get_by_role("navigation", name="Pages").get_by_role("link", name="Products").click()
    await expect(page.locator("h1")).to_have_text("Products")
    picker = page.locator("#picker")
    await picker.locator("summary").first.click()
    for name in ("From", "to"):
        await picker.get_by_label(name, exact=True).fill(SATURDAY.isoformat())
    await picker.get_by_role("button", name="Show", exact=True).click()
    await expect(picker.locator("summary").first).to_contain_text("29 Oct 2011")
    await picker.locator("summary").nth(1).click()
    await picker.get_by_role("link", name="The same weekdays before").click()
    await expect(picker.locator("summary").nth(1)).to_contain_text("The same weekdays before")

    question = Question(("product",), "Europe/London", Range(SATURDAY, SATURDAY))
    best = max((await shop.figures(question)).to_dicts(), key=lambda row: row["net_minor"])
    row = page.locator("table.figures tbody tr").first
    await expect(row.get_by_role("rowheader")).to_have_text(best["product_id"])
    heads = await page.locator("table.figures").first.locator("thead th").all_inner_texts()
    gross = row.locator("th, td").nth([head.strip() for head in heads].index("Gross revenue"))
    shown = await gross.inner_text()
    assert shown == f"£{best['gross_minor'] / 100:,.2f}"
    await gross.get_by_role("link").click()
    await expect(page.locator(".verdict").first).to_contain_text(f"add up to {shown}: equal to the number")
    assert await page.locator("table tbody tr").count() > 0
    await page.locator("table tbody tr a").first.click()
    await expect(page.locator("h1")).to_contain_text("Record order-events/")


async def test_why_a_figure_is_late_is_one_click_from_it(visiting: Visiting, shop: StockedShop) -> None:
    visit = await visiting()
    async with shop.paused(Part.CONSUMER, ADA):
        await visit.to("/products")
        await visit.page.get_by_role("link", name="Why?").click()
        await expect(visit.page.locator("#why h2")).to_have_text("Why the figures are late")
        await expect(visit.page.locator("#why li")).to_contain_text("Counting is paused since")
        await expect(visit.page.locator("#why li")).to_contain_text("by ada: the broker moves")
    await expect(visit.page.locator("#why h2")).not_to_be_attached(timeout=30_000)
