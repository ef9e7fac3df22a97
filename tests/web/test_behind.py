"""Behind every number on the pages stand its events, and they add up to it."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import polars as pl
import pytest

from event_store.archiver import Archiver
from event_store.dead_letters import DeadLetter
from event_store.record import Record, TopicPartition
from projections.memory_read_model import MemoryReadModel
from projections.read_model import Sums, SumsAsked
from tests.web.shop import HOSTILE_ID, HOSTILE_NAME, Shop, Tables, busy_days, exact, listed, viewed

AUTUMN = datetime(2011, 10, 28, tzinfo=UTC)
CELL = re.compile(r'<a class="behind" href="([^"]+)">([^<]*)</a>')
NOTE = "No event carries it"


async def page(client: httpx.AsyncClient, url: str, status: int = 200) -> str:
    answer = await client.get(url)
    assert answer.status_code == status, answer.text
    return answer.text


def cells(text: str) -> list[tuple[str, str]]:
    """(link, number) of every figure of a page."""
    return [(unescape(link), unescape(number)) for link, number in CELL.findall(text)]


async def opened(client: httpx.AsyncClient, link: str) -> tuple[str, list[list[str]]]:
    """What the page behind a figure says of it, and its rows."""
    text = await page(client, link)
    if NOTE in text:
        return "derived", []
    if "No event adds to it" in text:
        return "nothing", []
    tables = Tables(text).tables
    verdicts = set(re.findall(r'class="verdict verdict-(\w+)"', text))
    rows = [row for table in tables for row in table[1:-1]]
    if len(tables) == 1:
        (last,) = (table[-1] for table in tables)
    else:
        together = re.search(r'<p class="note">(\S+) in all: ', text)
        assert together is not None
        last = ["All", together[1]]
    return "equal" if verdicts == {"equal"} else "unequal", [*rows, last]


@pytest.mark.parametrize(
    "url",
    [
        "/?range=all",
        "/products?range=all",
        "/product?id=A&range=all",
        "/product?id=B&range=custom&from=2011-10-29&to=2011-10-30&interval=hour",
        "/?range=custom&from=2011-10-30&to=2011-10-30&interval=15min&compare=before",
        "/product?id=A&range=custom&from=2011-10-30&to=2011-10-30&compare=before",
        "/?range=custom&from=2011-09-01&to=2011-12-31&interval=week",
        "/?range=custom&from=2011-01-01&to=2011-12-31&interval=month",
    ],
)
@pytest.mark.parametrize("tz", ["Europe/London", "Asia/Kathmandu"])
async def test_every_figure_of_a_page_opens_to_events_that_add_up_to_it(shop: Shop, url: str, tz: str) -> None:
    await shop.happened(*busy_days(shop, seed=3, first=AUTUMN, days=3, events=60))
    async with shop.browser() as client:
        found = cells(await page(client, f"{url}&tz={tz}"))
        assert len(found) > 20
        seen = set()
        for link, number in found:
            (verdict, rows) = await opened(client, link)
            seen.add(verdict)
            if verdict == "nothing":
                assert exact(number) == 0
            elif verdict != "derived":
                assert verdict == "equal"
                assert sum(exact(row[-1]) for row in rows[:-1]) == exact(number)
                assert rows[-1][-1] == number
    assert seen >= {"equal", "derived"}


@pytest.mark.parametrize(
    "url", ["/?range=today", "/?range=today&interval=15min&metric=views", "/?range=7d&metric=views"]
)
@pytest.mark.parametrize("tz", ["Europe/London", "Asia/Kathmandu"])
async def test_what_a_running_range_is_compared_with_opens_up_to_the_same_time_of_its_day(
    shop: Shop, url: str, tz: str
) -> None:
    shop.clock.now = datetime(2011, 10, 30, 13, 7, tzinfo=UTC)
    await shop.happened(*busy_days(shop, seed=8, first=AUTUMN - timedelta(days=6), days=9, events=300))
    shop.clock.now = datetime(2011, 10, 30, 13, 7, tzinfo=UTC)
    async with shop.browser() as client:
        found = [
            (link, number)
            for link, number in cells(await page(client, f"{url}&tz={tz}"))
            if "until=" in link and exact(number)
        ]
        assert any("at=" in link for link, _ in found)
        assert any("at=" not in link for link, _ in found)
        for link, number in found:
            text = await page(client, link)
            assert NOTE in text or re.search(r", until \d\d:\d\d</p>", text)
            (verdict, rows) = await opened(client, link)
            assert verdict in {"derived", "equal"}
            assert verdict == "derived" or rows[-1][-1] == number


@pytest.mark.parametrize("until", ["yesterday", "2011-10-28T14:15", "2011-10-28T14:16Z", "9999-12-31T23:45-12:00"])
async def test_a_range_that_ends_where_no_quarter_of_an_hour_begins_is_refused(shop: Shop, until: str) -> None:
    await shop.happened(viewed(AUTUMN, "A"))
    async with shop.browser() as client:
        text = await page(client, f"/behind?metric=views&from=2011-10-28&to=2011-10-28&until={until}", 400)
    assert "begins no quarter of an hour" in text


async def test_another_range_forgets_the_part_of_the_range_that_was_asked_for(shop: Shop) -> None:
    await shop.happened(viewed(AUTUMN, "A"))
    link = (
        "/behind?metric=views&from=2011-10-28&to=2011-10-28&until=2011-10-28T14:15Z&at=2011-10-28&interval=day&tz=UTC"
    )
    async with shop.browser() as client:
        text = await page(client, link)
    (table,) = Tables(text).tables
    assert exact(table[-1][-1]) == 1
    assert "range=yesterday" in text
    assert not re.search(r'href="[^"]*range=yesterday[^"]*(at|until)=', text)
    assert 'type="hidden" name="until"' not in text


@pytest.mark.parametrize("end", ["from=2011-10-28", "from=2011-10-27", "to=2011-10-28", "to=2011-10-30"])
@pytest.mark.parametrize("interval", ["hour", "15min"])
async def test_a_step_opens_where_an_end_of_its_range_is_open(shop: Shop, end: str, interval: str) -> None:
    await shop.happened(*(viewed(AUTUMN + timedelta(minutes=minutes), "A") for minutes in (0, 10, 2000)))
    async with shop.browser() as client:
        link = f"/behind?metric=views&{end}&interval={interval}&at=2011-10-28T00:00%2B00:00&tz=UTC"
        (verdict, rows) = await opened(client, link)
    assert (verdict, rows[-1][-1]) == ("equal", "2")


async def test_the_events_of_a_number_come_in_pages_by_time_and_none_is_left_out(shop: Shop) -> None:
    await shop.happened(*busy_days(shop, seed=4, first=AUTUMN, days=2, events=900))
    async with shop.browser() as client:
        link = "/behind?metric=views&range=all&tz=UTC&currency=GBP"
        rows: list[list[str]] = []
        pages = 0
        while link:
            text = await page(client, link)
            (table,) = Tables(text).tables
            rows += table[1:-1]
            pages += 1
            later = re.search(r'<a href="([^"]+)" rel="next">', text)
            link = f"/behind{unescape(later[1])}" if later else ""
        beyond = await page(client, "/behind?metric=views&range=all&page=77")
    assert pages > 1
    assert len({(row[3], row[4], row[5]) for row in rows}) == len(rows) == sum(exact(row[-1]) for row in rows)
    assert 'rel="prev"' in beyond


async def test_the_api_gives_the_same_events_by_cursor_with_how_complete_they_are(shop: Shop) -> None:
    await shop.happened(*busy_days(shop, seed=5, first=AUTUMN, days=2, events=300))
    whole = {"metric": "net_minor", "tz": "Europe/London", "product": "A", "currency": "GBP"}
    async with shop.browser() as client:
        at_once: dict[str, Any] = (await client.get("/api/explain", params={**whole, "most": "1000"})).json()
        parts: list[dict[str, Any]] = []
        after: dict[str, str] = {}
        while True:
            answer = (await client.get("/api/explain", params={**whole, "most": "7", **after})).json()
            parts += answer["explained"][0]["contributions"]
            if answer["next"] is None:
                break
            after = {"after": answer["next"]}
    (explained,) = at_once["explained"]
    assert parts == explained["contributions"]
    assert explained["equal"] is True
    assert sum(one["contribution"] for one in parts) == explained["sum"] == explained["figure"]
    assert len(parts) == explained["events"] > 20
    assert [one["time"] for one in parts] == sorted(one["time"] for one in parts)
    assert at_once["completeness"]["generation"] == 1
    assert at_once["next"] is None


async def test_the_api_takes_a_step_and_an_earlier_end_as_the_page_does(shop: Shop) -> None:
    await shop.happened(*(viewed(AUTUMN + timedelta(minutes=minutes), "A") for minutes in (5, 20, 50, 65, 1500)))
    days = {"metric": "views", "tz": "UTC", "from": "2011-10-28", "to": "2011-10-29"}
    asked: dict[int, dict[str, str]] = {
        5: {},
        4: {"interval": "day", "at": "2011-10-28"},
        3: {"at": "2011-10-28T00:00+00:00"},
        1: {"interval": "15min", "at": "2011-10-28T00:15+00:00"},
        2: {"until": "2011-10-28T00:45Z"},
    }
    async with shop.browser() as client:
        for events, part in asked.items():
            answer = (await client.get("/api/explain", params={**days, **part})).json()
            (explained,) = answer["explained"]
            assert (explained["events"], explained["figure"], explained["equal"]) == (events, events, True)
        for wrong in (
            {"interval": "minute"},
            {"interval": "minute", "at": "00:15"},
            {"at": "2011-10-30T00:00+00:00"},
            {"until": "noon"},
        ):
            refused = await client.get("/api/explain", params={**days, **wrong})
            assert refused.status_code == 400


async def test_it_is_the_same_from_the_archive_and_while_the_log_grows(shop: Shop, tmp_path: Any) -> None:
    shop.archive = tmp_path
    await shop.happened(*busy_days(shop, seed=6, first=AUTUMN, days=2, events=200))
    link = "/behind?metric=gross_minor&range=all&currency=GBP&tz=UTC"
    async with shop.browser() as client:
        before = await opened(client, link)
        await Archiver(shop.history, _Nobody(), min_records=5).seal_all()
        archived = await opened(client, link)
        await shop.happened(shop.sold(AUTUMN + timedelta(days=1), ("A", 1, 250)))
        (verdict, grown) = await opened(client, link)
    assert archived == before
    assert (before[0], verdict) == ("equal", "equal")
    assert exact(grown[-1][-1]) == exact(before[1][-1][-1]) + 250


class _Nobody:
    def sealed(self, segment: object, seconds: float) -> None: ...
    def looked(self, unsealed: object) -> None: ...
    def failed(self, error: Exception, retry_in_s: float) -> None:
        raise error


class _Mistaken(MemoryReadModel):
    """Says one more of everything."""

    async def sums(self, generation: int, projections: Sequence[str], asked: SumsAsked) -> Sums:
        found = await super().sums(generation, projections, asked)
        more = pl.exclude("product_id", "period", "currency") + 1
        return replace(found, rows={name: rows.with_columns(more) for name, rows in found.rows.items()})


class _Busy(MemoryReadModel):
    """In which more is counted each time that somebody looks."""

    looked: Callable[[], Awaitable[None]] | None = None

    async def serving(self) -> int:
        (looked, self.looked) = (self.looked, None)
        if looked is not None:
            await looked()
            self.looked = looked
        return await super().serving()

    async def dead_letters(self, generation: int, most: int = 1000) -> Sequence[DeadLetter]:
        await self.serving()
        return await super().dead_letters(generation, most)


async def test_in_a_shop_that_never_rests_a_number_is_what_its_events_add_up_to() -> None:
    shop = Shop()
    shop.read_model = busy = _Busy(shop.clock)
    await shop.open()
    await shop.log.append(TopicPartition("catalog-events", 0), [Record(b"A", b"unreadable")])

    async def more() -> None:
        await shop.happened(viewed(AUTUMN, "A"), viewed(AUTUMN, "B"))

    await more()
    busy.looked = more
    async with shop.browser() as client:
        answers = [(await client.get("/api/explain", params={"metric": "views"})).json() for _ in range(5)]
    found = [answer["explained"][0] for answer in answers]
    assert [one for one in found if one["figure"] != one["sum"]] == []
    assert len({one["sum"] for one in found}) == len(found)


async def test_a_number_that_its_events_do_not_add_up_to_is_called_so() -> None:
    shop = Shop()
    shop.read_model = _Mistaken(shop.clock)
    await shop.open()
    await shop.happened(viewed(AUTUMN, "A"))
    async with shop.browser() as client:
        text = await page(client, "/behind?metric=views&range=all")
        (explained,) = (await client.get("/api/explain", params={"metric": "views"})).json()["explained"]
    assert "1 event adds up to 1, not to the number" in text
    assert (explained["figure"], explained["sum"], explained["equal"]) == (2, 1, False)


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("metric=magic", "No metric"),
        ("metric=views&range=custom&from=2011-10-30&to=2011-10-29", "Ends on 2011-10-29"),
        ("metric=views&tz=Mars/Olympus", "No time zone"),
        ("metric=views&page=0", "No page"),
        ("metric=views&range=custom&from=2011-10-28&to=2011-10-28&interval=hour&at=2011-10-30T01", "No hour"),
        ("metric=views&range=7d&interval=day&at=never", "No day"),
    ],
)
async def test_what_can_not_be_opened_says_what_to_change(shop: Shop, query: str, says: str) -> None:
    await shop.happened(viewed(AUTUMN, "A"))
    async with shop.browser() as client:
        text = await page(client, f"/behind?{query}", 400)
    assert says.casefold() in text.casefold()


@pytest.mark.parametrize(
    "query", [{"metric": "conversion"}, {"metric": "views", "after": "x"}, {"metric": "price_minor"}]
)
async def test_the_api_refuses_what_it_can_not_explain(shop: Shop, query: dict[str, str]) -> None:
    async with shop.browser() as client:
        answer = await client.get("/api/explain", params=query)
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")


async def test_a_record_is_shown_with_what_it_says_and_adds(shop: Shop) -> None:
    await shop.happened(
        listed(AUTUMN, HOSTILE_ID, HOSTILE_NAME), shop.sold(AUTUMN, (HOSTILE_ID, 2, 350), ("B", 1, 100))
    )
    async with shop.browser() as client:
        behind = await page(client, "/behind?metric=gross_minor&range=all")
        (link,) = re.findall(r'href="(/record\?[^"]+)"', behind)
        text = await page(client, unescape(link))
        place = {name: values[0] for name, values in parse_qs(urlsplit(unescape(link)).query).items()}
        told = (await client.get("/api/record", params=place)).json()["record"]
    assert "<img" not in text.replace('<img src="/static', "")
    assert Tables(text).scripts == Tables(behind).scripts
    (adds,) = Tables(text).tables
    assert [row for row in adds[1:] if row[1] == "Gross revenue"] == [
        [HOSTILE_ID, "Gross revenue", "£3.50"],
        ["B", "Gross revenue", "£1.00"],
    ]
    assert told["state"] == "counted"
    assert json.loads(told["raw"])["data"]["lines"][0]["product_id"] == HOSTILE_ID


async def test_a_record_that_can_not_be_read_is_shown_safely_with_its_reason(shop: Shop) -> None:
    tp = TopicPartition("catalog-events", 1)
    offset = await shop.log.append(tp, [Record(b"\xff<b>", b"\x00\xff<script>")])
    async with shop.browser() as client:
        waiting = await page(client, f"/record?topic={tp.topic}&partition={tp.partition}&offset={offset}")
        await shop.counts()
        text = await page(client, f"/record?topic={tp.topic}&partition={tp.partition}&offset={offset}")
    assert "on its way" in waiting
    assert "dead letter" in text
    assert "&lt;script&gt;" in text
    assert "\\xff" in text
    assert Tables(text).scripts == Tables(waiting).scripts


@pytest.mark.parametrize(
    "query",
    [
        "",
        "topic=catalog-events&partition=0&offset=99",
        "topic=nothing&partition=0&offset=0",
        "topic=a&partition=x&offset=1",
    ],
)
async def test_a_place_that_the_log_does_not_have_is_a_clear_message(shop: Shop, query: str) -> None:
    async with shop.browser() as client:
        text = await page(client, f"/record?{query}", 400)
    assert "Back to the overview" in text
