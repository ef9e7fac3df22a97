"""A browser shows what `countinghouse figures` prints, to the digit, in any zone and over changes of clocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any
from urllib.parse import urlencode

import pytest
from playwright.async_api import Page

from backoffice.pages.cards import CARDS
from backoffice.pages.shown import SHOWN, totals
from projections.figures import Question
from projections.metric import Unit
from projections.periods import Range
from tests.web.shop import exact

from .stocked_shop import StockedShop
from .visit import Visiting

pytestmark = [pytest.mark.processes, pytest.mark.asyncio(loop_scope="session")]

WHOLE = [metric.name for metric in SHOWN if metric.unit is not Unit.RATIO]
"""The columns that are integers; the ratios come after them."""

DAYS = [
    ("Europe/London", "2011-10-30", "2011-10-30"),
    ("Europe/London", "2011-10-28", "2011-11-02"),
    ("America/New_York", "2011-03-13", "2011-03-13"),
    ("America/New_York", "2011-11-05", "2011-11-07"),
    ("Asia/Kolkata", "2011-10-29", "2011-10-30"),
    ("Asia/Kathmandu", "2011-10-30", "2011-10-30"),
    ("Asia/Kathmandu", "2011-03-12", "2011-03-14"),
]
"""With the days on which clocks change, of 25 and of 23 hours."""

Shown = dict[tuple[str, ...], list[int]]
"""(key, currency) → the integers of a row."""


def _asked(first: str, last: str) -> Range:
    return Range(date.fromisoformat(first), date.fromisoformat(last))


def _address(path: str, tz: str, first: str, last: str, **more: str) -> str:
    chosen = {"range": "custom", "from": first, "to": last, "tz": tz, "compare": "none", **more}
    return f"{path}?{urlencode(chosen)}"


async def _table(page: Page, part: str, keys: int, skip: int = 0) -> Shown:
    """The rows of the page's first table of figures; `skip` columns after the keys are of another kind."""
    rows: list[list[str]] = (
        await page.locator("table.figures")
        .first.locator(f"{part} tr")
        .evaluate_all(
            "rows => rows.map(row => [...row.cells].map(cell => cell.textContent.trim().replace(/\\*$/, '')))"
        )
    )
    at = keys + skip
    return {tuple(row[:keys]): [exact(text) for text in row[at : at + len(WHOLE)]] for row in rows}


async def _cards(page: Page) -> dict[str, list[int]]:
    """Of the metrics that are integers: what their cards show."""
    texts = [await card.locator(".value").all_inner_texts() for card in await page.locator(".card").all()]
    return {name: [*map(exact, found)] for name, found in zip(CARDS, texts, strict=True) if name in WHOLE}


def _of_card(name: str, by_currency: Sequence[Mapping[str, Any]]) -> list[int]:
    """Amounts stand apart by currency, counts are added up."""
    values = [row[name] for row in by_currency]
    return values if name.endswith("_minor") else [sum(values)]


def _integers(row: Mapping[str, Any]) -> list[int]:
    return [row[name] for name in WHOLE]


def _filled(shown: Shown) -> Shown:
    """Periods in which nothing happened are shown as well."""
    return {key: integers for key, integers in shown.items() if any(integers)}


def _sums(rows: Sequence[Mapping[str, Any]]) -> list[list[int]]:
    return [_integers(row) for row in totals(rows)]


@pytest.mark.parametrize(("tz", "first", "last"), DAYS)
async def test_the_overview_shows_the_figures_of_each_hour_and_their_sums_twice(
    visiting: Visiting, shop: StockedShop, tz: str, first: str, last: str
) -> None:
    rows = (await shop.figures(Question(("hour",), tz, _asked(first, last)))).to_dicts()
    visit = await visiting()
    await visit.to(_address("/", tz, first, last, interval="hour"))
    shown = _filled(await _table(visit.page, "tbody", 2))
    assert sorted(shown.values()) == sorted(_integers(row) for row in rows)
    assert len(rows) > 5
    assert list((await _table(visit.page, "tfoot", 2)).values()) == _sums(rows)
    assert await _cards(visit.page) == {name: _of_card(name, totals(rows)) for name in CARDS if name in WHOLE}


@pytest.mark.parametrize(("tz", "first", "last"), DAYS)
async def test_the_products_page_shows_the_figures_of_each_product(
    visiting: Visiting, shop: StockedShop, tz: str, first: str, last: str
) -> None:
    rows = (await shop.figures(Question(("product",), tz, _asked(first, last)))).to_dicts()
    visit = await visiting()
    await visit.to(_address("/products", tz, first, last))
    shown = await _table(visit.page, "tbody", 3, skip=1)
    assert {(id_, currency): integers for (id_, _, currency), integers in shown.items()} == {
        (row["product_id"], row["currency"]): _integers(row) for row in rows
    }
    assert list((await _table(visit.page, "tfoot", 3, skip=1)).values()) == _sums(rows)


@pytest.mark.parametrize(("tz", "first", "last"), DAYS)
async def test_a_products_page_shows_its_figures_of_each_day(
    visiting: Visiting, shop: StockedShop, tz: str, first: str, last: str
) -> None:
    rows = (await shop.figures(Question(("day",), tz, _asked(first, last), ("A",)))).to_dicts()
    visit = await visiting()
    await visit.to(_address("/product", tz, first, last, id="A", interval="day"))
    assert _filled(await _table(visit.page, "tbody", 2)) == {
        (str(row["day"]), row["currency"]): _integers(row) for row in rows
    }
    assert list((await _table(visit.page, "tfoot", 2)).values()) == _sums(rows)


async def test_the_figures_are_those_of_the_command(shop: StockedShop) -> None:
    (tz, first, last) = DAYS[0]
    printed = shop.line.rows("--by", "product", "--tz", tz, "--from", first, "--to", last)
    asked = (await shop.figures(Question(("product",), tz, _asked(first, last)))).to_dicts()
    assert printed == [{name: str(value) for name, value in row.items()} for row in asked]
