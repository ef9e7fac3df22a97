"""One simulated stretch of the life of the house: trouble for a while, then peace, in which all must come out."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache, partial
from random import Random
from typing import Any

from event_store.codec import Codec
from event_store.errors import EventStoreError
from event_store.memory_leases import MemoryLeases
from event_store.memory_log import MemoryLog
from event_store.memory_outbox import MemoryOutbox
from event_store.record import MAX_RECORD_BYTES
from projections.memory_read_model import MemoryReadModel
from projections.projector import Projector

from .faults import Fate, Faults, Life, Unreliable
from .invariants import Watch
from .oracle import oracle_of
from .processes import EVERY_TP, TOPICS, TPS, House, Observed, Process, rebuild_or_roll_back
from .shops import MAX_RECORD_BYTES as SMALL_LOG_BYTES
from .shops import Commerce, Partner, Shopper, serve_requests
from .signs import Signs
from .virtual_time import VirtualTimeLoop, run_virtual

SHOPS = ("shop 1", "shop 2")
PARTS = (*(f"relay of {shop}" for shop in SHOPS), "consumer")
TROUBLE_S = 50.0
REST_S = 45.0
"""After which nothing is on its way any more that was sent in the time of trouble."""
PATIENCE_S = 600.0
"""How long after the last fault everything may take to be counted."""


@dataclass(frozen=True, slots=True)
class Result:
    """What happened in a run: how often each kind of thing, and a digest of its whole course."""

    tally: Counter[str]
    digest: str
    trace: list[str]


def simulate(seed: int) -> Result:
    """One run. Raises AssertionError where a law is broken; the message names the seed and how to see it again."""
    with _seeded(seed):
        worlds: list[World] = []

        async def live(loop: VirtualTimeLoop) -> None:
            worlds.append(World(loop, Random(seed)))
            await worlds[0].live()

        try:
            run_virtual(live)
        except Exception as error:
            last = "\n  ".join(worlds[0].faults.trace[-12:]) if worlds else ""
            raise AssertionError(
                f"seed {seed} broke a law: {error}\n  {last}\nSee it again: python -m tests.simulation {seed}"
            ) from error
    trace = worlds[0].faults.trace
    return Result(worlds[0].tally, hashlib.sha256("\n".join(trace).encode()).hexdigest(), trace)


@cache
def _codec() -> Codec:
    """Building one costs more than all it decodes here."""
    return Codec()


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Back-off draws from the global generator."""
    before = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(before)


