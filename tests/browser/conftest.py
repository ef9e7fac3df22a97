"""One browser and one shop for all tests of this folder, which one worker runs (see TOGETHER in tests/conftest.py)."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, StorageState

from tests.faults.shop import Shop
from tests.web.visitors import OWN

from .chromium import running_chromium
from .stocked_shop import ADMIN, StockedShop, open_stocked_shop
from .visit import Visit, Visiting


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium() -> AsyncIterator[Browser]:
    async with running_chromium() as browser:
        yield browser


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shop(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[StockedShop]:
    async with open_stocked_shop(Shop(tmp_path_factory.mktemp("stocked"))) as shop:
        yield shop
        assert shop.line.complaints() == []


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def signed_in(chromium: Browser, shop: StockedShop) -> StorageState:
    """The cookies of somebody who came in by the page for it, and chose a password of her own there."""
    context = await chromium.new_context()
    visit = Visit(await context.new_page(), shop.url)
    await visit.to("/")
    await visit.page.get_by_label("Name").fill(ADMIN)
    await visit.page.get_by_label("Password").fill(shop.password)
    await visit.page.get_by_role("button", name="Sign in").click()
    await visit.page.get_by_label("Current").fill(shop.password)
    await visit.page.get_by_label("New", exact=True).fill(OWN)
    await visit.page.get_by_label("New, again").fill(OWN)
    await visit.page.get_by_role("button", name="Change password").click()
    await visit.page.get_by_role("link", name=ADMIN, exact=True).wait_for()
    assert visit.complaints == []
    state = await context.storage_state()
    await context.close()
    return state


@pytest_asyncio.fixture(loop_scope="session")
async def visiting(chromium: Browser, shop: StockedShop, signed_in: StorageState) -> AsyncIterator[Visiting]:
    """Opens a tab of the admin, or of nobody. At the end none has done what no page of ours may do."""
    opened: list[Visit] = []

    async def visiting(*, is_signed_in: bool = True) -> Visit:
        state = signed_in if is_signed_in else None
        context = await chromium.new_context(storage_state=state, reduced_motion="reduce")
        opened.append(Visit(await context.new_page(), shop.url))
        return opened[-1]

    yield visiting
    for one in opened:
        await one.page.context.close()
    assert [complaint for one in opened for complaint in one.complaints] == []
