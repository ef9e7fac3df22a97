"""How fast the relay brings outbox rows to the embedded log, beside how fast the consumer counts the same events.

python -m benchmarks.relay [--rows 100000]
"""

from __future__ import annotations

import argparse
import asyncio
import sqlite3
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from backoffice.silence import Silence
from event_store.codec import Codec
from event_store.log import Log
from event_store.outbox import ClaimedRow, Outbox
from event_store.record import TopicPartition
from event_store.relay import Relay, RelaySettings
from event_store.sqlite_log import SqliteLog
from event_store.sqlite_outbox import SqliteOutbox
from event_store.topics import PARTITIONS

from .counting import count, in_folder
from .measured import Measured
from .shop_events import Row, rows

INSERT = """
INSERT INTO outbox (lane, event_id, key, payload, recorded_at_us)
SELECT id, ?, ?, ?, ? FROM outbox_lane WHERE topic = ? AND number = ?
"""


def write_rows(file: Path, events: Iterable[Row]) -> None:
    """Waiting rows as writers leave them, in one transaction: writing them is not what is measured."""
    now_us = time.time_ns() // 1000
    values = [(f"e{number}", key, payload, now_us, *tp) for number, (tp, key, payload) in enumerate(events)]
    with sqlite3.connect(file) as connection:
        connection.executemany(INSERT, values)


class Until(Silence):
    """Sets `enough` when so many rows were published."""

    def __init__(self, rows: int, enough: asyncio.Event) -> None:
        self.rows = 0
        self._wanted = rows
        self._enough = enough

    def published(self, _: TopicPartition, rows: Sequence[ClaimedRow], __: float) -> None:  # type: ignore[override]
        self.rows += len(rows)
        if self.rows >= self._wanted:
            self._enough.set()


async def relayed(outbox: Outbox, log: Log, rows: int) -> Measured:
    """Until so many rows were sent and acknowledged."""
    enough = asyncio.Event()
    observer = Until(rows, enough)
    relay = Relay(outbox, log, Codec(), RelaySettings("benchmark"), observer)
    (started_s, used_s) = (time.perf_counter(), time.process_time())
    await relay.run(enough)
    return Measured(observer.rows, time.perf_counter() - started_s, time.process_time() - used_s)


async def measure(folder: Path, events: int) -> None:
    outbox = SqliteOutbox(folder / "commerce.db", PARTITIONS)
    log = SqliteLog(folder / "log.db")
    for topic, partitions in PARTITIONS.items():
        await log.create_topic(topic, partitions)
    write_rows(folder / "commerce.db", rows(events))
    sent = (await relayed(outbox, log, events)).rate
    counted = await count(in_folder(folder), log, 1)
    print(
        f"relayed: {sent:,.0f} rows/s; counted: {counted.rate:,.0f} events/s ({counted.records:,} events); "
        f"{sent / counted.rate:.2f}"
    )
    await outbox.close()
    await log.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure(Path(folder), asked.rows))


if __name__ == "__main__":
    main()
