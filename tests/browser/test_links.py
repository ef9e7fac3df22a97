"""What was chosen is in the address: it goes back and forward, and can be handed on."""

from __future__ import annotations

import asyncio
import re
from urllib.parse import urlencode, urlsplit

import pytest
from playwright.async_api import Route, expect

from .pages import AUTUMN
from .stocked_shop import StockedShop
from .visit import Visiting

pytestmark = [pytest.mark.processes, pytest.mark.asyncio(loop_scope="session")]

AT = f"/?{urlencode(AUTUMN)}"


async def test_back_and_forward_go_through_what_was_chosen(visiting: Visiting) -> None:
    visit = await visiting()
    await visit.to(AT)
    chosen = visit.page.locator(".picker").first
    await expect(chosen).to_contain_text("28 Oct")
    await visit.page.keyboard.press("t")
    await expect(visit.page).to_have_url(re.compile("range=today"))
    await visit.page.keyboard.press("x")
    await expect(visit.page).to_have_url(re.compile("compare="))
    compared = visit.page.url
    await visit.page.go_back()
    await visit.page.go_back()
    await expect(chosen).to_contain_text("28 Oct")
    assert visit.page.url.endswith(AT)
    await visit.page.go_forward()
    await expect(visit.page).to_have_url(re.compile("range=today"))
    await visit.page.go_forward()
    await expect(visit.page).to_have_url(compared)


async def test_what_was_chosen_last_is_shown_though_a_page_before_it_comes_later(visiting: Visiting) -> None:
    visit = await visiting()
    await visit.to(AT)
    slow = asyncio.Event()

    async def hold(route: Route) -> None:
        await slow.wait()
        await route.continue_()

    await visit.page.route("**/products?*", hold)
    failed: list[str] = []
    visit.page.on("requestfailed", lambda request: failed.append(request.url))
    pages = visit.page.get_by_role("navigation", name="Pages")
    await pages.get_by_role("link", name="Products").click()
    await expect(visit.page.locator("html[data-loading]")).to_be_attached()
    await pages.get_by_role("link", name="Pipeline").click()
    await expect(visit.page.locator("h1")).to_have_text("Pipeline")
    slow.set()
    await expect(visit.page.locator("html[data-loading]")).not_to_be_attached()
    assert [urlsplit(url).path for url in failed] == ["/products"]
    assert urlsplit(visit.page.url).path == "/pipeline"
    await expect(visit.page.locator("h1")).to_have_text("Pipeline")


async def test_one_button_copies_the_address_of_what_is_shown(visiting: Visiting, shop: StockedShop) -> None:
    visit = await visiting()
    await visit.page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=shop.url)
    await visit.to(AT)
    button = visit.page.locator("[data-copy-link]")
    await button.click()
    await expect(button).to_have_text("Copied")
    assert await visit.page.evaluate("navigator.clipboard.readText()") == shop.url + AT
    await expect(button).to_have_text("Copy link")


async def test_the_address_opens_the_same_for_somebody_else(visiting: Visiting) -> None:
    (one, other) = (await visiting(), await visiting())
    await one.to(AT)
    await other.to(one.page.url.removeprefix(one.origin))
    assert (
        await other.page.locator("table.figures").inner_text() == await one.page.locator("table.figures").inner_text()
    )
