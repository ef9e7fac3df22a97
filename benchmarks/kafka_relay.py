"""How fast the relay brings outbox rows to Kafka, acks=all, beside a bare loop of `send_batch`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Iterable
from pathlib import Path
from typing import Any

import asyncpg

from event_store.connect import open_log, open_outbox
from event_store.envelope import stamp
from event_store.topics import PARTITIONS

from .bare_loops import alone, sent
from .measured import Measured, print_ratios
from .relay import relayed, write_rows
from .servers import Servers
from .shop_events import SOURCE, Row, partitions, rows

INSERT = """
INSERT INTO outbox (lane, event_id, key, payload, recorded_at_us)
SELECT l.id, w.event_id, w.key, w.payload, $6
FROM unnest($1::text[], $2::bigint[], $3::text[], $4::text[], $5::bytea[]) AS w (topic, number, event_id, key, payload)
JOIN outbox_lane AS l ON l.topic = w.topic AND l.number = w.number
"""


async def measure_relay(servers: Servers, events: int, rounds: int) -> None:
    """Each outbox to topics of its own, since one log can hold the lanes of one commerce database from 1 on."""
    numbers = iter(range(1_000_000))
    address = servers.broker.address
    (_, key, payload) = next(rows(1))
    record = (key.encode(), stamp(payload, SOURCE, 1))

    async def topics() -> str:
        prefix = f"{next(numbers)}."
        log = open_log(f"kafka://{address}/{prefix}")
        for topic, count in PARTITIONS.items():
            await log.create_topic(topic, count)
        await log.close()
        return prefix

    async def bare() -> Measured:
        prefix = await topics()
        places = [(prefix + tp.topic, tp.partition) for tp in partitions()]
        return await asyncio.to_thread(sent, address, places, events, record)

    async def ours(filling: Awaitable[str]) -> Measured:
        outbox_url = await filling
        log_url = f"kafka://{address}/{await topics()}"
        done = await asyncio.to_thread(alone, _relayed, outbox_url, log_url, events)
        if done.records != events:
            raise SystemExit(f"{done.records} of {events} rows were sent")
        return done

    measured = {
        "SQLite outbox": lambda: ours(_in_sqlite(servers.new_folder(f"commerce-{next(numbers)}"), events)),
        "PostgreSQL outbox": lambda: ours(_in_postgres(servers, events)),
    }
    await print_ratios(bare, measured, rounds, "row")


async def _relayed(outbox_url: str, log_url: str, events: int) -> Measured:
    outbox = open_outbox(outbox_url, PARTITIONS)
    log = open_log(log_url)
    done = await relayed(outbox, log, events)
    await outbox.close()
    await log.close()
    return done


async def _in_sqlite(folder: Path, events: int) -> str:
    """The address of an outbox with so many rows."""
    url = f"sqlite+aiosqlite:///{folder / 'commerce.db'}"
    await _make_lanes(url)
    await asyncio.to_thread(write_rows, folder / "commerce.db", rows(events))
    return url


async def _make_lanes(url: str) -> None:
    outbox = open_outbox(url, PARTITIONS)
    await outbox.lanes()  # It makes them.
    await outbox.close()


async def _in_postgres(servers: Servers, events: int) -> str:
    """As `_in_sqlite`."""
    url = await servers.new_database()
    await _make_lanes(url)
    connection = await asyncpg.connect(url.replace("+asyncpg", ""))
    await connection.execute(INSERT, *_columns(rows(events)), time.time_ns() // 1000)
    await connection.execute("VACUUM ANALYZE")
    await connection.close()
    return url


def _columns(events: Iterable[Row]) -> list[list[Any]]:
    """Topic, partition, id, key and payload of each."""
    values = [(*tp, f"e{number}", key, payload) for number, (tp, key, payload) in enumerate(events)]
    return [list(column) for column in zip(*values, strict=True)]
