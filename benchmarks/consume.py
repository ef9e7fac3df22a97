"""How fast the consumer counts a log, durably and exactly once, beside a loop that only reads and decodes it.

    python -m benchmarks.consume [--events 1000000] [--after 0] [--consumers 2] [--folder DIR]

Prints events per second of both and their ratio; the loop decodes once as JSON into structs, and once as the product
does. With `--after N`, N events are counted before the measured ones.
"""

from __future__ import annotations

import argparse
import asyncio
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from multiprocessing import get_context
from multiprocessing.synchronize import Event
from pathlib import Path

from backoffice.consumer import Consumer, ConsumerSettings
from backoffice.silence import Silence
from event_store.codec import Codec
from event_store.connect import open_log
from event_store.decoded_batch import decode_batch
from event_store.envelope import stamp
from event_store.lease import owners_of
from event_store.log import Log
from event_store.record import Record, RecordBatch, TopicPartition
from event_store.sqlite_leases import SqliteLeases
from event_store.sqlite_log import SqliteLog
from event_store.topics import PARTITIONS, TOPICS
from projections.catalogue import PROJECTIONS
from projections.projector import Projector
from projections.sqlite_read_model import SqliteReadModel

from .shop_events import SOURCE, partitions, rows

Starts = Mapping[TopicPartition, int]
PASS_RECORDS = 1000
RENEW_S = 0.05
"""How soon a consumer takes a partition that is free."""


class Sequences:
    """Numbers the records of each lane, as a relay does."""

    def __init__(self) -> None:
        self.drawn = dict.fromkeys(partitions(), 0)

    def stamped(self, tp: TopicPartition, key: str, payload: bytes) -> Record:
        self.drawn[tp] += 1
        return Record(key.encode(), stamp(payload, SOURCE, self.drawn[tp]))


async def fill(log: Log, events: Iterable[tuple[TopicPartition, str, bytes]], sequences: Sequences) -> None:
    """Appends the events in batches as a busy relay would."""
    waiting: dict[TopicPartition, list[Record]] = {tp: [] for tp in partitions()}
    for tp, key, payload in events:
        waiting[tp].append(sequences.stamped(tp, key, payload))
        if len(waiting[tp]) == PASS_RECORDS:
            await log.append(tp, waiting[tp])
            waiting[tp] = []
    for tp, records in waiting.items():
        if records:
            await log.append(tp, records)


async def read_and(decode: Callable[[RecordBatch], object], log: SqliteLog, starts: Starts) -> float:
    """Events per second of a bare loop: read, decode, throw away."""
    read = 0
    started_s = time.perf_counter()
    for tp in partitions():
        offset = starts[tp]
        while len(batch := await log.read(tp, offset)):
            decode(batch)
            offset = batch.next_offset
            read += len(batch)
    return read / (time.perf_counter() - started_s)


def parse(codec: Codec, batch: RecordBatch) -> None:
    """JSON into typed structs, and no more."""
    for value in batch.values:
        codec.decode_canonical(value or b"")


def count_until_told(folder: Path, log_url: str, name: str, told: Event) -> None:
    """One consumer process: the product's own consumer over the benchmark's files."""
    asyncio.run(_count_until_told(folder, log_url, name, told))


async def _count_until_told(folder: Path, log_url: str, name: str, told: Event) -> None:
    log = open_log(log_url)
    read_model = SqliteReadModel(folder / "backoffice.db", PROJECTIONS)
    leases = SqliteLeases(folder / "backoffice.db")
    stop = asyncio.Event()
    settings = ConsumerSettings(name, PARTITIONS, renew_s=RENEW_S)
    codec = Codec()

    def open_projector(generation: int) -> Projector:
        return Projector(read_model, generation, True, PROJECTIONS, codec)

    running = asyncio.create_task(Consumer(log, leases, read_model, open_projector, settings, Silence()).run(stop))
    await asyncio.to_thread(told.wait)
    stop.set()
    await running
    for one in (log, read_model, leases):
        await one.close()


async def count(folder: Path, log: Log, consumers: int, log_url: str | None = None) -> tuple[float, int]:
    """Counts to the log's end with real consumer processes; events per second and records counted.

    The processes start, and find every partition leased to the gate; the clock runs from its opening.
    """
    read_model = SqliteReadModel(folder / "backoffice.db", PROJECTIONS)
    leases = SqliteLeases(folder / "backoffice.db")
    ends = {tp: bounds.end for tp, bounds in (await log.bounds(partitions())).items()}
    before = {one.tp: one.next_offset for one in await read_model.progress(await read_model.serving())}
    await leases.take([f"partition/{tp}" for tp in partitions()], "gate", 600.0)
    url = log_url or f"sqlite:///{folder / 'log.db'}"
    processes = get_context("spawn")
    told = processes.Event()
    children = [
        processes.Process(target=count_until_told, args=(folder, url, f"benchmark-{number}", told))
        for number in range(consumers)
    ]
    for child in children:
        child.start()
    while len(owners_of(await leases.holdings("member/"))) < consumers:  # noqa: ASYNC110
        await asyncio.sleep(0.1)
    await asyncio.sleep(1.0)
    await leases.release("gate")
    started_s = time.perf_counter()
    while {one.tp: one.next_offset for one in await read_model.progress(1)} != ends:  # noqa: ASYNC110
        await asyncio.sleep(0.05)  # Looking more often would cost what is measured.
    seconds = time.perf_counter() - started_s
    told.set()
    for child in children:
        child.join()
    await read_model.close()
    await leases.close()
    counted = sum(ends.values()) - sum(before.values())
    return counted / seconds, counted


def handled_rows(folder: Path) -> int:
    with sqlite3.connect(folder / "backoffice.db") as connection:
        return int(connection.execute("SELECT count(*) FROM event_handled").fetchone()[0])


async def measure(folder: Path, events: int, after: int, consumers: int) -> None:
    log = SqliteLog(folder / "log.db")
    for topic in TOPICS:
        await log.create_topic(topic.name, topic.partitions)
    sequences = Sequences()
    starts = dict.fromkeys(partitions(), 0)
    if after:
        await fill(log, rows(after, days=after / events), sequences)
        (rate, _) = await count(folder, log, consumers)
        print(f"the first {after:,} events: {rate:,.0f} events/s")
        starts = {tp: bounds.end for tp, bounds in (await log.bounds(partitions())).items()}
    await fill(log, rows(events, first=after, seed=2), sequences)
    codec = Codec()
    parsed = await read_and(partial(parse, codec), log, starts)
    decoded = await read_and(partial(decode_batch, codec), log, starts)
    (counted, records) = await count(folder, log, consumers)
    print(f"read and parse only: {parsed:,.0f} events/s; read and decode as the product does: {decoded:,.0f}")
    print(f"counted exactly once: {counted:,.0f} events/s ({records:,} events)")
    print(f"ratio: {counted / parsed:.2f} of parsing, {counted / decoded:.2f} of decoding", end="; ")
    print(f"event_handled has {handled_rows(folder)} rows for {len(partitions())} lanes")
    await log.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--after", type=int, default=0)
    parser.add_argument("--consumers", type=int, default=2)
    parser.add_argument("--folder", type=Path, default=None)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        asyncio.run(measure(Path(folder), asked.events, asked.after, asked.consumers))


if __name__ == "__main__":
    main()