@dataclass(slots=True)
class World:
    loop: VirtualTimeLoop
    random: Random
    tally: Counter[str] = field(default_factory=Counter)
    faults: Faults = field(init=False)
    watch: Watch = field(init=False)
    observed: Observed = field(init=False)
    house: House = field(init=False)
    targets: dict[str, Any] = field(init=False)
    partner: Partner = field(init=False)
    processes: list[Process] = field(default_factory=list)

    def __post_init__(self) -> None:
        clock = self.loop.now_us
        (log, read_model) = (MemoryLog(clock, max_record_bytes=SMALL_LOG_BYTES), MemoryReadModel(clock))
        outboxes = {shop: MemoryOutbox(TOPICS, clock, source=f"/{shop}") for shop in SHOPS}
        self.targets = {
            "log": log,
            "read model": read_model,
            "leases": MemoryLeases(clock),
            **outboxes,
            "pauses": Signs(),
        }
        self.targets |= {f"database of {shop}": Commerce(outbox) for shop, outbox in outboxes.items()}
        self.faults = Faults(self.random, self._rates(), self.loop.time, self.tally)
        self.watch = Watch(log, outboxes, read_model, self.tally)
        self.observed = Observed(self.tally)
        sizes = (self.random.choice((2, 7, 40, 1000)), self.random.choice((2, 10, 30, 3000)))
        self.house = House(self.reach, self.observed, self._register, self.loop.time, self.now, *sizes, _codec())
        self.partner = Partner(self.random, self.now(), self.tally)

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.loop.now_us() / 1e6, UTC)

    def reach(self, place: str, life: Life) -> Any:
        return Unreliable(self.targets[place], place, life, self.faults, self.watch.acting)

    async def live(self) -> None:
        self._start()
        trouble = asyncio.create_task(self._make_trouble())
        writers = self._writers()
        await self._sleep(TROUBLE_S)
        trouble.cancel()
        for writer in writers:
            writer.retired = True
            writer.kill()
        await self._heal()
        await self._drain()
        await self._stop()
        self._check_end()

    def _rates(self) -> dict[str, dict[Fate, float]]:
        """Each place has its own troubles, and some have none."""
        choices = {
            Fate.LOST: (0.0, 0.02, 0.15),
            Fate.ACK_LOST: (0.0, 0.05, 0.15),
            Fate.LATE: (0.0, 0.05, 0.1),
            Fate.SLOW: (0.0, 0.01, 0.03),
        }
        places = sorted(self.targets)
        return {place: {fate: self.random.choice(rates) for fate, rates in choices.items()} for place in places}

    def _register(self, life: Life, projector: Projector) -> None:
        self.watch.projectors.append((life, projector))

    def _start(self) -> None:
        for shop in SHOPS:
            for number in range(1, self.random.choice((2, 3)) + 1):
                self._run(f"relay {number} of {shop}", partial(self.house.relay, shop))
        for number in range(1, self.random.choice((2, 3)) + 1):
            self._run(f"consumer {number}", self.house.consumer)
        self._run("operator", self._operate)
        for topic in self.random.choice(([], [], ["catalog-events"], ["order-events"], list(TOPICS))):
            after_s = self.random.uniform(5.0, TROUBLE_S)
            self.loop.call_later(after_s, self._run, f"keeper of {topic}", partial(self.house.migrate, topic, SHOPS))

    def _run(self, name: str, main: Any) -> Process:
        self.processes.append(Process(name, main, self.tally))
        return self.processes[-1]

    def _writers(self) -> list[Process]:
        pause_s = self.random.choice((1.0, 2.5, 5.0))
        writers = []
        for shop in SHOPS:
            shopper = Shopper(shop, self.random, self.now(), _codec())

            async def api(life: Life, stop: asyncio.Event, shop: str = shop, shopper: Shopper = shopper) -> None:
                await serve_requests(self.reach(f"database of {shop}", life), shopper, pause_s)

            writers.append(self._run(f"api of {shop}", api))

        async def partner(life: Life, stop: asyncio.Event) -> None:
            await self.partner.run(self.reach("log", life), TPS, 6.0)

        return [*writers, self._run("partner", partner)]

    async def _operate(self, life: Life, stop: asyncio.Event) -> None:
        while True:
            await asyncio.sleep(self.random.uniform(8.0, 45.0))
            back = self.random.random() < 0.45
            try:
                await rebuild_or_roll_back(self.house.rebuild(life), back=back, tally=self.tally)
            except EventStoreError:
                continue

    async def _make_trouble(self) -> None:
        while True:
            await asyncio.sleep(self.random.expovariate(1 / 3.5))
            chance = self.random.random()
            process = self.random.choice(self.processes)
            if chance < 0.4:
                self._kill_and_start_again(process, self.random.choice((0.1, 2.0, 20.0)))
            elif chance < 0.7:
                self._pause(process, self.random.choice((1.0, 20.0, 40.0)))
            elif chance < 0.9:
                place = self.random.choice(sorted(self.targets))
                self.faults.take_away(place, self.random.choice((1.0, 10.0, 25.0)))
            else:
                self._hold(self.random.choice(PARTS), self.random.choice((5.0, 10.0, 25.0)))

    def _kill_and_start_again(self, process: Process, after_s: float) -> None:
        if not process.life.dead:
            process.kill()
            self.loop.call_later(after_s, process.start)

    def _pause(self, process: Process, seconds: float) -> None:
        self.tally[f"{process.name.split()[0]} paused {'past its lease' if seconds > 15 else 'for a moment'}"] += 1
        process.pause()
        self.loop.call_later(seconds, process.resume)

    def _hold(self, part: str, seconds: float) -> None:
        self.targets["pauses"].put_up(part)
        self.loop.call_later(seconds, self.targets["pauses"].take_down, part)

    async def _sleep(self, seconds: float) -> None:
        """Lets the world go on, and looks every second whether a law is broken or a process has fallen."""
        for _ in range(round(seconds)):
            await asyncio.sleep(1.0)
            self._check_processes()

    def _check_processes(self) -> None:
        if self.faults.broken:
            raise self.faults.broken[0]
        for process in self.processes:
            if (error := process.raised()) is not None:
                raise AssertionError(f"{process.name} fell: {error!r}") from error
        assert not self.loop.unhandled, self.loop.unhandled
        assert not self.observed.stops, f"stopped: {self.observed.stops}"

    async def _heal(self) -> None:
        """No fault any more; what is on its way still arrives; then the operator lets long records in, twice."""
        self.faults.heal()
        self.targets["pauses"].held.clear()
        await self._sleep(REST_S)
        self.targets["log"]._max_record_bytes = MAX_RECORD_BYTES
        for shop in SHOPS:
            dead = [row.id for row in await self.targets[shop].dead()]
            redriven = await self.targets[shop].redrive(dead)
            assert redriven == len(dead)
            assert await self.targets[shop].redrive(dead) == 0
            self.tally["row driven again"] += redriven

    async def _drain(self) -> None:
        """I3: everything accepted is counted."""
        for _ in range(round(PATIENCE_S)):
            await self._sleep(1)
            if self._is_drained():
                return
        raise AssertionError(f"I3: not counted {PATIENCE_S} s after the last fault: {self._waiting()}")

    def _is_drained(self) -> bool:
        serving = self.watch.counted.get(self.targets["read model"]._serving)
        if serving is None:
            return not any(self._accepted()) and not any(len(self.watch.values(tp)) for tp in EVERY_TP)
        counted = all(serving.next_offset.get(tp, 0) == len(self.watch.values(tp)) for tp in EVERY_TP)
        return counted and not any(
            rows.unsent for shop in SHOPS for rows in self.targets[shop]._contents.lanes.values()
        )

    def _waiting(self) -> str:
        lanes = {f"{shop} {tp}": rows for shop in SHOPS for tp, rows in self.targets[shop]._contents.lanes.items()}
        unsent = {name: (len(rows.unsent), rows.error) for name, rows in lanes.items() if rows.unsent}
        ends = {str(tp): len(self.watch.values(tp)) for tp in EVERY_TP}
        serving = self.watch.counted.get(self.targets["read model"]._serving)
        return f"unsent {unsent}, log ends {ends}, counted {serving.next_offset if serving else None}"

    async def _stop(self) -> None:
        """A clean end: everybody stops when told, in time, and leaves no lock behind (I28)."""
        for process in self.processes:
            if process.life.dead or process.name.startswith(("operator", "keeper")):
                process.task.cancel()
            process.stop.set()
        (done, pending) = await asyncio.wait([process.task for process in self.processes], timeout=30.0)
        assert not pending, f"not stopped after 30 s: {pending}"
        fallen = [one for one in done if not one.cancelled() and one.exception() is not None]
        assert not fallen, fallen
        assert not any(len(locks) for locks in self.house.locks), "I28: locks are held at rest"

    def _accepted(self) -> Iterator[bytes]:
        """The payload of everything whose state is in a shop's database."""
        for shop in SHOPS:
            state = self.targets[f"database of {shop}"].state
            yield from {draft.event_id: draft.payload for draft in state.values()}.values()

    def _check_end(self) -> None:
        """I1 and I3: the figures are those of what was accepted, computed without the log's help."""
        self._check_processes()
        own = list(self._accepted())
        foreign = [value for tp in TPS for value in self.watch.values(tp) if b'"/partner"' in (value or b"")]
        serving = self.targets["read model"]._serving
        if serving in self.watch.counted:
            self.watch._figures_are_exact(serving, oracle_of([*own, *foreign]))
        ids = [event_id for ids in self.watch.lanes.values() for event_id in ids]
        assert len(ids) == len(set(ids)), "I4: an event has two places"
        self.tally["event accepted"] += len(own)
        self.tally["run"] += 1
