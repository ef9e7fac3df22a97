"""A real shop with little in it, the same at every start: some days of trade around changes of clocks, what somebody
hostile named, a record that can't be read, a row that the log refused, and an admin who signs in."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx
import polars as pl

from backoffice.settings import Settings
from backoffice.sign_in.desk import opened_office
from backoffice.sign_in.gate import COMMERCE, DASHBOARD
from backoffice.sign_in.roles import Role
from backoffice.stores import Stores
from event_store.audit import Entry
from event_store.codec import Codec
from event_store.events import Payload, ProductView
from event_store.pauses import Part
from event_store.record import Record, TopicPartition
from event_store.tokens import Scope
from event_store.topics import PARTITIONS
from projections.figures import Question, figures
from projections.rebuild_lease import LEASE
from tests.faults.shop import Running, Shop
from tests.web.shop import HOSTILE_ID, HOSTILE_NAME, busy_days, listed, viewed
from tests.web.shop import Shop as MemoryShop

ADMIN = "ada"
SPRING = datetime(2011, 3, 11, tzinfo=UTC)
AUTUMN = datetime(2011, 10, 28, tzinfo=UTC)
CATALOG = TopicPartition("catalog-events", 0)
HOSTILE: dict[str, str] = {
    HOSTILE_ID: HOSTILE_NAME,
    "</script><script>alert(2)</script>": "<svg/onload=alert(2)>",
    "{{7*7}}": "{% raw %}${7*7}",
    "\u202edrah\u200f": "\u2067\u202eesrever\u2069 javascript:alert(3)",
    "' onmouseover='alert(4)": '" autofocus onfocus="alert(4)',
}
"""Ids and names of products as no shop has them."""
UNREADABLE = '{"hostile": "</script><script>alert(5)</script>"}'
WHY = "Kafka takes <b>900</b> bytes"
TITLE = "</script><b>till</b>"
MOST_AT_ONCE = 100
TEST = Entry(who="a test", what="")


@dataclass
class StockedShop:
    """Its processes, as `countinghouse up` starts them."""

    line: Shop
    dashboard: Running
    password: str
    """One-time, of the `ADMIN`."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.line.dashboard_port}"

    async def figures(self, question: Question) -> pl.DataFrame:
        """What `countinghouse figures` prints."""
        async with Stores(_settings(self.line)) as stores:
            return await figures(stores.read_model(), question)

    async def happens(self, *events: tuple[Payload, datetime]) -> None:
        """Handed in over HTTP, and counted some time after that."""
        await _hand_in(self.line.api_url, events)

    @asynccontextmanager
    async def rebuilding(self) -> AsyncIterator[None]:
        """As long as the block runs the shop's figures are rebuilt, as far as anybody can tell."""
        async with Stores(_settings(self.line)) as stores:
            await stores.leases().take([LEASE], "rebuild-there-7", 60)
            yield
            await stores.leases().release("rebuild-there-7")

    @asynccontextmanager
    async def paused(self, part: Part, entry: Entry) -> AsyncIterator[None]:
        """As long as the block runs somebody holds the part still."""
        async with Stores(_settings(self.line)) as stores:
            await stores.pauses(part).pause(part, entry)
            yield
            await stores.pauses(part).resume(part, entry)

    async def opens_again(self) -> None:
        self.dashboard = self.line.start("dashboard")
        await self.dashboard.is_up()


@asynccontextmanager
async def open_stocked_shop(line: Shop) -> AsyncIterator[StockedShop]:
    line.settings = {**line.settings, "COUNTINGHOUSE_SIGN_IN": "on"}
    try:
        line.ok("migrate")
        password = await _prepared(line)
        processes = [line.start(role) for role in ("api", "relay", "consumer", "archiver", "dashboard")]
        for one in processes:
            await one.is_up()
        shop = StockedShop(line, processes[-1], password)
        await shop.happens(*_stock())
        await line.drained()
        yield shop
    finally:
        line.close()


def _settings(line: Shop) -> Settings:
    return Settings.model_validate({"data_dir": line.data})


def _stock() -> list[tuple[Payload, datetime]]:
    memory = MemoryShop()
    hostile = [listed(AUTUMN, id_, name) for id_, name in HOSTILE.items()]
    sold = [memory.sold(AUTUMN, (id_, 1, 250)) for id_ in HOSTILE]
    return [
        *busy_days(memory, seed=5, first=SPRING, days=5, events=80),
        *busy_days(memory, seed=6, first=AUTUMN, days=11, events=160),
        *hostile,
        *sold,
    ]


async def _hand_in(api_url: str, events: Sequence[tuple[Payload, datetime]]) -> None:
    codec = Codec()
    batch = [{**json.loads(codec.draft(payload, at).payload), "source": "/stock"} for payload, at in events]
    async with httpx.AsyncClient(base_url=api_url, timeout=60) as client:
        for start in range(0, len(batch), MOST_AT_ONCE):
            answer = await client.post("/v1/events", json=batch[start : start + MOST_AT_ONCE])
            results: list[dict[str, Any]] = answer.raise_for_status().json()["results"]
            assert {one["status"] for one in results} == {"accepted"}, answer.text


async def _prepared(line: Shop) -> str:
    """What is there before the shop opens; the admin's one-time password."""
    async with Stores(_settings(line)) as stores:
        for topic, partitions in PARTITIONS.items():
            await stores.log().create_topic(topic, partitions)
        await stores.log().append(CATALOG, [Record(b"key", UNREADABLE.encode())])
        await _bury_a_row(stores)
    async with opened_office(_settings(line)) as office:
        await office.accounts.add("gus", Role.VIEWER, TEST)
        for api, scope in ((DASHBOARD, Scope.FIGURES), (COMMERCE, Scope.COMMERCE)):
            await office.tokens[api].add(TITLE, [scope], 30, TEST)
        return await office.accounts.add(ADMIN, Role.ADMIN, TEST)


async def _bury_a_row(stores: Stores) -> None:
    outbox = stores.outbox()
    await outbox.write_once(stores.codec.draft(*viewed(AUTUMN, HOSTILE_ID)))
    for claimed in await outbox.claim(await outbox.hold_lanes("before", 60)):
        withheld = stores.codec.draft(ProductView("withheld", "visitor", "GBP"), AUTUMN)
        await outbox.bury(claimed.lane, claimed.rows[0].sequence, WHY, withheld)
    await outbox.release("before")
