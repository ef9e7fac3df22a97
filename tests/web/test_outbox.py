"""The dead rows of the outbox: shown, and sent again once, by somebody whom the audit names."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import httpx
import pytest

from backoffice.sign_in.roles import Role
from event_store.events import ProductView
from event_store.outbox import DeadRow
from tests.web.shop import HOSTILE_ID, Shop
from tests.web.visitors import NO_SIGN_IN

AT = datetime(2011, 11, 1, 9, tzinfo=UTC)
WHY = "Kafka takes <b>900</b> bytes"


async def buried(shop: Shop, *products: str) -> None:
    """A row for each product, none of which the log takes."""
    for product in products:
        shop.accepts(ProductView(product, "visitor", "GBP"), AT)
    lanes = await shop.outbox.hold_lanes("relay", 60)
    for claimed in await shop.outbox.claim(lanes):
        for row in (row for row in claimed.rows if b"withheld" not in row.payload):
            withheld = shop.codec.draft(ProductView("withheld", "visitor", "GBP"), AT)
            await shop.outbox.bury(claimed.lane, row.sequence, WHY, withheld)


async def waiting(shop: Shop) -> list[DeadRow]:
    return [row for row in await shop.outbox.dead() if row.redriven_at_us is None]


async def told(shop: Shop) -> list[tuple[str, str, str]]:
    return [(row.who, row.what, row.on) for row in await shop.visitors.office.audits["commerce"].older()]


def forms(page: httpx.Response) -> list[dict[str, str]]:
    found = re.findall(r'<form[^>]*action="/outbox">(.*?)</form>', page.text, re.DOTALL)
    return [dict(re.findall(r'name="(\w+)" value="([^"]*)"', form)) for form in found]


async def test_without_dead_rows_the_page_says_so(shop: Shop) -> None:
    async with shop.browser() as client:
        assert "No row is dead" in (await client.get("/outbox")).text


async def test_a_row_is_sent_again_once_and_the_audit_says_who_did(shop: Shop) -> None:
    await buried(shop, "A", HOSTILE_ID)
    async with shop.browser(role=Role.OPERATOR) as client:
        page = await client.get("/outbox")
        assert "<img" not in page.text.replace('<img src="/static', "")
        assert "Kafka takes &lt;b&gt;900" in page.text
        (every, newest, _) = forms(page)
        assert every["count"] == "2"
        first = await client.post("/outbox", data=newest)
        again = await client.post("/outbox", data=newest)
        after = await client.get("/outbox")
    assert (first.status_code, again.status_code) == (303, 409)
    assert f"Row {newest['row']} does not wait" in again.text
    assert [row.id for row in await waiting(shop)] != [int(newest["row"])]
    assert "Sent again" in after.text
    assert len(forms(after)) == 2
    assert await told(shop) == [("operator", "outbox.redriven", f"row {newest['row']}")]


async def test_all_go_only_where_there_are_as_many_as_were_shown(shop: Shop) -> None:
    await buried(shop, "A", "B")
    async with shop.browser() as client:
        every = forms(await client.get("/outbox"))[0]
        await buried(shop, "C")
        stale = await client.post("/outbox", data=every)
        assert len(await waiting(shop)) == 3
        done = await client.post("/outbox", data=forms(stale)[0])
        assert await waiting(shop) == []
        none_left = await client.post("/outbox", data=forms(stale)[0])
    assert (stale.status_code, done.status_code, none_left.status_code) == (409, 303, 409)
    assert "3 rows wait to be sent again by now, not 2. Nothing was done." in stale.text
    assert await told(shop) == [("admin", "outbox.redriven", "3 rows")]
    await shop.sends()
    await shop.counts()
    assert sum(one.sent for one in await shop.outbox.lanes()) == 6


@pytest.mark.parametrize("fields", [{}, {"row": "x"}, {"row": "9" * 40}, {"row": "99"}, {"count": ""}, {"count": "-1"}])
async def test_a_form_that_names_no_row_does_nothing(shop: Shop, fields: dict[str, str]) -> None:
    await buried(shop, "A")
    async with shop.browser() as client:
        answer = await shop.visitors.sends(client, "/outbox", **fields)
    assert answer.status_code == 409
    assert "Nothing was done" in answer.text or "does not wait" in answer.text
    assert len(await waiting(shop)) == 1
    assert await told(shop) == []


async def test_a_viewer_sees_them_and_gets_no_button(shop: Shop) -> None:
    await buried(shop, "A")
    async with shop.browser(role=Role.VIEWER) as client:
        page = await client.get("/outbox")
    assert "1 dead row" in page.text
    assert forms(page) == []


async def test_without_sign_in_nobody_could_be_named_so_the_command_is(shop: Shop) -> None:
    await buried(shop, "A")
    async with shop.browser(gate=NO_SIGN_IN) as client:
        page = await client.get("/outbox")
        answer = await client.post("/outbox", data={"count": "1"})
    assert forms(page) == []
    assert "countinghouse outbox redrive" in page.text
    assert answer.status_code == 409
    assert len(await waiting(shop)) == 1


async def test_the_pipeline_leads_there(shop: Shop) -> None:
    await buried(shop, "A")
    async with shop.browser() as client:
        assert '<a href="/outbox">1 dead</a>' in (await client.get("/pipeline")).text
