"""A view is saved, found and removed by somebody with a browser."""

from __future__ import annotations

import pytest
from playwright.async_api import expect

from .axe import violations
from .visit import Visiting

pytestmark = [pytest.mark.processes, pytest.mark.asyncio(loop_scope="session")]

NAME = "Last week's <b>lamps</b>"


async def test_a_view_is_saved_in_its_menu_found_by_the_palette_and_removed_on_its_page(visiting: Visiting) -> None:
    visit = await visiting()
    page = visit.page
    await visit.to("/products?range=last_week&sort=views&tz=Asia/Kolkata")
    menu = page.locator("details.menu", has_text="Saved views")
    await menu.locator("summary").click()
    await menu.locator("input[name=name]").fill(NAME)
    await menu.get_by_role("button", name="Save").click()
    await expect(page.locator("details.menu a[aria-current] bdi", has_text=NAME)).to_have_text(NAME)
    saved = page.url

    await visit.to("/")
    await page.keyboard.press("Control+k")
    await page.keyboard.type("lamps")
    await page.keyboard.press("Enter")
    await page.wait_for_url(saved)

    await visit.to("/saved-views")
    assert await violations(page) == []
    await page.get_by_role("button", name=f"Remove {NAME}").click()
    await expect(page.get_by_text("None yet")).to_be_visible()
