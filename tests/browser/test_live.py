"""An open page moves with the shop, says when it can't, and asks for nothing while nobody looks at it."""

from __future__ import annotations

import re

import httpx
import pytest
from playwright.async_api import expect

from tests.faults.shop import WAIT_S, until
from tests.web.shop import exact

from .stocked_shop import StockedShop
from .visit import Visiting

pytestmark = [pytest.mark.processes, pytest.mark.asyncio(loop_scope="session")]

PATIENCE_MS = 1000 * WAIT_S
TAKINGS = ".card-first .value"
HIDE = """is => {
  Object.defineProperty(document, "hidden", { configurable: true, get: () => is });
  document.dispatchEvent(new Event("visibilitychange"));
}"""
"""As another tab in front does it, which a browser without a screen doesn't have."""


async def _sell(shop: StockedShop, amount_minor: int) -> None:
    """A payment through the commerce API, as a shop's till makes it."""
    product = {"name": "Lantern", "price_minor": amount_minor, "currency": "GBP"}
    line = {"product_id": "LANTERN", "quantity": 1, "amount_minor": amount_minor}
    async with httpx.AsyncClient(base_url=shop.line.api_url, timeout=60) as till:
        (await till.put("/v1/products/LANTERN", json=product)).raise_for_status()
        order = (await till.post("/v1/orders", json={"lines": [line]})).raise_for_status().json()
        path = f"/v1/orders/{order['order_id']}/payments"
        (await till.post(path, json={"outcome": "completed"})).raise_for_status()


async def test_a_payment_over_http_moves_the_open_overview_without_a_reload(
    visiting: Visiting, shop: StockedShop
) -> None:
    await _sell(shop, 100)
    visit = await visiting()
    await visit.to("/")
    await expect(visit.page.locator(TAKINGS)).to_be_visible(timeout=PATIENCE_MS)
    await visit.page.evaluate("window.isThisVeryPage = true")
    before = exact(await visit.page.locator(TAKINGS).inner_text())
    await _sell(shop, 12_345)
    text = f"£{(before + 12_345) / 100:,.2f}"
    await expect(visit.page.locator(TAKINGS)).to_have_text(text, timeout=PATIENCE_MS)
    assert await visit.page.evaluate("window.isThisVeryPage")


async def test_new_records_come_to_the_open_explorer_and_to_no_page_further_back(
    visiting: Visiting, shop: StockedShop
) -> None:
    visit = await visiting()
    await visit.to("/events")
    await visit.page.evaluate("window.isThisVeryPage = true")
    assert "LAMP" not in await visit.page.locator("#found").inner_text()
    async with httpx.AsyncClient(base_url=shop.line.api_url, timeout=60) as till:
        product = {"name": "Lamp", "price_minor": 995, "currency": "GBP"}
        (await till.put("/v1/products/LAMP", json=product)).raise_for_status()
    await expect(visit.page.locator("#found")).to_contain_text("LAMP", timeout=PATIENCE_MS)
    assert await visit.page.evaluate("window.isThisVeryPage")
    await visit.page.get_by_role("link", name="Further back").click()
    await expect(visit.page.get_by_role("link", name="The newest")).to_be_visible()
    assert await visit.page.locator("#found[data-live]").count() == 0


async def test_a_page_says_when_the_connection_is_lost_and_goes_on_when_it_is_back(
    visiting: Visiting, shop: StockedShop
) -> None:
    visit = await visiting()
    await visit.to("/pipeline")
    await visit.page.evaluate("window.isThisVeryPage = true")
    told = visit.page.locator("#connection")
    assert await told.inner_text() == ""
    shop.dashboard.kill()
    await expect(told).to_contain_text("Connection lost", timeout=PATIENCE_MS)
    await shop.opens_again()
    await expect(told).to_have_text("", timeout=PATIENCE_MS)
    assert await visit.page.evaluate("window.isThisVeryPage")
    visit.complaints = [one for one in visit.complaints if "net::ERR_" not in one]


async def _streams(shop: StockedShop) -> int:
    async with httpx.AsyncClient(timeout=60) as client:
        text = (await client.get(f"{shop.url}/metrics")).text
    found = re.search(r"^countinghouse_live_streams (\d+)", text, re.MULTILINE)
    assert found is not None
    return int(found[1])


async def test_a_hidden_page_listens_to_nothing_and_asks_for_nothing(visiting: Visiting, shop: StockedShop) -> None:
    await until(lambda: _none_of(shop), shop.dashboard)
    visit = await visiting()
    await visit.to("/pipeline")
    await until(lambda: _some_of(shop), shop.dashboard)
    await visit.page.evaluate(HIDE, True)
    await until(lambda: _none_of(shop), shop.dashboard)
    async with visit.page.expect_request("**/live"):
        asked = len(visit.asked)
        await visit.page.wait_for_timeout(5000)
        assert visit.asked[asked:] == []
        await visit.page.evaluate(HIDE, False)
    await until(lambda: _some_of(shop), shop.dashboard)


async def _none_of(shop: StockedShop) -> bool:
    return await _streams(shop) == 0


async def _some_of(shop: StockedShop) -> bool:
    return await _streams(shop) == 1


@pytest.mark.parametrize("address", ["/account", "/audit", "/sign-in"])
async def test_a_page_that_shows_nothing_live_listens_to_nothing(visiting: Visiting, address: str) -> None:
    visit = await visiting(is_signed_in=address != "/sign-in")
    await visit.to(address)
    await visit.page.wait_for_load_state("networkidle")
    assert "/live" not in visit.asked


async def test_a_page_that_was_come_to_by_a_link_listens(visiting: Visiting) -> None:
    visit = await visiting()
    await visit.to("/account")
    async with visit.page.expect_request("**/live"):
        await visit.page.get_by_role("link", name="Overview").click()
