"""How long from a view's 2xx until its figure can be read, with 1000 views a second and all processes on this machine.

    python -m benchmarks.latency [--rate 1000] [--seconds 20]

Each measured view is the only one of its product, so that the first row of that product is the view become visible.
Prints the percentiles, then what the processes cost when idle and how soon an event is seen after a quiet while.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from pathlib import Path

import aiohttp
import psutil

from event_store.sqlite_file import SqliteFile

from .running_shop import RunningShop

SELECT_SEEN = "SELECT product_id FROM interest WHERE generation = 1 AND product_id LIKE 'probe-%'"
PROBE_EVERY = 20
"""One view in so many is measured."""


async def put(session: aiohttp.ClientSession, shop: RunningShop, product_id: str) -> None:
    body = {"name": product_id, "price_minor": 100, "currency": "GBP"}
    async with session.put(f"{shop.api_url}/v1/products/{product_id}", json=body) as answer:
        answer.raise_for_status()


async def view(session: aiohttp.ClientSession, shop: RunningShop, product_id: str) -> float:
    """The moment of the 2xx."""
    url = f"{shop.api_url}/v1/products/{product_id}/views"
    async with session.post(url, json={"visitor_id": "visitor"}) as answer:
        answer.raise_for_status()
        await answer.read()
        return time.perf_counter()


class Seen:
    """When each probe's figure could first be read."""

    def __init__(self, file: Path) -> None:
        self._file = SqliteFile(file)
        self.at_s: dict[str, float] = {}

    async def watch(self) -> None:
        while True:
            await self._file.wait_for_news(0.5)
            rows = await self._file.read(lambda connection: connection.execute(SELECT_SEEN).fetchall())
            now_s = time.perf_counter()
            for (product_id,) in rows:
                self.at_s.setdefault(product_id, now_s)

    async def all_of(self, product_ids: list[str]) -> None:
        while not all(product_id in self.at_s for product_id in product_ids):  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    async def close(self) -> None:
        await self._file.close()


async def load(session: aiohttp.ClientSession, shop: RunningShop, rate: int, seconds: int) -> dict[str, float]:
    """Views at the rate, evenly; when each probe was accepted."""
    accepted: dict[str, float] = {}
    tasks: list[asyncio.Task[None]] = []

    async def one(product_id: str) -> None:
        at_s = await view(session, shop, product_id)
        if product_id.startswith("probe"):
            accepted[product_id] = at_s

    begun_s = time.perf_counter()
    for number in range(rate * seconds):
        wait_s = begun_s + number / rate - time.perf_counter()
        if wait_s > 0.001:
            await asyncio.sleep(wait_s)
        probe = number % PROBE_EVERY == 0
        tasks.append(asyncio.create_task(one(f"probe-{number}" if probe else f"product-{number % 300}")))
    await asyncio.gather(*tasks)
    return accepted


def shown(latencies_s: list[float]) -> str:
    cuts = statistics.quantiles(latencies_s, n=100)
    return f"p50 {cuts[49] * 1e3:.1f} ms, p95 {cuts[94] * 1e3:.1f} ms, p99 {cuts[98] * 1e3:.1f} ms"


def cpu_s(pid: int) -> float:
    processes = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    return sum(one.cpu_times().user + one.cpu_times().system for one in processes)


async def measure(shop: RunningShop, rate: int, seconds: int) -> None:
    seen = Seen(shop.folder / "backoffice.db")
    watching = asyncio.create_task(seen.watch())
    async with aiohttp.ClientSession() as session:
        probes = [f"probe-{number}" for number in range(0, rate * seconds, PROBE_EVERY)]
        late = [f"probe-late-{number}" for number in range(10)]
        for product_id in [*probes, *late, *(f"product-{number}" for number in range(300))]:
            await put(session, shop, product_id)
        accepted = await load(session, shop, rate, seconds)
        await seen.all_of(probes)
        print(f"accept to visible, {rate}/s: {shown([seen.at_s[p] - accepted[p] for p in probes])}")
        await asyncio.sleep(3)
        (before_s, begun_s) = (cpu_s(shop.pid), time.perf_counter())
        await asyncio.sleep(15)
        share = (cpu_s(shop.pid) - before_s) / (time.perf_counter() - begun_s)
        print(f"idle: {share * 100:.2f} % of a core, all processes together")
        woken = []
        for product_id in late:
            await asyncio.sleep(1)
            at_s = await view(session, shop, product_id)
            await seen.all_of([product_id])
            woken.append(seen.at_s[product_id] - at_s)
        print(
            f"seen after a quiet second: median {statistics.median(woken) * 1e3:.0f} ms, most {max(woken) * 1e3:.0f} ms"
        )
    watching.cancel()
    await seen.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=int, default=1000)
    parser.add_argument("--seconds", type=int, default=20)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, RunningShop(Path(folder)) as shop:
        asyncio.run(measure(shop, asked.rate, asked.seconds))


if __name__ == "__main__":
    main()
