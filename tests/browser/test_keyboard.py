"""The dashboard without a mouse: Tab reaches everything in its order, and keys do what the list of keys says."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from playwright.async_api import Page, expect

from .pages import AUTUMN
from .visit import Visiting

pytestmark = [pytest.mark.processes, pytest.mark.asyncio(loop_scope="session")]

MOST_STOPS = 60
FOCUSED = """() => {
  const one = document.activeElement;
  const box = one.getBoundingClientRect();
  const style = getComputedStyle(one);
  return {
    words: (one.ariaLabel || one.innerText || one.placeholder || "").trim(),
    is_outlined: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2,
    is_in_sight: box.width > 0 && box.bottom > 0 && box.right > 0 && box.top < innerHeight && box.left < innerWidth,
    is_content: one.closest("#figures") !== null,
  };
}"""
BEFORE_THE_FIGURES = [
    *("Skip to the figures", "Countinghouse", "Overview", "Products", "Pipeline", "Events"),
    *("Audit", "Users", "Tokens", "ada", "Sign out"),
    *("Go to… Ctrl K", "System", "Light", "Dark", "Keys"),
    *(
        "Range: Today",
        "Compared with: The period before",
        "Time zone: UTC",
        "Saved views: Saved",
        "Copy link",
        "Download",
    ),
    *("Product id or name", "Search"),
]


async def _stops(page: Page) -> AsyncIterator[dict[str, Any]]:
    """Where Tab leads, until it has left the page."""
    for _ in range(MOST_STOPS):
        await page.keyboard.press("Tab")
        if await page.evaluate("document.activeElement === document.body"):
            return
        yield await page.evaluate(FOCUSED)


async def test_tab_reaches_navigation_and_controls_in_their_order_and_shows_where_it_is(visiting: Visiting) -> None:
    visit = await visiting()
    await visit.to("/products")
    stops = [stop async for stop in _stops(visit.page)]
    words = [" ".join(stop["words"].split()) for stop in stops]
    assert words[: len(BEFORE_THE_FIGURES)] == BEFORE_THE_FIGURES
    assert words[-1] == "API"
    assert [stop for stop in stops if not stop["is_outlined"] or not stop["is_in_sight"]] == []


async def test_the_first_stop_skips_to_the_figures(visiting: Visiting) -> None:
    visit = await visiting()
    await visit.to("/products?range=all")
    await visit.page.keyboard.press("Tab")
    await visit.page.keyboard.press("Enter")
    await visit.page.keyboard.press("Tab")
    assert await visit.page.evaluate("document.getElementById('content').contains(document.activeElement)")


async def test_a_question_mark_shows_the_keys_and_escape_closes_them(visiting: Visiting) -> None:
    visit = await visiting()
    await visit.to("/")
    await visit.page.keyboard.press("?")
    await expect(visit.page.locator("#keys")).to_be_visible()
    await visit.page.keyboard.press("Escape")
    await expect(visit.page.locator("#keys")).to_be_hidden()


async def test_a_slash_goes_to_the_search_and_enter_finds(visiting: Visiting) -> None:
    visit = await visiting()
    await visit.to("/products?range=all")
    await visit.page.keyboard.press("/")
    await expect(visit.page.locator("#search")).to_be_focused()
    await visit.page.keyboard.type("{% raw")
    await visit.page.keyboard.press("Enter")
    await visit.page.wait_for_url("**q=*")
    await expect(visit.page.locator("#search")).to_have_value("{% raw")
    assert await visit.page.locator("#products tbody th").all_inner_texts() == ["{{7*7}}"]


async def test_t_and_x_choose_today_and_the_comparison(visiting: Visiting) -> None:
    visit = await visiting()
    await visit.to(f"/?range={AUTUMN['range']}&from={AUTUMN['from']}&to={AUTUMN['to']}")
    await visit.page.keyboard.press("x")
    await visit.page.wait_for_url("**compare=none**")
    await expect(visit.page.locator(".versus")).to_have_count(0)
    await visit.page.keyboard.press("t")
    await visit.page.wait_for_url("**range=today**")


async def test_ctrl_k_goes_to_a_page_by_its_words(visiting: Visiting) -> None:
    visit = await visiting()
    await visit.to("/")
    await visit.page.keyboard.press("Control+k")
    await expect(visit.page.locator("#palette-text")).to_be_focused()
    await visit.page.keyboard.type("pipel")
    await visit.page.keyboard.press("Enter")
    await visit.page.wait_for_url("**/pipeline*")
    await expect(visit.page.locator("#palette")).to_be_hidden()


async def test_a_menu_opens_with_enter_and_escape_closes_it_where_it_was_opened(visiting: Visiting) -> None:
    visit = await visiting()
    await visit.to("/")
    summary = visit.page.locator("details.menu > summary").first
    await summary.focus()
    await visit.page.keyboard.press("Enter")
    await expect(visit.page.locator("details.menu[open]")).to_have_count(1)
    await visit.page.keyboard.press("Tab")
    await visit.page.keyboard.press("Escape")
    await expect(visit.page.locator("details.menu[open]")).to_have_count(0)
    await expect(summary).to_be_focused()
