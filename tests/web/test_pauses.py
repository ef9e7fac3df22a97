"""Pauses from the page and the API: by whom and why, refused where it is so already, shown under every number."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from html import unescape
from typing import Any

import httpx
import pytest

from backoffice.sign_in.roles import Role
from event_store.audit import Entry
from event_store.pauses import LINE, Part
from event_store.tokens import Scope
from tests.web.reading import page
from tests.web.shop import HOSTILE_NAME, Shop, viewed
from tests.web.visitors import NO_SIGN_IN, TEST

AT = datetime(2011, 11, 1, 9, tzinfo=UTC)
WHERE = {Part.RELAY: "commerce", Part.CONSUMER: "backoffice", Part.REBUILD: "backoffice"}
ADA = Entry(who="ada", what="", reason="the broker moves")


async def acts(shop: Shop, client: httpx.AsyncClient, act: str, part: str, **more: str) -> httpx.Response:
    return await shop.visitors.sends(client, "/pipeline", act=act, part=part, **more)


async def told(shop: Shop, part: Part) -> list[tuple[str, str, str]]:
    rows = await shop.visitors.office.audits[WHERE[part]].older()
    return [(row.who, row.what, row.reason) for row in rows if row.what.startswith(part)]


@pytest.mark.parametrize("part", LINE)
async def test_an_operator_pauses_and_resumes_and_the_audit_says_who_and_why(shop: Shop, part: Part) -> None:
    async with shop.browser(role=Role.OPERATOR) as client:
        assert (await acts(shop, client, "pause", part, why="the  broker moves")).status_code == 303
        again = await acts(shop, client, "pause", part, why="so there")
        shown = await page(client, "/pipeline")
        assert (await acts(shop, client, "resume", part)).status_code == 303
        not_paused = await acts(shop, client, "resume", part)
        after = await page(client, "/pipeline")
    assert (again.status_code, not_paused.status_code) == (409, 409)
    assert f"The {part} is paused already, by operator. Nothing was done." in unescape(again.text)
    assert 'value="so there"' not in after
    assert f"The {part} isn't paused. Nothing was done." in unescape(not_paused.text)
    assert f"{part.work.capitalize()} is paused</h2>" in shown
    assert f"{part.work.capitalize()}</h2>" in after
    assert await told(shop, part) == [
        ("operator", f"{part}.resumed", ""),
        ("operator", f"{part}.paused", "the broker moves"),
    ]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"act": "pause", "part": "relay"}, "Say why, in 1 to 500 characters."),
        ({"act": "pause", "part": "relay", "why": " "}, "Say why"),
        ({"act": "pause", "part": "relay", "why": "x" * 501}, "Say why"),
        ({"act": "pause", "part": "archiver", "why": "x"}, "'archiver' is none of relay, consumer, rebuild."),
        ({"act": "resume"}, "'' is none of relay, consumer, rebuild."),
        ({}, "'' is none of relay, consumer, rebuild."),
    ],
)
async def test_a_form_that_names_no_part_or_no_reason_does_nothing(
    shop: Shop, fields: dict[str, str], words: str
) -> None:
    async with shop.browser(role=Role.OPERATOR) as client:
        answer = await shop.visitors.sends(client, "/pipeline", **fields)
    assert answer.status_code == 422
    assert words in unescape(answer.text)
    assert await told(shop, Part.RELAY) == []


async def test_every_number_says_that_counting_is_paused_since_when_by_whom_and_why(shop: Shop) -> None:
    await shop.happened(viewed(AT, "A"))
    await shop.pauses[Part.CONSUMER].pause(Part.CONSUMER, Entry(who="ada", what="", reason=HOSTILE_NAME))
    shop.clock.passes(3)
    async with shop.browser(role=Role.VIEWER) as client:
        for url in ("/", "/products", "/product?id=A", "/pipeline", "/behind?metric=views"):
            answer = await client.get(url)
            text = " ".join(answer.text.split())
            assert 'class="stamp stamp-late"' in text, url
            since = '<time datetime="2011-12-01T12:00:00+00:00">1 Dec 2011, 12:00:00</time>'
            assert f"counting is paused since {since} by ada: &lt;/script&gt;" in text, url
        found = (await client.get("/api/figures")).json()["completeness"]
        assert (await client.get("/api/status")).json()["completeness"] == found
        assert 'value="pause"' not in (await client.get("/pipeline")).text
    assert found["level"] == "late"
    assert found["paused"] == [{"part": "consumer", "since": "2011-12-01T12:00:00Z", "who": "ada", "why": HOSTILE_NAME}]


async def test_a_broken_line_stays_broken_while_it_is_paused(shop: Shop) -> None:
    await shop.happened(viewed(AT, "A"))
    tp = next(one.tp for one in await shop.read_model.progress(1))
    await shop.read_model.note_stop(1, tp, "look")
    await shop.pauses[Part.RELAY].pause(Part.RELAY, ADA)
    stamp = await shop.pipeline.completeness()
    assert (stamp.level, [one.part for one in stamp.paused]) == ("broken", ["relay"])


async def test_the_metrics_say_what_is_paused(shop: Shop) -> None:
    await shop.pauses[Part.RELAY].pause(Part.RELAY, ADA)
    async with shop.browser() as client:
        text = (await client.get("/metrics")).text
        ready = await client.get("/readyz")
    assert 'countinghouse_pipeline_paused{part="relay"} 1.0' in text
    assert 'countinghouse_pipeline_paused{part="consumer"} 0.0' in text
    assert ready.status_code == 200


async def test_without_sign_in_nobody_could_be_named_so_the_command_is(shop: Shop) -> None:
    async with shop.browser(gate=NO_SIGN_IN) as client:
        shown = await client.get("/pipeline")
        answer = await client.post("/pipeline", data={"act": "pause", "part": "relay", "why": "x"})
        program = await client.post("/api/pause", json={"part": "relay", "why": "x"})
    assert 'value="pause"' not in shown.text
    assert (answer.status_code, program.status_code) == (409, 409)
    assert "countinghouse pause" in answer.text
    assert await shop.pauses[Part.RELAY].paused(Part.RELAY) is None


async def bearer(shop: Shop, *scopes: str) -> dict[str, str]:
    (_, text) = await shop.visitors.office.tokens["dashboard"].add("robot", scopes, 1, TEST)
    return {"Authorization": f"Bearer {text}"}


@pytest.mark.parametrize("part", Part)
async def test_a_program_pauses_and_resumes_with_a_token_for_it(shop: Shop, part: Part) -> None:
    headers = await bearer(shop, Scope.PAUSES)
    other = await bearer(shop, Scope.STATUS)
    async with shop.browser(role=None) as client:

        async def post(path: str, body: Any, headers: dict[str, str] = headers) -> httpx.Response:
            return await client.post(path, json=body, headers=headers)

        order = {"part": part, "why": "night run"}
        assert (await post("/api/pause", order, other)).status_code == 403
        assert (await post("/api/pause", order, {})).status_code == 401
        done = await post("/api/pause", order)
        answers = [await post("/api/pause", order), await post("/api/resume", {"part": part})]
        answers += [await post("/api/resume", {"part": part}), await post("/api/pause", {"part": "x", "why": "x"})]
        answers += [await post("/api/pause", {"part": part}), await post("/api/pause", {"part": part, "why": ""})]
    assert done.status_code == 200
    assert (done.json()["part"], done.json()["why"]) == (part, "night run")
    assert done.json()["who"].startswith("token cht_")
    assert [one.status_code for one in answers] == [409, 200, 409, 400, 400, 400]
    assert answers[0].headers["content-type"] == "application/problem+json"
    assert [row[1] for row in await told(shop, part)][:2] == [f"{part}.resumed", f"{part}.paused"]


async def test_the_audit_shows_what_was_before_and_after(shop: Shop) -> None:
    await shop.pauses[Part.RELAY].pause(Part.RELAY, ADA)
    (row,) = await shop.visitors.office.audits["commerce"].older()
    assert (json.loads(row.before), json.loads(row.after)) == ({"paused": False}, {"paused": True})
    async with shop.browser() as client:
        assert "relay.paused" in (await client.get("/audit?of=commerce")).text
