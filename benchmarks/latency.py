"""How long from a view's 2xx until its figure can be read, with 1000 views a second and all processes on this machine.

    python -m benchmarks.latency [--rate 1000] [--seconds 20] [--engines [--warm-s 60]]

With `--engines` through a Kafka and a PostgreSQL of its own for both databases, else through files. What is measured
then begins after a minute of the same load, in which the virtual machine of a broker that was just started spends a
fifth of a core on compiling itself.

Each measured view is the only one of its product, so that the first row of that product is the view become visible.
Prints the percentiles, then what the processes cost when idle and how soon an event is seen after a quiet while.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections import deque
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

import psutil

from event_store.postgres_database import PostgresDatabase
from event_store.sqlite_file import SqliteFile
from projections.postgres_read_model import CHANNEL

from .http_connection import Connection, request
from .running_shop import RunningShop
from .servers import Servers, running_servers

SELECT_SEEN = (
    "SELECT product_id FROM interest WHERE generation = 1 AND product_id IN (SELECT value FROM json_each(:product_ids))"
)
SELECT_SEEN_BY_POSTGRES = "SELECT product_id FROM interest WHERE generation = 1 AND product_id = ANY($1::text[])"
LOOKED_FOR = 100
"""So many probes are looked for at a time, in the order they are sent in: two seconds of them."""
PROBE_EVERY = 20
"""One view in so many is measured."""


class Caller(Connection):
    """A connection whose answers are waited for."""

    def __init__(self) -> None:
        super().__init__()
        self._answer: asyncio.Future[bytes] | None = None
        self.is_closed = False

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_closed = True
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionError("the shop closed the connection"))

    def answered(self, answer: bytes) -> None:
        if self._answer is not None:
            self._answer.set_result(answer)

    async def call(self, method: str, path: str, body: dict[str, object]) -> float:
        """The moment of the 2xx."""
        self._answer = asyncio.get_running_loop().create_future()
        self.transport.write(request(method, path, json.dumps(body).encode()))
        answer = await self._answer
        if not answer.startswith(b"HTTP/1.1 2"):
            raise RuntimeError(f"unexpected answer: {answer!r}")
        return time.perf_counter()


class Callers:
    """As many connections as calls are in flight at once, used in turn: the server closes one that is quiet."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._free: deque[Caller] = deque()

    async def put(self, product_id: str) -> None:
        await self._call("PUT", f"/v1/products/{product_id}", {"name": "A", "price_minor": 100, "currency": "GBP"})

    async def view(self, product_id: str) -> float:
        return await self._call("POST", f"/v1/products/{product_id}/views", {"visitor_id": "visitor"})

    async def _call(self, method: str, path: str, body: dict[str, object]) -> float:
        caller = self._kept() or await self._connected()
        answered_s = await caller.call(method, path, body)
        self._free.append(caller)
        return answered_s

    def _kept(self) -> Caller | None:
        while self._free:
            if not (caller := self._free.popleft()).is_closed:
                return caller
        return None

    async def _connected(self) -> Caller:
        (_, caller) = await asyncio.get_running_loop().create_connection(Caller, "127.0.0.1", self._port)
        return caller


class Figures(Protocol):
    async def wait_for_news(self) -> None: ...

    async def seen(self, product_ids: list[str]) -> list[str]:
        """Those of which there is a figure."""
        ...

    async def close(self) -> None: ...


class FiguresInFile:
    def __init__(self, file: Path) -> None:
        self._file = SqliteFile(file)

    async def wait_for_news(self) -> None:
        await self._file.wait_for_news(0.5)

    async def seen(self, product_ids: list[str]) -> list[str]:
        asked = {"product_ids": json.dumps(product_ids)}
        return [row[0] for row in await self._file.read(lambda one: one.execute(SELECT_SEEN, asked).fetchall())]

    async def close(self) -> None:
        await self._file.close()


class FiguresInPostgres:
    def __init__(self, url: str) -> None:
        self._database = PostgresDatabase(url, channel=CHANNEL)

    async def wait_for_news(self) -> None:
        await self._database.wait_for_news(0.5)

    async def seen(self, product_ids: list[str]) -> list[str]:
        found = await self._database.read(lambda one: one.fetch(SELECT_SEEN_BY_POSTGRES, product_ids))
        return [row[0] for row in found]

    async def close(self) -> None:
        await self._database.close()


