"""What a search of the log finds is what a look at every single record would find."""

from __future__ import annotations

import asyncio
import json
import re
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backoffice.event_search import EventSearch, Found, Wanted
from backoffice.places import onward_named, onward_text
from event_store.record import Record, RecordBatch, TopicPartition
from tests.web.shop import HOSTILE_ID, OPENED, PARTITIONS, Shop, Tables, busy_days, viewed

AUTUMN = datetime(2011, 10, 28, tzinfo=UTC)
IDS = ("A", "B", "o3", "p-o5", "u", "v", "nobody", "crème \\ brûlée", '"quoted"')
KINDS = ("ProductView", "LikeChanged", "PaymentCompleted", "PaymentRefunded", "ProductListed", "unreadable")

Place = tuple[str, int, int]


def place(record: RecordBatch) -> Place:
    return record.tp.topic, record.tp.partition, record.first_offset


async def _shop(seed: int, events: int) -> Shop:
    shop = Shop()
    await shop.open()
    for number, one in enumerate(busy_days(shop, seed, AUTUMN, 2, events)):
        await shop.happened(one)
        shop.clock.passes(number % 3)  # Some are appended at one and the same moment.
    odd = [b"no json", None, b"[1]", json.dumps({"id": "x", "data": {"product_id": IDS[-2]}}).encode()]
    await shop.log.append(TopicPartition("order-events", 1), [Record(IDS[-1].encode(), value) for value in odd])
    return shop


async def _every(shop: Shop, search: EventSearch, wanted: Wanted, most: int) -> tuple[list[Place], int]:
    """All findings, from page to page, and how many records were looked at for them."""
    places: list[Place] = []
    searched = 0
    below = None
    while True:
        found: Found = await search.find(wanted, most, below)
        assert len(found.records) <= most
        times = [one.appended_at_us[0] for one in found.records]
        assert times == sorted(times, reverse=True)
        places += [place(one) for one in found.records]
        searched += found.searched
        if found.onward is None:
            return places, searched
        below = onward_named(onward_text(found.onward))


def _fits(wanted: Wanted, topic: str, partition: int, key: bytes | None, value: bytes | None) -> bool:
    try:
        said: Any = json.loads(value or b"")
    except ValueError:
        said = None
    said = said if isinstance(said, dict) else {}
    kind = str(said.get("type", "..unreadable.")).split(".")[-2]
    text = json.dumps(said.get("data"), ensure_ascii=False)
    named = {said.get("id"), said.get("source"), (key or b"").decode()}
    spelled = json.dumps(wanted.text, ensure_ascii=False)
    return (
        wanted.topic in (None, topic)
        and wanted.partition in (None, partition)
        and wanted.event in (None, kind)
        and (wanted.times is None or wanted.times[0] <= said.get("time", "") < wanted.times[1])
        and (wanted.text is None or wanted.text in named or f'_id": {spelled}' in text)
    )


@given(
    seed=st.integers(0, 3),
    text=st.none() | st.sampled_from(IDS),
    event=st.none() | st.sampled_from(KINDS),
    topic=st.none() | st.sampled_from(sorted(PARTITIONS)),
    partition=st.none() | st.integers(0, 2),
    hours=st.none() | st.tuples(st.integers(0, 47), st.integers(1, 48)),
    most=st.integers(1, 40),
    at_once=st.integers(1, 100),
)
@settings(max_examples=60, deadline=None)
def test_a_search_finds_all_that_fits_once_whatever_its_pages(
    seed: int,
    text: str | None,
    event: str | None,
    topic: str | None,
    partition: int | None,
    hours: tuple[int, int] | None,
    most: int,
    at_once: int,
) -> None:
    async def search() -> None:
        shop = await _shop(seed, 60)
        times = None
        if hours is not None:
            (first, last) = (AUTUMN + timedelta(hours=at) for at in hours)
            times = (f"{first:%Y-%m-%dT%H:%M:%S}.000000Z", f"{last:%Y-%m-%dT%H:%M:%S}.000000Z")
        wanted = Wanted(text, event, topic, partition, times)
        expected = []
        searched = 0
        for name, count in PARTITIONS.items():
            for number in range(count):
                records = await shop.log.read(TopicPartition(name, number), 0)
                searched += len(records) * wanted.of_partition(records.tp)
                expected += [
                    (name, number, offset)
                    for offset, (key, value) in enumerate(zip(records.keys, records.values, strict=True))
                    if _fits(wanted, name, number, key, value)
                ]
        (places, looked_at) = await _every(shop, EventSearch(shop.log, shop.codec, at_once), wanted, most)
        assert sorted(places) == sorted(expected)
        assert looked_at == searched

    asyncio.run(search())


