"""What a page has for hands and eyes: keys, colours, a link to copy, and sense without scripts."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser

import pytest

from tests.web.reading import page
from tests.web.shop import OPENED, Shop, busy_days

AUTUMN = datetime(2011, 10, 28, tzinfo=UTC)
LABELLED = ("from", "to", "tz", "name")
"""Fields that stand in their labels."""
URLS = [
    "/",
    "/products",
    "/product?id=A",
    "/pipeline",
    "/events",
    "/behind?metric=views",
    "/record?topic=order-events&partition=0&offset=0",
]


class Elements(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def having(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for _, attributes in self.found if name in attributes]


async def opened(shop: Shop, url: str) -> str:
    await shop.happened(*busy_days(shop, seed=1, first=OPENED - timedelta(days=3), days=3, events=60))
    async with shop.browser() as client:
        return await page(client, url)


@pytest.mark.parametrize("url", URLS)
async def test_each_key_presses_one_thing_and_is_in_the_list_of_keys(shop: Shop, url: str) -> None:
    text = await opened(shop, url)
    keys = [one["data-key"] for one in Elements(text).having("data-key")]
    assert len(keys) == len(set(keys))
    listed = [" ".join(re.findall(r"<kbd>(.*?)</kbd>", term)) for term in re.findall(r"<dt>(.*?)</dt>", text)]
    assert set(keys) <= set(listed)
    assert {"g o", "g p", "g l", "?", "Ctrl K"} <= set(keys)
    assert ({"t", "c"} <= set(keys)) == (not url.startswith(("/pipeline", "/record")))
    assert ("x" in keys) == (url in ("/", "/products", "/product?id=A"))


@pytest.mark.parametrize("url", URLS)
async def test_no_two_elements_share_an_id_and_every_field_has_a_name(shop: Shop, url: str) -> None:
    elements = Elements(await opened(shop, url))
    ids = [one["id"] for one in elements.having("id")]
    assert len(ids) == len(set(ids))
    fields = [attributes for tag, attributes in elements.found if tag == "input" and attributes.get("type") != "hidden"]
    assert [one for one in fields if "aria-label" not in one and one.get("name") not in LABELLED] == []
    assert [attributes for tag, attributes in elements.found if tag == "img" and "alt" not in attributes] == []


@pytest.mark.parametrize("url", ["/", "/product?id=A"])
async def test_a_chart_names_the_table_that_it_reads_and_every_row_has_its_numbers(shop: Shop, url: str) -> None:
    elements = Elements(await opened(shop, url))
    (chart,) = elements.having("data-table")
    assert chart["data-table"] in [one["id"] for one in elements.having("id")]
    rows = elements.having("data-t")
    assert rows
    assert len(rows) == len(elements.having("data-v")) == len(elements.having("data-b"))
    assert all(re.fullmatch(r"-?\d+(\.\d+)?", str(one["data-v"])) for one in elements.having("data-v"))


@pytest.mark.parametrize(("cookie", "shown"), [("dark", "dark"), ("light", "light"), ("system", None), ('"><b>', None)])
async def test_the_chosen_colours_are_in_the_page_from_the_start(shop: Shop, cookie: str, shown: str | None) -> None:
    async with shop.browser() as client:
        text = (await client.get("/", headers={"Cookie": f"theme={cookie}"})).text
    elements = Elements(text)
    (root,) = [attributes for tag, attributes in elements.found if tag == "html"]
    assert root.get("data-theme") == shown
    assert "<b>" not in text


async def test_everything_that_can_be_chosen_is_a_link_or_a_form_that_works_without_scripts(shop: Shop) -> None:
    text = await opened(shop, "/?range=7d")
    links = [str(one["href"]) for one in Elements(text).having("href")]
    for choice in ("range=30d", "compare=year", "interval=hour", "tz=Asia%2FKathmandu", "metric=views"):
        wanted = [link for link in links if choice in link]
        assert wanted, choice
        async with shop.browser() as client:
            assert (await client.get(f"/{wanted[0]}")).status_code == 200


async def test_every_link_of_a_page_leads_somewhere(shop: Shop) -> None:
    await shop.happened(*busy_days(shop, seed=1, first=OPENED - timedelta(days=3), days=3, events=60))
    async with shop.browser() as client:
        for url in URLS:
            text = await page(client, url)
            path = url.partition("?")[0]
            links = {str(one["href"]) for one in Elements(text).having("href")}
            for link in sorted(links):
                target = f"{path}{link}" if link.startswith("?") else link
                answer = await client.get(target) if not link.startswith("#") else None
                assert answer is None or answer.status_code == 200, (url, link)
