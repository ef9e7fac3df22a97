"""A chart says when it is drawn, so that whoever takes a picture of it needn't guess."""

from __future__ import annotations

import pytest
from playwright.async_api import Page, expect

from .pages import PAGES
from .visit import Visiting

pytestmark = [pytest.mark.processes, pytest.mark.asyncio(loop_scope="session")]

PERIODS = "rows => String(new Set(rows.map(row => row.dataset.t)).size)"


async def _says_that_it_is_drawn(page: Page) -> None:
    periods: str = await page.locator("#by-period tbody tr").evaluate_all(PERIODS)
    await expect(page.locator("#chart")).to_have_attribute("data-drawn", periods)
    assert await page.locator("#chart svg path").count() > 0


@pytest.mark.parametrize("address", [PAGES["/"][1], PAGES["/"][2], PAGES["/product"][1]])
async def test_a_chart_says_when_it_is_drawn_and_when_it_is_again(visiting: Visiting, address: str) -> None:
    visit = await visiting()
    await visit.to(address)
    await _says_that_it_is_drawn(visit.page)
    await visit.page.emulate_media(color_scheme="dark")
    await _says_that_it_is_drawn(visit.page)
    await visit.page.get_by_role("link", name="Views", exact=True).first.click()
    await visit.page.wait_for_url("**metric=views**")
    await _says_that_it_is_drawn(visit.page)