async def test_what_comes_while_somebody_pages_changes_no_page_to_come() -> None:
    shop = await _shop(1, 50)
    search = EventSearch(shop.log, shop.codec)
    first = await search.find(Wanted(), 10)
    (whole, _) = await _every(shop, search, Wanted(), 10)
    await shop.happened(*busy_days(shop, 9, AUTUMN, 1, 20))
    assert first.onward is not None
    second = await search.find(Wanted(), 10, first.onward)
    assert [place(one) for one in (*first.records, *second.records)] == whole[:20]


@pytest.mark.parametrize("text", ["", "x", "a:b:c", "a:1", "a:1:-2", ":1:1", "a:1:1,", "a:1:1" + ",b:1:1" * 1001])
def test_a_place_to_go_on_from_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no place to go on from"):
        onward_named(text)


async def test_the_page_and_the_api_find_the_same_records(shop: Shop) -> None:
    await shop.happened(*busy_days(shop, 2, AUTUMN, 2, 400))
    async with shop.browser() as client:
        link, rows = "/events?q=A&event=ProductView&range=all", []
        while link:
            text = (await client.get(link)).text
            rows += [(row[4], int(row[5]), int(row[6])) for row in Tables(text).tables[0][1:]]
            onward = re.search(r'<a href="([^"]+)" rel="next">', text)
            link = f"/events{unescape(onward[1])}" if onward else ""
        told: list[Any] = []
        query = {"q": "A", "event": "ProductView", "most": "9"}
        while True:
            answer = (await client.get("/api/events", params=query)).json()
            told += answer["records"]
            if answer["next"] is None:
                break
            query["below"] = answer["next"]
    assert rows == [(one["topic"], one["partition"], one["offset"]) for one in told]
    assert len(rows) > 9
    assert all(json.loads(one["raw"])["data"]["product_id"] == "A" for one in told)


async def test_a_days_events_are_those_of_the_zone(shop: Shop) -> None:
    await shop.happened(viewed(AUTUMN - timedelta(minutes=1), "A"), viewed(AUTUMN, "B"))
    async with shop.browser() as client:
        text = (await client.get("/events?from=2011-10-28&to=2011-10-28&tz=Europe/London")).text
        utc = (await client.get("/events?from=2011-10-28&to=2011-10-28&tz=UTC")).text
    assert sorted(row[3] for row in Tables(text).tables[0][1:]) == ["A", "B"]
    assert [row[3] for row in Tables(utc).tables[0][1:]] == ["B"]


@pytest.mark.parametrize(
    ("days", "products"),
    [("from=2011-10-28", ["B", "C"]), ("to=2011-10-27", ["A"]), ("from=2011-12-02", []), ("to=2011-10-26", [])],
)
async def test_days_may_have_one_end(shop: Shop, days: str, products: list[str]) -> None:
    await shop.happened(viewed(AUTUMN - timedelta(minutes=1), "A"), viewed(AUTUMN, "B"), viewed(OPENED, "C"))
    async with shop.browser() as client:
        text = (await client.get(f"/events?{days}&tz=UTC")).text
    assert sorted(row[3] for table in Tables(text).tables for row in table[1:]) == products


@pytest.mark.parametrize(
    "query",
    ["event=Nothing", "partition=x", "below=1", f"q={'x' * 10_000}", "range=never", "from=2011-02-30"],
)
async def test_a_search_that_can_not_be_is_a_clear_message(shop: Shop, query: str) -> None:
    async with shop.browser() as client:
        answer = await client.get(f"/events?{query}")
    assert answer.status_code == 400
    assert "Back to the overview" in answer.text


async def test_hostile_texts_stay_texts(shop: Shop) -> None:
    await shop.happened(viewed(AUTUMN, HOSTILE_ID))
    async with shop.browser() as client:
        plain = (await client.get("/events?range=all")).text
        asked = (await client.get("/events", params={"q": HOSTILE_ID, "range": "all"})).text
    for text in (plain, asked):
        assert "<img src=x" not in text
        assert [row[3] for row in Tables(text).tables[0][1:]] == [HOSTILE_ID]
