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
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from event_store.codec import Codec
from event_store.decoded_batch import decode_batch
from event_store.record import RecordBatch, TopicPartition
from event_store.sqlite_log import SqliteLog
from event_store.topics import TOPICS

from .counting import Sequences, count, fill, in_folder
from .shop_events import partitions, rows

Starts = Mapping[TopicPartition, int]


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


def handled_rows(folder: Path) -> int:
    with sqlite3.connect(folder / "backoffice.db") as connection:
        return int(connection.execute("SELECT count(*) FROM event_handled").fetchone()[0])


async def measure(folder: Path, events: int, after: int, consumers: int) -> None:
    log = SqliteLog(folder / "log.db")
    for topic in TOPICS:
        await log.create_topic(topic.name, topic.partitions)
    sequences = Sequences(partitions())
    starts = dict.fromkeys(partitions(), 0)
    if after:
        await fill(log, rows(after, days=after / events), sequences)
        before = await count(in_folder(folder), log, consumers)
        print(f"the first {after:,} events: {before.rate:,.0f} events/s")
        starts = {tp: bounds.end for tp, bounds in (await log.bounds(partitions())).items()}
    await fill(log, rows(events, first=after, seed=2), sequences)
    codec = Codec()
    parsed = await read_and(partial(parse, codec), log, starts)
    decoded = await read_and(partial(decode_batch, codec), log, starts)
    counted = await count(in_folder(folder), log, consumers)
    print(f"read and parse only: {parsed:,.0f} events/s; read and decode as the product does: {decoded:,.0f}")
    print(f"counted exactly once: {counted.rate:,.0f} events/s ({counted.records:,} events)")
    print(f"ratio: {counted.rate / parsed:.2f} of parsing, {counted.rate / decoded:.2f} of decoding", end="; ")
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
