"""Pages as somebody reads them: their tables as numbers."""

from __future__ import annotations

import httpx

from backoffice.pages.shown import SHOWN
from projections.metric import Unit
from tests.web.shop import Tables, exact

WHOLE = [metric.name for metric in SHOWN if metric.unit is not Unit.RATIO]
"""Columns that are integers; the ratios come after them."""

Shown = list[tuple[list[str], list[int]]]
"""(keys, integers) of each row."""


async def page(client: httpx.AsyncClient, url: str, **query: object) -> str:
    answer = await client.get(url, params={name: str(value) for name, value in query.items()} or None)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    return answer.text


async def table(client: httpx.AsyncClient, url: str, **query: object) -> list[list[str]]:
    """The rows of the page's first table, its head first."""
    return Tables(await page(client, url, **query)).tables[0]


def shown(rows: list[list[str]], keys: int, skip: int = 0) -> Shown:
    """`skip` columns after the keys are of another kind."""
    at = keys + skip
    return [(row[:keys], [exact(text) for text in row[at : at + len(WHOLE)]]) for row in rows]


def filled(rows: Shown) -> Shown:
    """Those that hold anything: periods in which nothing happened are shown as well."""
    return [row for row in rows if any(row[1])]
