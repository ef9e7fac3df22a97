"""`/api/audit`: the rows as they are chained, page by page, so that a program can check them for itself."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from typing import Any

import pytest

from backoffice.sign_in.roles import Role
from event_store.audit import NO_HASH
from tests.web.shop import Shop
from tests.web.visitors import TEST


def sealed(row: dict[str, Any], before: bytes) -> str:
    """As docs/sign-in.md says."""
    at_us = round(datetime.fromisoformat(row["at"]).timestamp() * 1e6)
    fields = [
        *(row["number"], at_us, row["who"], row["what"], row["on"]),
        *(row["before"], row["after"], row["reason"], row["request_id"]),
    ]
    text = json.dumps(fields, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(before + text.encode()).hexdigest()


@pytest.mark.parametrize("most", [1, 3, 1000])
async def test_all_rows_come_page_by_page_and_each_is_chained_to_the_one_before(shop: Shop, most: int) -> None:
    for number in range(7):
        await shop.visitors.office.views.add(f"a view {number}", "/", "range=7d", TEST)
    async with shop.browser(role=Role.OPERATOR) as client:
        rows: list[dict[str, Any]] = []
        query: dict[str, str] = {"most": str(most)}
        while True:
            answer = (await client.get("/api/audit", params=query)).json()
            assert len(answer["rows"]) <= most
            rows += answer["rows"]
            if answer["next"] is None:
                break
            query["before"] = answer["next"]
        assert (await client.get("/api/audit", params={"of": "commerce"})).json() == {"rows": [], "next": None}
    assert [row["number"] for row in rows] == list(range(len(rows), 0, -1))
    assert sum(row["what"] == "saved_view.added" for row in rows) == 7
    before = NO_HASH
    for row in reversed(rows):
        assert row["hash"] == sealed(row, before)
        before = bytes.fromhex(row["hash"])


@pytest.mark.parametrize("query", [{"of": "nobody"}, {"before": "first"}, {"most": "0"}])
async def test_what_names_no_row_is_refused_with_what_there_is(shop: Shop, query: dict[str, str]) -> None:
    async with shop.browser(role=Role.OPERATOR) as client:
        refused = await client.get("/api/audit", params=query)
    assert refused.status_code == 400
    assert refused.headers["content-type"] == "application/problem+json"
