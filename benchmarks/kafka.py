"""The line over a real Kafka, beside bare loops of aiokafka over the same topics in the same minutes.

    python -m benchmarks.kafka count   [--events 1000000] [--rounds 3]   figures, by one process and by two
    python -m benchmarks.kafka relay   [--events 100000] [--rounds 3]    outboxes to Kafka
    python -m benchmarks.kafka members [--events 300000]                 partitions and members
    python -m benchmarks.kafka memory  [--events 3000000]                one process's resident memory

Each starts a broker (Java, and the jars that `make test` fetches) and a PostgreSQL of its own. The bare loop is
measured before and after each of ours: a ratio is to the mean of the two beside it. Processor time is that of our
processes and of the bare loop's, without the servers'; its ratio says what other work on the machine hides.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from event_store.log import Log
from event_store.topics import PARTITIONS

from .bare_loops import polled
from .counting import Counted, Line, Sequences, count, fill, sqlite_url
from .kafka_relay import measure_relay
from .measured import Measured, beside, print_ratios
from .servers import Servers, running_servers
from .shop_events import rows

MEMBER_COUNTS = (1, 2, 3)
PARTITION_COUNTS = (1, 3, 6, 12)
EVENTS_A_DAY = 1_000_000
"""How many rows of figures a batch changes depends on it."""


@dataclass(slots=True)
class Full:
    """A log in Kafka that holds events of the benchmark's mix."""

    servers: Servers
    topics: Mapping[str, int]
    prefix: str
    events: int
    log: Log

    def line(self, backoffice_url: str, *, fast_fetch: bool = True) -> Line:
        url = f"kafka://{self.servers.broker.address}/{self.prefix}"
        return Line(url, backoffice_url, self.topics, fast_fetch)

    async def bare(self) -> Measured:
        places = [(self.prefix + tp.topic, tp.partition) for tp in self.line("").partitions]
        return await asyncio.to_thread(polled, self.servers.broker.address, places, self.events)


async def filled(servers: Servers, events: int, topics: Mapping[str, int] = PARTITIONS, prefix: str = "") -> Full:
    line = Line(f"kafka://{servers.broker.address}/{prefix}", "", topics)
    log = line.open_log()
    for topic, partitions in topics.items():
        await log.create_topic(topic, partitions)
    await fill(log, rows(events, days=events / EVENTS_A_DAY, topics=topics), Sequences(line.partitions))
    return Full(servers, topics, prefix, events, log)


async def measure_counting(servers: Servers, events: int, rounds: int) -> None:
    full = await filled(servers, events)
    number = iter(range(1_000_000))

    async def sqlite() -> str:
        return sqlite_url(servers.new_folder(f"figures-{next(number)}"))

    async def counted(database: Callable[[], Awaitable[str]], consumers: int, *, fast_fetch: bool = True) -> Counted:
        return await count(full.line(await database(), fast_fetch=fast_fetch), full.log, consumers)

    ours: Mapping[str, Callable[[], Awaitable[Measured]]] = {
        "SQLite, one process": lambda: counted(sqlite, 1),
        "PostgreSQL, one process": lambda: counted(servers.new_database, 1),
        "SQLite, two processes": lambda: counted(sqlite, 2),
        "PostgreSQL, two processes": lambda: counted(servers.new_database, 2),
        "SQLite, one process, aiokafka's own fetch": lambda: counted(sqlite, 1, fast_fetch=False),
    }
    await print_ratios(full.bare, ours, rounds, "event")
    await full.log.close()


async def measure_members(servers: Servers, events: int) -> None:
    print(f"{'partitions':>10}  {'members':>7}  {'events/s':>9}  {'of bare':>7}  idle")
    for partitions in PARTITION_COUNTS:
        full = await filled(servers, events, dict.fromkeys(PARTITIONS, partitions), f"{partitions}.")
        ours = [(members, partial(_counted_by, full, members)) for members in MEMBER_COUNTS]
        async for members, one, bare_rate, _ in beside(full.bare, ours):
            ratio = one.rate / bare_rate
            print(f"{partitions:10}  {members:7}  {one.rate:9,.0f}  {ratio:7.2f}  {one.idle}", flush=True)
        await full.log.close()


async def _counted_by(full: Full, members: int) -> Counted:
    return await count(full.line(await full.servers.new_database()), full.log, members)


async def measure_memory(servers: Servers, events: int) -> None:
    full = await filled(servers, events)
    seen: dict[int, float] = {}

    def heard(records: int, resident_bytes: int) -> None:
        part = records * 10 // events
        if part and part not in seen:
            seen[part] = resident_bytes / 1e6
            print(f"{records:12,} counted: {seen[part]:.1f} MB", flush=True)

    one = await count(full.line(sqlite_url(servers.new_folder("figures"))), full.log, 1, heard)
    later = [size for part, size in seen.items() if part >= 5]
    grown = later[-1] - later[0]
    print(f"{one.rate:,.0f}/s; grew by {grown:+.1f} MB in the second half, {max(seen.values()):.0f} MB at most")
    await full.log.close()


async def measure(servers: Servers, what: str, events: int, rounds: int) -> None:
    if what == "count":
        await measure_counting(servers, events or 1_000_000, rounds)
    elif what == "relay":
        await measure_relay(servers, events or 300_000, rounds)
    elif what == "members":
        await measure_members(servers, events or 300_000)
    else:
        await measure_memory(servers, events or 3_000_000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["count", "relay", "members", "memory"], nargs="?", default="count")
    parser.add_argument("--events", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, running_servers(Path(folder)) as servers, suppress(KeyboardInterrupt):
        asyncio.run(measure(servers, asked.what, asked.events, asked.rounds))


if __name__ == "__main__":
    main()
