"""How long pages take over a year's figures: added up by the database, kept in memory, from a cache, and from one

whose server is slow.

    python -m benchmarks.pages [--rows 800000] [--postgres]

Makes a read model of about so many rows of figures and a Valkey server of its own. Prints p50 and p95 of pages that ask
the application itself, so what a browser and a socket take is not in them, beside the processor time of one.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import polars as pl

from backoffice.cache import Cache
from backoffice.dashboard import create_dashboard
from backoffice.guarded_cache import GuardedCache
from backoffice.live import Live
from backoffice.memory_cache import MemoryCache
from backoffice.pipeline import Pipeline
from backoffice.rebuilds import Rebuilds
from backoffice.redis_cache import RedisCache
from backoffice.sign_in.connect import memory_office
from backoffice.sign_in.gate import Gate
from backoffice.sign_in.site import Site
from backoffice.silence import Silence
from event_store import interpreter
from event_store.archive import Archive
from event_store.audit import Audit
from event_store.codec import Codec
from event_store.history import History
from event_store.inbox import InboxEntry, Position
from event_store.memory_leases import MemoryLeases
from event_store.memory_log import MemoryLog
from event_store.memory_outbox import MemoryOutbox
from event_store.record import TopicPartition
from event_store.topics import TOPICS
from projections.catalogue import PROJECTIONS
from projections.connect import open_read_model
from projections.interest import INTEREST
from projections.kept_figures import MOST_ROWS
from projections.listings import LISTINGS
from projections.read_model import Effect, Increments, ReadModel
from projections.sales import SALES
from tests.servers.postgres import running_postgres
from tests.servers.proxy import Proxy
from tests.servers.valkey import Valkey, new_valkey

PRODUCTS = 3600
DAYS = 365
OPEN_BUCKETS = 40
"""Quarters of an hour of each day in which something happens."""
FIRST = 1_293_840_000
"""2011-01-01T00:00:00Z"""
TP = TopicPartition("order-events", 0)
MONTH = "range=custom&from=2011-12-01&to=2011-12-31&tz=Europe/London"
YEAR = "range=custom&from=2011-01-01&to=2011-12-31&tz=Europe/London"
PAGES = {
    "overview": "/?tz=Europe/London",
    "overview, a month": f"/?{MONTH}",
    "overview, a year": f"/?{YEAR}",
    "overview, all days": "/?range=all&tz=Europe/London",
    "products": "/products?tz=Europe/London",
    "products, a month": f"/products?{MONTH}",
    "products, a year": f"/products?{YEAR}",
    "one product": "/product?id=P0001&range=all&tz=Europe/London",
    "API, all days": "/api/figures?by=day&tz=Europe/London",
}
TIMES = 60
FEW_TIMES = 5
READING_S = 10.0
"""Time enough to read everything."""
Step = Callable[[], Awaitable[object]]


def _now_us() -> int:
    return time.time_ns() // 1000


def day_rows(chance: random.Random, day: int, rows: int) -> Increments:
    """About as many rows as there are, in equal parts, of sales and of views."""
    places = {(chance.randrange(OPEN_BUCKETS), chance.randrange(PRODUCTS)) for _ in range(max(1, rows // DAYS // 2))}
    keys = {
        "bucket": [FIRST + day * 86_400 + 8 * 3600 + bucket * 900 for bucket, _ in places],
        "product_id": [f"P{product:04}" for _, product in places],
    }
    sales = {"currency": "GBP", "orders": 1, "units_sold": 3, "gross_minor": 1250}
    views = {"currency": "GBP", "views": 4, "likes": 1}
    return {SALES.name: _frame(SALES, keys, sales), INTEREST.name: _frame(INTEREST, keys, views)}


def _frame(projection: Any, keys: dict[str, Any], values: dict[str, Any]) -> pl.DataFrame:
    columns = {name: pl.lit(values.get(name, 0)) for name in projection.columns if name not in keys}
    return pl.DataFrame(keys).with_columns(**columns).select(projection.columns).sort(projection.key)


async def commit(read_model: ReadModel, increments: Increments) -> None:
    generation = await read_model.serving()
    before = await read_model.position(generation, TP)
    after = Position(before.next_offset + 1000, before.next_offset, before.handled)
    entry = InboxEntry(generation, TP, before, after, [], [], time.time_ns() // 1000, 0)
    await read_model.commit(Effect([entry], increments), serving=True)


async def fill(read_model: ReadModel, rows: int) -> None:
    chance = random.Random(1)
    for day in range(DAYS):
        await commit(read_model, day_rows(chance, day, rows))
    names = {"product_id": [f"P{number:04}" for number in range(PRODUCTS)]}
    listed = {"version": 1, "name": "A product with a name of some length", "price_minor": 1250, "currency": "GBP"}
    await commit(read_model, {LISTINGS.name: _frame(LISTINGS, names, listed)})


@dataclass(frozen=True, slots=True)
class Shop:
    read_model: ReadModel
    log: MemoryLog
    outbox: MemoryOutbox
    chance: random.Random

    async def count_some(self) -> None:
        """A few sales and views of the last day."""
        await commit(self.read_model, day_rows(self.chance, DAYS - 1, 20_000))

    @contextlib.asynccontextmanager
    async def browser(
        self, cache: Cache, most_kept_rows: int = 0
    ) -> AsyncIterator[tuple[httpx.AsyncClient, GuardedCache]]:
        guarded = GuardedCache(cache, Silence())
        pipeline = Pipeline(self.outbox, self.log, self.read_model, MemoryLeases(_now_us), guarded)
        history = History(self.log, Archive(Path("nowhere"), Codec()), Codec())
        (live, gate) = (Live(self.read_model, guarded), Gate(None, Site()))
        rebuilds = Rebuilds((), self.read_model, pipeline.leases, Audit(memory_office()), 1)
        app: Any = create_dashboard(
            pipeline, guarded, live, history, gate, rebuilds=rebuilds, most_kept_rows=most_kept_rows
        )
        interpreter.made_for_requests()  # As the server does that the dashboard runs in.
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
            yield client, guarded
        await guarded.close()


@dataclass(slots=True)
class Taken:
    """Milliseconds."""

    each: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)

    @contextlib.contextmanager
    def once(self) -> Iterator[None]:
        (started_s, busy_s) = (time.perf_counter(), time.process_time())
        yield
        self.each.append((time.perf_counter() - started_s) * 1000)
        self.processor.append((time.process_time() - busy_s) * 1000)


async def timed(client: httpx.AsyncClient, url: str, before: Step, times: int) -> Taken:
    taken = Taken()
    for _ in range(times):
        await before()
        with taken.once():
            answer = await client.get(url)
        answer.raise_for_status()
        await asyncio.sleep(0.02)
    return taken


async def nothing() -> None:
    return


def show(title: str, taken: Taken) -> None:
    each = sorted(taken.each)
    (p50, p95, busy) = (each[len(each) // 2], each[int(len(each) * 0.95)], statistics.median(taken.processor))
    print(f"    {title:<34} p50 {p50:7.1f} ms   p95 {p95:7.1f} ms   processor {busy:7.1f} ms")


async def measure(shop: Shop, valkey: Valkey) -> None:
    async def flush() -> None:
        await asyncio.to_thread(valkey.command, "FLUSHALL")

    for name, url in PAGES.items():
        print(f"  {name}")
        ways: list[tuple[str, Cache, int, Step]] = [
            ("added up by the database", MemoryCache(ttl_s=0), 0, nothing),
            ("kept", MemoryCache(ttl_s=0), MOST_ROWS, nothing),
            ("kept, something new each time", MemoryCache(ttl_s=0), MOST_ROWS, shop.count_some),
            ("from a cache in memory", MemoryCache(), 0, nothing),
            ("from Valkey", RedisCache(valkey.url), 0, nothing),
            ("asked of Valkey, which has nothing", RedisCache(valkey.url), 0, flush),
        ]
        for title, cache, most_kept_rows, before in ways:
            async with shop.browser(cache, most_kept_rows) as (client, _):
                await warmed_up(client, url, most_kept_rows)
                show(title, await timed(client, url, before, TIMES if most_kept_rows else FEW_TIMES))


async def warmed_up(client: httpx.AsyncClient, url: str, most_kept_rows: int) -> None:
    await timed(client, url, nothing, 2)
    if most_kept_rows:
        await asyncio.sleep(READING_S)
        await timed(client, url, nothing, 2)


async def measure_slow(shop: Shop, valkey: Valkey, delay_s: float) -> None:
    async with Proxy(valkey.port) as proxy, shop.browser(RedisCache(f"redis://127.0.0.1:{proxy.port}")) as (client, _):
        url = PAGES["overview, a month"]
        await timed(client, url, nothing, 2)
        proxy.latency_s = delay_s
        show(f"a month, Valkey {delay_s:g} s slow", await timed(client, url, nothing, 100))


async def measure_busy(shop: Shop, cache: Cache, title: str, most_kept_rows: int = 0) -> None:
    """Something is counted ten times a second, today, so that nothing cached is ever of use."""

    async def count() -> None:
        while True:
            await shop.count_some()
            await asyncio.sleep(0.1)

    counting = asyncio.create_task(count())
    async with shop.browser(cache, most_kept_rows) as (client, _):
        url = PAGES["overview"]
        await warmed_up(client, url, most_kept_rows)
        show(title, await timed(client, url, nothing, FEW_TIMES))
        started_s = time.perf_counter()
        await asyncio.gather(*(client.get(url) for _ in range(8)))
        print(f"    {'  eight pages at once':<34} {(time.perf_counter() - started_s) * 1000:11.1f} ms for all")
    counting.cancel()
    await asyncio.gather(counting, return_exceptions=True)


async def run(folder: Path, url: str, rows: int) -> None:
    read_model = open_read_model(url)
    await fill(read_model, rows)
    generation = await read_model.serving()
    counts = {one.name: (await read_model.rows(generation, one.name)).height for one in PROJECTIONS}
    print(f"{', '.join(f'{count:,} rows of {name}' for name, count in counts.items())}, {DAYS} days")
    log = MemoryLog(_now_us)
    for topic in TOPICS:
        await log.create_topic(topic.name, topic.partitions)
    outbox = MemoryOutbox({topic.name: topic.partitions for topic in TOPICS}, _now_us)
    shop = Shop(read_model, log, outbox, random.Random(2))
    valkey = new_valkey(folder)
    try:
        await measure(shop, valkey)
        print("  a server that is no help")
        for delay_s in (0.05, 5.0):
            await measure_slow(shop, valkey, delay_s)
        print("  a shop that counts all the time; all days")
        await measure_busy(shop, MemoryCache(ttl_s=0), "added up by the database")
        await measure_busy(shop, MemoryCache(ttl_s=0), "kept", MOST_ROWS)
        await measure_busy(shop, RedisCache(valkey.url), "with Valkey")
    finally:
        valkey.stop()
        await read_model.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=800_000)
    parser.add_argument("--postgres", action="store_true", help="the figures in a PostgreSQL of its own")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as servers:
        url = f"sqlite+aiosqlite:///{folder}/backoffice.db"
        if asked.postgres:
            server = servers.enter_context(running_postgres())
            url = server.url(asyncio.run(server.create_database()))
        asyncio.run(run(Path(folder), url, asked.rows))


if __name__ == "__main__":
    main()