class Seen:
    """When each probe's figure could first be read."""

    def __init__(self, figures: Figures, probes: list[str]) -> None:
        self._figures = figures
        self._awaited = dict.fromkeys(probes)
        self.at_s: dict[str, float] = {}

    async def watch(self) -> None:
        while True:
            await self._figures.wait_for_news()
            seen = await self._figures.seen(list(islice(self._awaited, LOOKED_FOR)))
            now_s = time.perf_counter()
            for product_id in seen:
                self.at_s[product_id] = now_s
                del self._awaited[product_id]

    async def all_of(self, product_ids: list[str]) -> None:
        while not all(product_id in self.at_s for product_id in product_ids):  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    async def close(self) -> None:
        await self._figures.close()


async def load(
    callers: Callers, rate: int, seconds: int, names: Mapping[str, str] = MappingProxyType({})
) -> dict[str, float]:
    """Views at the rate, evenly; when each probe was accepted. A probe may have another name."""
    accepted: dict[str, float] = {}
    tasks: list[asyncio.Task[None]] = []

    async def one(product_id: str) -> None:
        at_s = await callers.view(product_id)
        if product_id.startswith("probe"):
            accepted[product_id] = at_s

    begun_s = time.perf_counter()
    for number in range(rate * seconds):
        wait_s = begun_s + number / rate - time.perf_counter()
        if wait_s > 0.001:
            await asyncio.sleep(wait_s)
        probe = number % PROBE_EVERY == 0
        product_id = f"probe-{number}" if probe else f"product-{number % 300}"
        tasks.append(asyncio.create_task(one(names.get(product_id, product_id))))
    await asyncio.gather(*tasks)
    return accepted


def shown(latencies_s: list[float]) -> str:
    cuts = statistics.quantiles(latencies_s, n=100)
    return f"p50 {cuts[49] * 1e3:.1f} ms, p95 {cuts[94] * 1e3:.1f} ms, p99 {cuts[98] * 1e3:.1f} ms"


def cpu_s(pid: int) -> float:
    processes = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    return sum(one.cpu_times().user + one.cpu_times().system for one in processes)


def probe_names(rate: int, seconds: int) -> list[str]:
    return [f"probe-{number}" for number in range(0, rate * seconds, PROBE_EVERY)]


async def measure(shop: RunningShop, figures: Figures, rate: int, seconds: int, warm_s: int = 0) -> None:
    probes = probe_names(rate, seconds)
    late = [f"probe-late-{number}" for number in range(10)]
    seen = Seen(figures, [*probes, *late])
    watching = asyncio.create_task(seen.watch())
    callers = Callers(shop.api_port)
    for product_id in [*probes, *late, *(f"product-{number}" for number in range(300))]:
        await callers.put(product_id)
    await load(callers, rate, warm_s, dict.fromkeys(probe_names(rate, warm_s), "product-0"))
    accepted = await load(callers, rate, seconds)
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
        at_s = await callers.view(product_id)
        await seen.all_of([product_id])
        woken.append(seen.at_s[product_id] - at_s)
    print(f"seen after a quiet second: median {statistics.median(woken) * 1e3:.0f} ms, most {max(woken) * 1e3:.0f} ms")
    watching.cancel()
    await seen.close()


async def measure_on_files(folder: Path, rate: int, seconds: int) -> None:
    with RunningShop(folder) as shop:
        await measure(shop, FiguresInFile(folder / "backoffice.db"), rate, seconds)


async def measure_on_engines(servers: Servers, rate: int, seconds: int, warm_s: int) -> None:
    (commerce, backoffice) = (await servers.new_database(), await servers.new_database())
    settings = {
        "COUNTINGHOUSE_LOG_URL": f"kafka://{servers.broker.address}",
        "COUNTINGHOUSE_COMMERCE_DB_URL": commerce,
        "COUNTINGHOUSE_BACKOFFICE_DB_URL": backoffice,
    }
    shop = RunningShop(servers.new_folder("shop"), settings)
    shop.run("topics", "apply")
    with shop:
        await measure(shop, FiguresInPostgres(backoffice), rate, seconds, warm_s)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=int, default=1000)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--engines", action="store_true", help="Kafka and PostgreSQL")
    parser.add_argument("--warm-s", type=int, default=60, help="load before what is measured, with --engines")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if asked.engines:
            with running_servers(Path(folder)) as servers:
                asyncio.run(measure_on_engines(servers, asked.rate, asked.seconds, asked.warm_s))
        else:
            asyncio.run(measure_on_files(Path(folder), asked.rate, asked.seconds))


if __name__ == "__main__":
    main()
