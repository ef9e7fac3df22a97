"""Saved views: what was chosen is found again under its name, by everybody, on whatever day it is."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime, timedelta
from html import unescape
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from backoffice.saved_views import MOST_VIEWS, SavedViews, ViewRefused
from backoffice.sign_in.connect import open_office
from backoffice.sign_in.roles import Role
from tests.web.reading import page
from tests.web.shop import Shop, viewed
from tests.web.visitors import NO_SIGN_IN, TEST

HOSTILE = "</script><img src=x onerror=alert(1)>{{7*7}}"
CHOSEN = "/products?range=7d&tz=Asia/Kathmandu&compare=weekdays&sort=views&dir=up&q=lamp"


def hidden(text: str) -> dict[str, str]:
    """The fields that the form for saving carries."""
    form = re.search(r'action="/saved-views">(.*?)</form>', text, re.DOTALL)
    assert form is not None
    found = re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', form[1])
    return {name: unescape(value) for name, value in found}


async def save(client: httpx.AsyncClient, url: str, name: str) -> httpx.Response:
    """As the form of the page does."""
    return await client.post("/saved-views", data={**hidden(await page(client, url)), "name": name})


async def sent(shop: Shop, client: httpx.AsyncClient, path: str, query: str) -> httpx.Response:
    """As somebody does who writes the form himself."""
    fields = {"form_token": shop.visitors.form_token(client), "name": "n", "path": path, "query": query}
    return await client.post("/saved-views", data=fields)


def views_menu(text: str) -> list[tuple[str, str]]:
    menu = re.search(r"Saved views: </span>.*?</ul>", text, re.DOTALL)
    assert menu is not None
    links = re.findall(r'<li><a href="([^"]+)"[^>]*><bdi>(.*?)</bdi></a>', menu[0])
    return [(unescape(link), unescape(name)) for link, name in links]


async def test_a_view_is_saved_with_all_that_was_chosen_and_opens_from_every_page_with_figures(shop: Shop) -> None:
    await shop.happened(viewed(datetime(2011, 10, 28, tzinfo=UTC), "A"))
    async with shop.browser(role=Role.ANALYST) as client:
        saved = await save(client, CHOSEN, "  Lamps of   the week ")
        opened = urlsplit(saved.headers["location"])
        assert (saved.status_code, opened.path) == (303, "/products")
        assert parse_qs(opened.query) == parse_qs(urlsplit(CHOSEN).query)
        for path in ("/", "/product?id=A", "/behind?metric=views"):
            assert views_menu(await page(client, path)) == [(saved.headers["location"], "Lamps of the week")]
        assert 'aria-current="true"><bdi>Lamps of the week' in await page(client, saved.headers["location"])
        assert 'aria-current="true"><bdi>Lamps of the week' not in await page(client, "/products?range=7d")
        answer = (await client.get("/api/saved-views")).json()
    (view,) = answer["views"]
    assert (view["name"], view["url"], view["made_by"]) == ("Lamps of the week", saved.headers["location"], "analyst")


async def test_a_preset_is_kept_as_such_and_a_page_of_rows_is_not(shop: Shop) -> None:
    await shop.happened(viewed(datetime(2011, 10, 28, tzinfo=UTC), "A"))
    async with shop.browser(role=Role.ANALYST) as client:
        saved = await save(client, "/products?range=yesterday&page=3&nonsense=1", "yesterday")
        assert parse_qs(urlsplit(saved.headers["location"]).query) == {"range": ["yesterday"], "tz": ["UTC"]}
        shop.clock.now += timedelta(days=400)
        await shop.visitors.enters(client, Role.ANALYST)
        assert "Yesterday" in await page(client, saved.headers["location"])


async def test_viewers_open_views_and_neither_save_nor_remove_them(shop: Shop) -> None:
    async with shop.browser(role=Role.ANALYST) as client:
        await save(client, "/?range=30d", "a month")
    async with shop.browser(role=Role.VIEWER) as client:
        text = await page(client, "/")
        assert [name for _, name in views_menu(text)] == ["a month"]
        assert 'action="/saved-views"' not in text
        assert "Remove" not in await page(client, "/saved-views")
        refused = await shop.visitors.sends(client, "/saved-views/remove", name="a month")
    assert refused.status_code == 403
    assert len(await shop.visitors.office.views.all()) == 1


async def test_a_removed_view_is_gone_and_both_acts_are_in_the_audit(shop: Shop) -> None:
    async with shop.browser(role=Role.ANALYST) as client:
        await save(client, "/?range=30d", "a month")
        for _ in range(2):
            removed = await shop.visitors.sends(client, "/saved-views/remove", name="a month")
            assert removed.headers["location"] == "/saved-views"
        assert "None yet" in await page(client, "/saved-views")
    rows = [row for row in await shop.visitors.office.audits["backoffice"].newer(0) if "saved_view" in row.what]
    assert [(row.what, row.who, row.on) for row in rows] == [
        ("saved_view.added", "analyst", "a month"),
        ("saved_view.removed", "analyst", "a month"),
    ]


@pytest.mark.parametrize("name", ["", "   ", "x" * 61, "two\x00parts", "left\u202eright"])
async def test_a_name_that_is_none_is_refused_with_the_reason(shop: Shop, name: str) -> None:
    async with shop.browser(role=Role.ANALYST) as client:
        refused = await save(client, "/?range=30d", name)
    assert refused.status_code == 422
    assert "name of 1 to 60 characters" in refused.text
    assert not await shop.visitors.office.views.all()


async def test_a_name_that_is_taken_is_refused_and_the_first_view_stays(shop: Shop) -> None:
    async with shop.browser(role=Role.ANALYST) as client:
        first = await save(client, "/?range=30d", "mine")
        refused = await save(client, "/?range=7d", "mine")
    assert refused.status_code == 422
    assert "already" in refused.text
    (view,) = await shop.visitors.office.views.all()
    assert view.url == first.headers["location"]


@pytest.mark.parametrize("path", ["https://elsewhere.example/", "//elsewhere.example", "/users", "/pipeline", ""])
async def test_nothing_is_saved_but_pages_with_figures(shop: Shop, path: str) -> None:
    async with shop.browser(role=Role.ANALYST) as client:
        refused = await sent(shop, client, path, "")
    assert refused.status_code == 422
    assert "what a page with figures shows" in refused.text


@pytest.mark.parametrize(("query", "status"), [("range=never", 400), ("tz=Mars", 400), ("q=" + "x" * 2000, 422)])
async def test_a_choice_that_cannot_be_is_refused(shop: Shop, query: str, status: int) -> None:
    async with shop.browser(role=Role.ANALYST) as client:
        refused = await sent(shop, client, "/products", query)
    assert refused.status_code == status
    assert not await shop.visitors.office.views.all()


async def test_a_hostile_name_is_shown_as_text(shop: Shop) -> None:
    async with shop.browser(role=Role.ANALYST) as client:
        await save(client, "/?range=30d", HOSTILE)
        for path in ("/", "/saved-views"):
            assert HOSTILE not in await page(client, path)
        assert [name for _, name in views_menu(await page(client, "/"))] == [HOSTILE]


async def test_without_sign_in_there_are_no_saved_views(shop: Shop) -> None:
    async with shop.browser(role=None, gate=NO_SIGN_IN) as client:
        assert "Saved views" not in await page(client, "/")
        assert (await client.get("/saved-views")).status_code == 404


async def test_there_are_never_more_than_so_many_whoever_saves_at_the_same_time(postgres_url: str) -> None:
    office = open_office(postgres_url)
    views = SavedViews(office)
    for number in range(MOST_VIEWS - 2):
        await views.add(f"view {number}", "/", "range=7d", TEST)
    tries = [views.add(f"last {number}", "/", "range=7d", TEST) for number in range(5)]
    outcomes = await asyncio.gather(*tries, return_exceptions=True)
    await office.close()
    assert sum(isinstance(one, ViewRefused) for one in outcomes) == 3
    assert [one for one in outcomes if one and not isinstance(one, ViewRefused)] == []
