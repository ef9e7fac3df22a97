"""The product's own consumers, in processes of their own, over a log that is full."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from multiprocessing import get_context
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import psutil

from backoffice.consumer import Consumer, ConsumerSettings
from backoffice.consumer_names import MEMBERS
from backoffice.consumer_names import PARTITIONS as PARTITION_LEASES
from backoffice.silence import Silence
from event_store.codec import Codec
from event_store.connect import open_leases, open_log
from event_store.envelope import stamp
from event_store.kafka_options import ONE_BROKER
from event_store.lease import owners_of
from event_store.log import Log
from event_store.record import Record, TopicPartition
from event_store.topics import PARTITIONS
from projections.catalogue import PROJECTIONS
from projections.connect import open_read_model
from projections.projector import Projector

from .measured import Measured
from .shop_events import SOURCE, partitions

PASS_RECORDS = 1000
RENEW_S = 0.05
"""How soon a consumer takes a partition that is free."""
LOOK_S = 0.05
"""Looking more often would cost what is measured."""


@dataclass(frozen=True, slots=True)
class Line:
    """A log and the database into which it is counted."""

    log_url: str
    backoffice_url: str
    topics: Mapping[str, int]
    fast_fetch: bool = True

    @property
    def partitions(self) -> list[TopicPartition]:
        return partitions(self.topics)

    def open_log(self) -> Log:
        return open_log(self.log_url, kafka=replace(ONE_BROKER, fast_fetch=self.fast_fetch))


@dataclass(frozen=True, slots=True)
class Counted(Measured):
    idle: int
    """How many consumers had no partition at the end."""


def in_folder(folder: Path) -> Line:
    """The files of a shop."""
    return Line(f"sqlite:///{folder / 'log.db'}", sqlite_url(folder), PARTITIONS)


def sqlite_url(folder: Path) -> str:
    return f"sqlite+aiosqlite:///{folder / 'backoffice.db'}"


class Sequences:
    """Numbers the records of each lane, as a relay does."""

    def __init__(self, tps: Iterable[TopicPartition]) -> None:
        self.drawn = dict.fromkeys(tps, 0)

    def stamped(self, tp: TopicPartition, key: str, payload: bytes) -> Record:
        self.drawn[tp] += 1
        return Record(key.encode(), stamp(payload, SOURCE, self.drawn[tp]))


async def fill(log: Log, events: Iterable[tuple[TopicPartition, str, bytes]], sequences: Sequences) -> None:
    """Appends the events in batches as a busy relay would."""
    waiting: dict[TopicPartition, list[Record]] = {tp: [] for tp in sequences.drawn}
    for tp, key, payload in events:
        waiting[tp].append(sequences.stamped(tp, key, payload))
        if len(waiting[tp]) == PASS_RECORDS:
            await log.append(tp, waiting[tp])
            waiting[tp] = []
    for tp, records in waiting.items():
        if records:
            await log.append(tp, records)


def count_until_told(line: Line, name: str, told: Event) -> None:
    """One consumer process: the product's own consumer over the benchmark's stores."""
    asyncio.run(_count_until_told(line, name, told))


async def _count_until_told(line: Line, name: str, told: Event) -> None:
    log = line.open_log()
    read_model = open_read_model(line.backoffice_url)
    leases: Any = open_leases(line.backoffice_url)
    stop = asyncio.Event()
    settings = ConsumerSettings(name, line.topics, renew_s=RENEW_S)
    codec = Codec()

    def open_projector(generation: int) -> Projector:
        return Projector(read_model, generation, True, PROJECTIONS, codec)

    running = asyncio.create_task(Consumer(log, leases, read_model, open_projector, settings, Silence()).run(stop))
    await asyncio.to_thread(told.wait)
    stop.set()
    await running
    stores: list[Any] = [log, read_model, leases]
    for one in stores:
        await one.close()


def _unheard(_: int, __: int) -> None: ...


async def count(line: Line, log: Log, consumers: int, heard: Callable[[int, int], None] = _unheard) -> Counted:
    """Counts to the log's end with real consumer processes.

    The processes start, and find every partition leased to the gate; the clock runs from its opening. `heard` is told
    now and then how many records are counted, and the resident bytes of all consumers together.
    """
    read_model: Any = open_read_model(line.backoffice_url)
    leases: Any = open_leases(line.backoffice_url)
    ends = {tp: bounds.end for tp, bounds in (await log.bounds(line.partitions)).items() if bounds.end}
    before = {one.tp: one.next_offset for one in await read_model.progress(await read_model.serving())}
    await leases.take([f"{PARTITION_LEASES}{tp}" for tp in line.partitions], "gate", 600.0)
    processes = get_context("spawn")
    told = processes.Event()
    children = [
        processes.Process(target=count_until_told, args=(line, f"benchmark-{number}", told))
        for number in range(consumers)
    ]
    for child in children:
        child.start()
    while len(owners_of(await leases.holdings(MEMBERS))) < consumers:  # noqa: ASYNC110
        await asyncio.sleep(0.1)
    await asyncio.sleep(1.0)
    watched = [psutil.Process(child.pid) for child in children]
    (used_s, started_s) = (_processor_s(watched), time.perf_counter())
    await leases.release("gate")
    while (progress := {one.tp: one.next_offset for one in await read_model.progress(1)}) != {**progress, **ends}:
        heard(sum(progress.values()), sum(one.memory_info().rss for one in watched))
        await asyncio.sleep(LOOK_S)
    (seconds, used_s) = (time.perf_counter() - started_s, _processor_s(watched) - used_s)
    idle = consumers - len(set(owners_of(await leases.holdings(PARTITION_LEASES)).values()))
    told.set()
    for child in children:
        child.join()
    await read_model.close()
    await leases.close()
    return Counted(sum(ends.values()) - sum(before.values()), seconds, used_s, idle)


def _processor_s(processes: Iterable[psutil.Process]) -> float:
    times = [one.cpu_times() for one in processes]
    return sum(one.user + one.system for one in times)
