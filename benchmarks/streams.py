"""What open live streams cost: the dashboard's processor time, and how much later a view's figure can be read.

    python -m benchmarks.streams [--streams 200] [--rate 200] [--seconds 15]

A shop of real processes counts views at the rate, with no stream and with so many, in turns. Prints the dashboard's
share of a core, the events that each stream was told, and the time from a view's 2xx until its figure can be read.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from .latency import PROBE_EVERY, Callers, FiguresInFile, Seen, load
from .running_shop import RunningShop

ROUNDS = 3
SETTLES_S = 3.0
ASK = b"GET /live HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAccept: text/event-stream\r\n\r\n"


@dataclass(slots=True)
class Listeners:
    """Streams that are read to their ends, and begun again as pages do."""

    port: int
    told: int = 0
    """Events, by all of them."""
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    @asynccontextmanager
    async def listening(self, streams: int) -> AsyncIterator[None]:
        self.told = 0
        self._tasks = [asyncio.create_task(self._listen()) for _ in range(streams)]
        try:
            yield
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _listen(self) -> None:
        while True:
            (reader, writer) = await asyncio.open_connection("127.0.0.1", self.port)
            try:
                writer.write(ASK % self.port)
                head = await reader.readuntil(b"\r\n\r\n")
                if b" 200 " not in head.splitlines()[0]:
                    raise SystemExit(f"a stream was refused: {head.splitlines()[0].decode()}")
                while line := await reader.readline():
                    self.told += line.startswith(b"event: ")
            finally:
                writer.close()


@dataclass(frozen=True, slots=True)
class Turn:
    share: float
    """Of a core, by the dashboard."""
    p50_ms: float
    told: float
    """Events that each stream was told in a second."""


def dashboard_of(shop: RunningShop) -> psutil.Process:
    (found,) = [one for one in psutil.Process(shop.pid).children() if "dashboard" in one.cmdline()]
    return found


def busy_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


async def turn(shop: RunningShop, callers: Callers, streams: int, rate: int, seconds: int) -> Turn:
    probes = [f"probe-{number}" for number in range(0, rate * seconds, PROBE_EVERY)]
    names = {probe: f"{probe}-{time.monotonic_ns()}" for probe in probes}
    dashboard = dashboard_of(shop)
    seen = Seen(FiguresInFile(shop.folder / "backoffice.db"), list(names.values()))
    watching = asyncio.create_task(seen.watch())
    listeners = Listeners(shop.ports["COUNTINGHOUSE_DASHBOARD_PORT"])
    for product_id in names.values():
        await callers.put(product_id)
    async with listeners.listening(streams):
        await asyncio.sleep(SETTLES_S)
        (before_s, begun_s, told) = (busy_s(dashboard), time.perf_counter(), listeners.told)
        accepted = await load(callers, rate, seconds, names)
        took_s = time.perf_counter() - begun_s
        share = (busy_s(dashboard) - before_s) / took_s
        told = listeners.told - told
    await seen.all_of(list(names.values()))
    watching.cancel()
    latencies_s = [seen.at_s[probe] - at_s for probe, at_s in accepted.items()]
    await seen.close()
    return Turn(share, statistics.median(latencies_s) * 1e3, told / max(1, streams) / took_s)


async def measure(folder: Path, streams: int, rate: int, seconds: int) -> None:
    with RunningShop(folder, {"COUNTINGHOUSE_SIGN_IN": "off"}) as shop:
        callers = Callers(shop.api_port)
        for number in range(300):
            await callers.put(f"product-{number}")
        found: dict[int, list[Turn]] = {0: [], streams: []}
        for _ in range(ROUNDS):
            for number, turns in found.items():
                turns.append(await turn(shop, callers, number, rate, seconds))
        for number, turns in found.items():
            shares = [one.share * 100 for one in turns]
            print(
                f"{number:4} streams, {rate} views/s: dashboard {min(shares):.1f}-{max(shares):.1f} % of a core, "
                f"seen after {statistics.median(one.p50_ms for one in turns):.1f} ms (median), "
                f"{statistics.median(one.told for one in turns):.2f} events/s told to each"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=200)
    parser.add_argument("--rate", type=int, default=200)
    parser.add_argument("--seconds", type=int, default=15)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure(Path(folder), asked.streams, asked.rate, asked.seconds))


if __name__ == "__main__":
    main()
