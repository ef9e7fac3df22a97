"""Every page keeps nobody from using it, in light, in dark and on a telephone, and has nothing in it but ours.

(That it says no error, opens no dialog and asks nobody else for anything, the fixture `visiting` sees to.)
"""

from __future__ import annotations

from typing import Literal, get_args

import pytest
from litestar.routes import HTTPRoute
from playwright.async_api import ViewportSize

from tests.faults.shop import until
from tests.web.shop import Shop as MemoryShop

from .axe import violations
from .pages import EACH, OF_NOBODY, PAGES
from .stocked_shop import StockedShop
from .visit import Visiting

pytestmark = [pytest.mark.processes, pytest.mark.asyncio(loop_scope="session")]

NO_PAGES = ("/api/", "/schema", "/static", "/figures.", "/live", "/metrics", "/readyz")
"""What is for programs, or goes along with a page."""
PHONE = ViewportSize(width=390, height=844)
Scheme = Literal["light", "dark"]


async def test_no_page_of_the_dashboard_is_forgotten_here() -> None:
    routes = [route for route in MemoryShop().dashboard().routes if isinstance(route, HTTPRoute)]
    paths = {route.path for route in routes if "GET" in route.methods}
    assert {path for path in paths if not path.startswith(NO_PAGES)} == set(PAGES)


DEEDS = {
    "document.body.append(Object.assign(document.createElement('script'), {text: '1'}))": "error: Executing inline",
    "alert(1)": "dialog: 1",
    "void fetch('http://localhost:1/').catch(() => 0)": "error: Connecting to",
    "void setTimeout(() => { throw new Error('one') })": "script: one",
}
"""What no page may do, and what is to be heard of it."""


@pytest.mark.parametrize(("deed", "heard"), DEEDS.items(), ids=DEEDS.values())
async def test_what_no_page_may_do_is_noticed(visiting: Visiting, deed: str, heard: str) -> None:
    visit = await visiting()
    await visit.to("/account")
    await visit.page.evaluate(deed)
    await until(lambda: any(one.startswith(heard) for one in visit.complaints))
    await visit.page.evaluate("document.querySelector('h1').setAttribute('onclick', '')")
    assert '<h1 onclick="">My account</h1>' in await visit.foreign_elements()
    await visit.page.goto("about:blank")
    visit.complaints.clear()


@EACH
async def test_a_page_has_nothing_foreign_in_it_and_axe_finds_nothing_and_it_fits_a_telephone(
    visiting: Visiting, address: str
) -> None:
    visit = await visiting(is_signed_in=not address.startswith(OF_NOBODY))
    await visit.to(address)
    assert await visit.foreign_elements() == []
    found = []
    for scheme in get_args(Scheme):
        await visit.page.emulate_media(color_scheme=scheme)
        found += [f"{scheme}: {one}" for one in await violations(visit.page)]
    await visit.page.set_viewport_size(PHONE)
    found += [f"on a telephone: {one}" for one in await violations(visit.page)]
    assert found == []
    assert await visit.page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


@pytest.mark.parametrize("name", ["keys", "palette"])
async def test_axe_finds_nothing_in_a_dialog(visiting: Visiting, name: str) -> None:
    visit = await visiting()
    await visit.to("/")
    await visit.page.locator(f"[data-open={name}]").click()
    assert await visit.page.locator(f"#{name}[open]").is_visible()
    assert await violations(visit.page) == []


async def test_axe_finds_nothing_in_the_menus(visiting: Visiting) -> None:
    visit = await visiting()
    await visit.to("/products")
    for menu in await visit.page.locator("details.menu > summary").all():
        await menu.click()
        assert await violations(visit.page) == []


async def test_an_open_page_says_that_a_rebuild_has_begun_and_axe_finds_nothing_in_that(
    visiting: Visiting, shop: StockedShop
) -> None:
    visit = await visiting()
    await visit.to("/")
    stamp = visit.page.locator("#stamp")
    async with shop.rebuilding():
        await stamp.get_by_text("a rebuild or rollback is running").wait_for()
        await stamp.get_by_role("link").wait_for()
        assert await violations(visit.page) == []
        await visit.page.set_viewport_size(PHONE)
        assert await violations(visit.page) == []
        assert await visit.page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    await stamp.get_by_role("link").wait_for(state="detached")
