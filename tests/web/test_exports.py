"""A file holds exactly what its page shows, and nothing that a spreadsheet would run."""

from __future__ import annotations

import csv
import io
import re
import zipfile
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import polars as pl
import pytest

from tests.web.reading import WHOLE, shown, table
from tests.web.shop import OPENED, Shop, busy_days, listed, viewed

AUTUMN = datetime(2011, 10, 28, tzinfo=UTC)
MONEY = [name for name in WHOLE if name.endswith("_minor")]
PAGES = [
    ("overview", "/", {}, 2),
    ("products", "/products", {"sort": "views", "q": "b"}, 3),
    ("product", "/product", {"id": "A"}, 2),
]


def minor(row: dict[str, Any]) -> list[int]:
    """The integers of a row of a file, amounts in minor units again."""
    return [
        int(Decimal(str(row[name.removesuffix("_minor")])).scaleb(2)) if name in MONEY else int(row[name])
        for name in WHOLE
    ]


async def exported(client: httpx.AsyncClient, form: str, of: str, query: dict[str, str]) -> list[dict[str, Any]]:
    answer = await client.get(f"/figures.{form}", params={"of": of, **query})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-disposition"] == f'attachment; filename="{of}.{form}"'
    if form == "csv":
        return list(csv.DictReader(io.StringIO(answer.text)))
    if form == "parquet":
        return pl.read_parquet(answer.content).to_dicts()
    return workbook(answer.content)


def workbook(content: bytes) -> list[dict[str, Any]]:
    """The rows of a workbook's only sheet, its cells as they are typed there: text or number."""
    with zipfile.ZipFile(io.BytesIO(content)) as packed:
        strings = re.findall(r"<si><t[^>]*>(.*?)</t></si>", packed.read("xl/sharedStrings.xml").decode(), re.DOTALL)
        sheet = packed.read("xl/worksheets/sheet1.xml").decode()
    assert "<f>" not in sheet, "a formula"
    rows = []
    for row in re.findall(r"<row [^>]*>(.*?)</row>", sheet, re.DOTALL):
        cells = {}
        for column, kind, value in re.findall(r'<c r="([A-Z]+)\d+"(?: s="\d+")?( t="s")?>(?:<v>(.*?)</v>)?</c>', row):
            cells[column] = unescaped(strings[int(value)]) if kind else value
        rows.append(cells)
    return [{rows[0][column]: value for column, value in row.items()} for row in rows[1:]]


def unescaped(text: str) -> str:
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", '"').replace("&amp;", "&")


@pytest.mark.parametrize("form", ["csv", "xlsx", "parquet"])
@pytest.mark.parametrize(("of", "url", "more", "keys"), PAGES)
async def test_a_file_holds_the_rows_that_the_page_shows_in_their_order(
    shop: Shop, form: str, of: str, url: str, more: dict[str, str], keys: int
) -> None:
    await shop.happened(
        listed(AUTUMN, "A", "Bunting"),
        *busy_days(shop, seed=31, first=OPENED - timedelta(days=13), days=12, events=150),
    )
    query = {"range": "7d", "compare": "none", "tz": "Europe/London", **more}
    async with shop.browser() as client:
        page = await table(client, url, **query)
        rows = await exported(client, form, of, query)
    currencies = {row["currency"] for row in rows}
    on_page = shown(page[1 : -len(currencies)], keys, skip=1 if of == "products" else 0)
    assert [minor(row) for row in rows] == [values for _, values in on_page]
    named = ["product_id", "name", "currency"] if of == "products" else ["day", "currency"]
    assert [[row.get(name) or "" for name in named] for row in rows] == [keys for keys, _ in on_page]


@pytest.mark.parametrize("form", ["csv", "xlsx", "parquet"])
async def test_what_is_compared_goes_along(shop: Shop, form: str) -> None:
    await shop.happened(*busy_days(shop, seed=32, first=OPENED - timedelta(days=13), days=12, events=150))
    async with shop.browser() as client:
        page = await table(client, "/", range="7d", metric="views")
        rows = await exported(client, form, "overview", {"range": "7d", "metric": "views"})
    assert [int(row["compared_views"]) for row in rows] == [int(row[3].replace(",", "")) for row in page[1:-2]]
    assert [int(row["views"]) for row in rows] == [int(row[2].replace(",", "")) for row in page[1:-2]]


async def test_a_file_has_every_row_that_was_found_and_not_only_a_page_of_them(shop: Shop) -> None:
    await shop.happened(*(viewed(AUTUMN, f"P{number:03}") for number in range(120)))
    async with shop.browser() as client:
        rows = await exported(client, "parquet", "products", {"range": "all", "sort": "product_id", "page": "2"})
    assert [row["product_id"] for row in rows] == [f"P{number:03}" for number in range(120)]


NAMES = ["=1+1", "+A", "-A", "@A", "＝A", "A=1", "plain", 'quo"te,comma', "=HYPERLINK(1)", "mailto:a@b.c", "<b>&amp;"]


@pytest.mark.parametrize("form", ["csv", "xlsx", "parquet"])
async def test_no_text_of_a_file_is_a_formula(shop: Shop, form: str) -> None:
    await shop.happened(*(viewed(AUTUMN, name) for name in NAMES))
    async with shop.browser() as client:
        rows = await exported(client, form, "products", {"range": "all", "sort": "product_id"})
    found = [row["product_id"] for row in rows]
    assert [name.removeprefix("'") for name in found] == sorted(NAMES)
    led = {name for name in found if name.startswith("'")}
    assert led == ({"'=1+1", "'+A", "'-A", "'@A", "'＝A", "'=HYPERLINK(1)"} if form == "csv" else set())


async def test_a_negative_number_in_a_file_stays_a_number(shop: Shop) -> None:
    await shop.happened(shop.refunded(AUTUMN, ("A", 1, 500)))
    async with shop.browser() as client:
        rows = await exported(client, "csv", "products", {"range": "all"})
    assert [row["net"] for row in rows] == ["-5.00"]


async def test_amounts_of_currencies_with_other_minor_units_are_exact(shop: Shop) -> None:
    sales = [shop.sold(AUTUMN, ("A", 1, 12_345), currency=currency) for currency in ("GBP", "JPY", "KWD")]
    await shop.happened(*sales)
    async with shop.browser() as client:
        rows = await exported(client, "parquet", "products", {"range": "all"})
    assert {row["currency"]: row["gross"] for row in rows} == {
        "GBP": Decimal("123.45"),
        "JPY": Decimal(12345),
        "KWD": Decimal("12.345"),
    }


async def test_what_nobody_shows_can_not_be_downloaded(shop: Shop) -> None:
    async with shop.browser() as client:
        answer = await client.get("/figures.csv?of=secrets")
    assert answer.status_code == 400
    assert "there are overview, products, product" in answer.json()["detail"]
