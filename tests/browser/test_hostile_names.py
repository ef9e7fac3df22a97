"""What somebody hostile named is text wherever it is shown, and leads to where its link says."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import urlencode

import pytest
from playwright.async_api import expect

from tests.faults.shop import WAIT_S
from tests.web.shop import HOSTILE_ID, HOSTILE_NAME, viewed

from .pages import AUTUMN, PAGES
from .stocked_shop import HOSTILE, TITLE, UNREADABLE, WHY, StockedShop
from .visit import Visit, Visiting

pytestmark = [pytest.mark.processes, pytest.mark.asyncio(loop_scope="session")]


async def _texts(visit: Visit, selector: str) -> list[str]:
    return [text.strip() for text in await visit.page.locator(selector).all_text_contents()]


async def test_the_products_page_shows_every_hostile_name_as_it_is_written(visiting: Visiting) -> None:
    visit = await visiting()
    await visit.to(f"/products?{urlencode(AUTUMN)}")
    assert set(HOSTILE) <= set(await _texts(visit, "#products tbody th bdi"))
    assert set(HOSTILE.values()) <= set(await _texts(visit, "#products tbody td.name bdi"))


@pytest.mark.parametrize("product_id", HOSTILE)
async def test_the_link_of_a_hostile_product_leads_to_its_page_and_to_what_is_behind_it(
    visiting: Visiting, product_id: str
) -> None:
    visit = await visiting()
    await visit.to(f"/products?{urlencode({**AUTUMN, 'q': product_id})}")
    await visit.page.locator("#products tbody th a").get_by_text(product_id, exact=True).click()
    await expect(visit.page.locator("h1")).to_have_text(HOSTILE[product_id])
    assert await _texts(visit, ".sub code bdi") == [product_id]
    await visit.page.locator("#by-period tfoot a.behind").first.click()
    await expect(visit.page.locator(".verdict-equal")).to_have_count(1)
    assert await _texts(visit, ".sub code bdi") == [product_id]


async def test_other_pages_show_it_as_it_is_written(visiting: Visiting) -> None:
    visit = await visiting()
    for address, selector, text in (
        (PAGES["/events"][1], "td.name bdi", HOSTILE_ID),
        (PAGES["/dead-letter"][0], ".raw bdi", UNREADABLE),
        ("/outbox", "td.name bdi", HOSTILE_ID),
        ("/outbox", "td.name", WHY),
        ("/tokens", "td.name bdi", TITLE),
    ):
        await visit.to(address)
        assert text in await _texts(visit, selector), address


async def test_a_page_that_moves_by_itself_puts_hostile_names_in_place_as_text(
    visiting: Visiting, shop: StockedShop
) -> None:
    visit = await visiting()
    await visit.to(f"/products?{urlencode({**AUTUMN, 'q': HOSTILE_ID})}")
    before = await visit.page.locator("#products tbody tr").inner_text()
    await shop.happens(viewed(datetime(2011, 10, 29, tzinfo=UTC), HOSTILE_ID))
    await expect(visit.page.locator("#products tbody tr")).not_to_have_text(before, timeout=1000 * WAIT_S)
    assert await _texts(visit, "#products tbody td.name bdi") == [HOSTILE_NAME]
    assert await visit.foreign_elements() == []


async def test_the_palette_takes_what_is_typed_as_text(visiting: Visiting) -> None:
    visit = await visiting()
    await visit.to("/")
    await visit.page.keyboard.press("Control+k")
    await visit.page.keyboard.type(HOSTILE_ID)
    await expect(visit.page.locator("#palette-list li")).to_have_text(f"Products named{HOSTILE_ID}")
    await visit.page.keyboard.press("Enter")
    await visit.page.wait_for_url("**/products**")
    assert await visit.foreign_elements() == []
