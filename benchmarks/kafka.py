"""How fast the product counts a real Kafka, beside a bare loop of aiokafka over the same topics.

    python -m benchmarks.kafka [--events 1000000]

Starts a broker of its own (Java, and the jars that `make test` fetches). Prints records per second of a loop that only
takes `getmany(max_records=3000)`, of appends as the relay makes them, and of one and of two consumers that count
durably and exactly once, with the ratios to the bare loop.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from pathlib import Path

from aiokafka import AIOKafkaConsumer, TopicPartition

from event_store.connect import open_log
from event_store.record import MAX_BATCH_RECORDS
from event_store.topics import TOPICS
from tests.servers.kafka import new_broker

from .consume import Sequences, count, fill
from .shop_events import partitions, rows


async def bare(address: str, records: int) -> float:
    """Records per second."""
    consumer = AIOKafkaConsumer(bootstrap_servers=address, auto_offset_reset="earliest", enable_auto_commit=False)
    await consumer.start()
    consumer.assign([TopicPartition(*tp) for tp in partitions()])
    taken = 0
    started_s = time.perf_counter()
    while taken < records:
        found = await consumer.getmany(timeout_ms=1000, max_records=MAX_BATCH_RECORDS)
        taken += sum(map(len, found.values()))
    seconds = time.perf_counter() - started_s
    await consumer.stop()
    return records / seconds


async def measure(folder: Path, address: str, events: int) -> None:
    url = f"kafka://{address}"
    log = open_log(url)
    for topic in TOPICS:
        await log.create_topic(topic.name, topic.partitions)
    started_s = time.perf_counter()
    await fill(log, rows(events), Sequences())
    print(f"appended, made and stamped: {events / (time.perf_counter() - started_s):,.0f} records/s")
    yardstick = await bare(address, events)
    print(f"bare getmany({MAX_BATCH_RECORDS}): {yardstick:,.0f} records/s")
    for consumers in (1, 2):
        place = folder / f"consumers-{consumers}"
        await asyncio.to_thread(place.mkdir)
        (rate, _) = await count(place, log, consumers, url)
        print(
            f"counted exactly once, {consumers} consumers: {rate:,.0f} events/s, {rate / yardstick:.2f} x the bare loop"
        )
    await log.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "kafka").mkdir()
        broker = new_broker(Path(folder) / "kafka")
        try:
            asyncio.run(measure(Path(folder), broker.address, asked.events))
        finally:
            broker.stop()


if __name__ == "__main__":
    main()
