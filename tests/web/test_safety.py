"""The dashboard is for this machine only, runs no script but its own, and shows hostile text as text."""

from __future__ import annotations

from datetime import UTC, datetime

import httpx
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backoffice.loopback import OpenListenError, names_loopback, refuse_open_listen
from backoffice.money import money
from backoffice.pages.download import without_formulas
from backoffice.sign_in.site import Site
from tests.web.shop import HOSTILE_ID, HOSTILE_NAME, Shop, Tables, listed, viewed

AUTUMN = datetime(2011, 10, 28, tzinfo=UTC)
ANYWHERE = "0.0.0.0"
STRANGERS = [
    "evil.example",
    "evil.example:8100",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    ANYWHERE,
    "::1",
    "",
]
OPEN = [ANYWHERE, "::", "192.168.1.4", "10.0.0.1", "shop.example", "127.0.0.1.evil.example", ""]
URLS = ["/", "/products", "/product?id=A", "/pipeline", "/nowhere", "/api/status", "/metrics", "/static/favicon.svg"]


@pytest.mark.parametrize("url", URLS)
async def test_every_answer_carries_the_headers_that_keep_others_out(shop: Shop, url: str) -> None:
    async with shop.browser() as client:
        headers = (await client.get(url)).headers
    assert headers["content-security-policy"].startswith("default-src 'self';")
    assert "unsafe" not in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["x-request-id"]
    kept = "max-age=31536000" in headers["cache-control"]
    assert kept if url.startswith("/static") else headers["cache-control"] == "no-store"


@pytest.mark.parametrize("url", ["/", "/products", "/product?id=A", "/pipeline", "/nowhere"])
async def test_no_page_has_a_script_or_a_style_of_its_own_or_asks_another_host(shop: Shop, url: str) -> None:
    await shop.happened(viewed(AUTUMN, "A"))
    async with shop.browser() as client:
        text = (await client.get(url)).text
    assert Tables(text).scripts == 1
    assert "<style" not in text
    assert " style=" not in text
    assert " on" not in [attribute[:3] for attribute in text.split('"')]
    assert "http://" not in text
    assert "https://" not in text
    assert "//cdn" not in text


@pytest.mark.parametrize(
    "url", ["/", "/products", "/products?q=%3Cscript%3Ealert(1)%3C/script%3E", "/product", "/pipeline"]
)
async def test_hostile_names_and_queries_are_shown_as_text(shop: Shop, url: str) -> None:
    await shop.happened(listed(AUTUMN, HOSTILE_ID, HOSTILE_NAME), shop.sold(AUTUMN, (HOSTILE_ID, 1, 100)))
    query = {"id": HOSTILE_ID} if url == "/product" else {}
    async with shop.browser() as client:
        answer = await client.get(httpx.URL(url).copy_merge_params({**query, "range": "all"}))
    assert answer.status_code == 200
    assert Tables(answer.text).scripts == 1
    assert "<img src=x" not in answer.text
    assert not any("49" in cell for row in Tables(answer.text).tables[:1] for cell in row[1])
    if url in ("/products", "/product"):
        assert "&lt;img src=x onerror=alert(1)&gt;" in answer.text
        assert "{{7*7}}" in answer.text


async def test_the_link_of_a_hostile_product_leads_to_its_own_page(shop: Shop) -> None:
    name = "a\"b'c/../d?e=f&id=g#h %2e+"
    await shop.happened(viewed(AUTUMN, name))
    async with shop.browser() as client:
        text = (await client.get("/products?range=all")).text
        link = next(part.partition('"')[0] for part in text.split('href="') if part.startswith("/product?"))
        answer = await client.get(link.replace("&amp;", "&"))
    assert answer.status_code == 200
    assert "a&#34;b&#39;c/../d?e=f&amp;id=g#h %2e+" in answer.text


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8100", "127.0.0.1", "127.0.0.1:1", "[::1]", "[::1]:8100", "LOCALHOST"]
)
async def test_it_answers_to_the_names_of_this_machine(shop: Shop, host: str) -> None:
    async with shop.browser() as client:
        assert (await client.get("/", headers={"Host": host})).status_code == 200


@pytest.mark.parametrize("host", STRANGERS)
async def test_it_refuses_other_names_so_that_no_other_site_can_read_it(shop: Shop, host: str) -> None:
    await shop.happened(viewed(AUTUMN, "SECRET"))
    async with shop.browser() as client:
        for url in ("/", "/products", "/api/figures", "/figures.csv", "/metrics"):
            answer = await client.get(url, headers={"Host": host})
            assert answer.status_code == 421
            assert "SECRET" not in answer.text


async def test_it_answers_to_any_name_where_it_listens_openly(shop: Shop) -> None:
    shop.visitors.site = Site(is_local=False)
    async with shop.browser() as client:
        assert (await client.get("/", headers={"Host": "shop.example"})).status_code == 200


def test_a_request_without_a_host_has_no_name_of_this_machine() -> None:
    assert not names_loopback(None)


async def test_it_answers_to_the_name_of_a_proxy_in_front(shop: Shop) -> None:
    shop.visitors.site = Site(public_url="http://shop.example")
    async with shop.browser() as client:
        for host in ("shop.example", "localhost:8100"):
            assert (await client.get("/", headers={"Host": host})).status_code == 200
        assert (await client.get("/", headers={"Host": "other.example"})).status_code == 421


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "[::1]", "localhost"])
def test_without_sign_in_it_listens_on_this_machines_own_addresses(host: str) -> None:
    refuse_open_listen(host, "off")


@pytest.mark.parametrize("host", OPEN)
def test_it_listens_openly_with_sign_in_only(host: str) -> None:
    with pytest.raises(OpenListenError, match="COUNTINGHOUSE_SIGN_IN=off"):
        refuse_open_listen(host, "off")
    refuse_open_listen(host, "on")


@given(st.lists(st.text(max_size=8), min_size=1, max_size=20))
def test_no_text_of_a_download_begins_like_a_formula_and_none_is_lost(texts: list[str]) -> None:
    safe = without_formulas(pl.DataFrame({"text": texts, "number": [-1] * len(texts)}))
    for before, after in zip(texts, safe["text"].to_list(), strict=True):
        assert after in (before, f"'{before}")
        assert not after.startswith(("=", "+", "-", "@", "\t", "\r", "\0", "＝", "＋", "－", "＠"))
    assert safe["number"].to_list() == [-1] * len(texts)


@pytest.mark.parametrize(
    ("amount_minor", "currency", "text"),
    [
        (123_456, "GBP", "£1,234.56"),
        (-5, "GBP", "-£0.05"),
        (0, "EUR", "€0.00"),
        (1_234, "JPY", "¥1,234"),
        (1_234_567, "KWD", "KWD 1,234.567"),
        (99, "XTS", "XTS 0.99"),
        (10**17 + 1, "USD", "$1,000,000,000,000,000.01"),
    ],
)
def test_money_is_shown_exactly_in_its_currency(amount_minor: int, currency: str, text: str) -> None:
    assert money(amount_minor, currency) == text
