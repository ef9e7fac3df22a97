"""A topic moves to another number of partitions while everything goes on: nothing is lost, doubled or left behind."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import pytest

from backoffice.consumer import Consumer, ConsumerSettings
from backoffice.topic_migration import MigrationRefused, MigrationWaits, TopicMigration
from backoffice.topic_versions import State, TopicVersion, topic_versions
from event_store.backoff import Backoff
from event_store.crash_points import CRASH_POINTS, CrashPoints
from event_store.embedded_topics import EmbeddedTopics
from event_store.errors import StorageUnavailable
from event_store.record import TopicPartition
from projections.catalogue import PROJECTIONS
from projections.projector import Projector
from tests.simulation.oracle import oracle_of

from .histories import events_of_every_kind
from .line import TOPICS, Line, assert_figures, in_virtual_time

STEPS = [point for point in CRASH_POINTS if point.startswith("topics.")]
CATALOG = "catalog-events"


class _Killed(BaseException):
    """As a SIGKILL at a crash point."""


@dataclass(slots=True, eq=False)
class _DiesAt(CrashPoints):
    def passing(self, name: str) -> None:
        if name == self.name:
            raise _Killed(name)


@dataclass(slots=True)
class Shop:
    """A line at work: a relay, consumers, and somebody who writes."""

    line: Line
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    said: list[str] = field(default_factory=list)
    written: int = 0
    running: list[asyncio.Task[None]] = field(default_factory=list)

    def start(self, consumers: int = 2) -> None:
        works = [self.line.relay(renew_s=5.0).run(self.stop), self._write()]
        works += [self._consumer(f"consumer {number}").run(self.stop) for number in range(consumers)]
        self.running = [asyncio.create_task(work) for work in works]

    def migration(self, partitions: int = 5, **replaced: Any) -> TopicMigration:
        line = self.line
        parts: dict[str, Any] = {"log": line.log, "outbox": line.outbox, "leases": line.leases}
        parts |= {"read_model": line.read_model, "clock": line.clock, "admin": EmbeddedTopics(line.log)}
        parts |= replaced
        return TopicMigration(topic=CATALOG, partitions=partitions, say=self.said.append, **parts)

    async def versions(self) -> dict[str, TopicVersion]:
        line = self.line
        found = await topic_versions([CATALOG], line.outbox, line.log, line.leases, line.read_model)
        return {one.name: one for one in found}

    async def states(self) -> dict[str, State]:
        return {name: one.state for name, one in (await self.versions()).items()}

    async def end(self) -> None:
        """All that was written is counted once, and every lane has shown all of its sequences in order."""
        await asyncio.sleep(30.0)
        self.stop.set()
        await asyncio.gather(*self.running)
        line = self.line
        values = [value for partition in line.log._partitions.values() for value in partition.values]
        oracle = oracle_of(values)
        assert len(oracle.seen) == self.written
        await assert_figures(line.read_model, oracle)
        assert all(not one.holes and not one.dead for one in await line.read_model.progress(1))
        assert all(one.ready == one.claimed == one.failed == 0 for one in await line.outbox.lanes())
        for tp in line.log._partitions:
            places = [place for value in line.log._partitions[tp].values if (place := line.codec.place_in_lane(value))]
            firsts = list(dict.fromkeys(sequence for _, sequence in places))
            assert firsts == list(range(1, len(firsts) + 1)), tp

    async def _write(self) -> None:
        """A few events of every kind, again and again, until 20 s before the end."""
        while not self.stop.is_set() and self.written < 2000:
            events = events_of_every_kind()
            self.line.write([event.payload for event in events])
            self.written += len(events)
            await asyncio.sleep(0.7)

    def _consumer(self, name: str) -> Consumer:
        figures = self.line.read_model
        return Consumer(
            self.line.log,
            self.line.leases,
            figures,
            lambda generation: Projector(figures, generation, True, PROJECTIONS, self.line.codec),
            ConsumerSettings(name, TOPICS, renew_s=5.0),
            self.line.observed,
            Backoff(0.1, 1.0),
            clock=self.line.clock,
        )


def at_work(test: Callable[[Shop], Coroutine[Any, Any, None]], consumers: int = 2) -> None:
    """Runs `test` with a shop at work, which must come out exactly."""

    async def main(line: Line) -> None:
        shop = Shop(line)
        shop.start(consumers)
        await asyncio.sleep(10.0)
        await test(shop)
        await shop.end()

    in_virtual_time(main)


@pytest.mark.parametrize("partitions", [1, 5, 12])
def test_a_topic_moves_over_while_everything_goes_on(partitions: int) -> None:
    async def move(shop: Shop) -> None:
        assert await shop.states() == {CATALOG: State.WRITTEN}
        await shop.migration(partitions).run()
        assert shop.said == [
            f"catalog-events.v2 is made, with {partitions} partitions.",
            "Consumers read catalog-events.v2.",
            "New events go to catalog-events.v2.",
            "catalog-events is closed: all of it is counted, and it stays for rebuilds.",
        ]
        assert await shop.states() == {CATALOG: State.CLOSED, "catalog-events.v2": State.WRITTEN}
        before = (await shop.line.log.bounds([TopicPartition(CATALOG, 0)]))[TopicPartition(CATALOG, 0)].end
        await asyncio.sleep(20.0)
        assert (await shop.line.log.bounds([TopicPartition(CATALOG, 0)]))[TopicPartition(CATALOG, 0)].end == before
        assert (await shop.versions())["catalog-events.v2"].held == partitions

    at_work(move)


def test_a_rebuild_reads_closed_topics_too_and_comes_out_equal() -> None:
    async def rebuild(shop: Shop) -> None:
        await shop.migration(3).run()
        await shop.migration(4).run()
        await asyncio.sleep(10.0)
        rebuilt = await shop.line.rebuild().run("prove it")
        assert rebuilt.comparison is not None
        assert rebuilt.comparison.equal
        assert {tp.topic for tp in rebuilt.comparison.positions} == {
            CATALOG,
            "catalog-events.v2",
            "catalog-events.v3",
            "order-events",
        }
        await shop.line.rebuild().roll_back("and back, so that the end looks at the first generation")

    at_work(rebuild)


@pytest.mark.parametrize("step", STEPS)
def test_a_migration_that_dies_after_a_step_goes_on_from_there(step: str) -> None:
    async def die(shop: Shop) -> None:
        with pytest.raises(_Killed):
            await shop.migration(crash_points=_DiesAt(step)).run()
        await asyncio.sleep(7.0)
        await shop.migration().run()
        assert await shop.states() == {CATALOG: State.CLOSED, "catalog-events.v2": State.WRITTEN}

    at_work(die)


@dataclass(slots=True)
class _FailsOnce:
    """A back end whose first call of a name fails, before it acts or after."""

    target: Any
    name: str
    acted: bool
    has_failed: bool = False

    def __getattr__(self, name: str) -> Any:
        async def call(*args: Any, **kwargs: Any) -> Any:
            fails = name == self.name and not self.has_failed
            self.has_failed = self.has_failed or fails
            if fails and not self.acted:
                raise StorageUnavailable(name)
            result = await getattr(self.target, name)(*args, **kwargs)
            if fails:
                raise StorageUnavailable(f"{name}, which acted")
            return result

        return call


CALLS = {
    "outbox": ["lanes", "add_topic"],
    "log": ["topics", "bounds", "create_topic"],
    "leases": ["holdings"],
    "read_model": ["serving", "progress"],
}


@pytest.mark.parametrize("acted", [False, True], ids=["before it acts", "after it acted"])
@pytest.mark.parametrize(("port", "name"), [(port, name) for port, names in CALLS.items() for name in names])
def test_a_migration_of_which_a_call_fails_is_begun_again_and_comes_out_exactly(
    port: str, name: str, *, acted: bool
) -> None:
    async def fail(shop: Shop) -> None:
        failing = _FailsOnce(getattr(shop.line, port), name, acted)
        parts: dict[str, Any] = {port: failing}
        if port == "log":
            parts["admin"] = EmbeddedTopics(parts["log"])
        with pytest.raises(StorageUnavailable, match=name):
            await shop.migration(**parts).run()
        await shop.migration(**parts).run()
        assert await shop.states() == {CATALOG: State.CLOSED, "catalog-events.v2": State.WRITTEN}

    at_work(fail)


def test_two_migrations_at_once_are_one() -> None:
    async def both(shop: Shop) -> None:
        await asyncio.gather(shop.migration().run(), shop.migration().run())
        assert await shop.states() == {CATALOG: State.CLOSED, "catalog-events.v2": State.WRITTEN}

    at_work(both)


def test_producers_do_not_switch_before_somebody_reads_the_new_version() -> None:
    async def wait(shop: Shop) -> None:
        with pytest.raises(MigrationWaits, match="is not read yet after 20 s: no consumer holds all"):
            await shop.migration(patience_s=20.0).run()
        assert await shop.states() == {CATALOG: State.WRITTEN, "catalog-events.v2": State.MADE}
        with pytest.raises(MigrationRefused, match="topics migrate catalog-events --partitions 5"):
            await shop.migration(7).run()
        shop.running.append(asyncio.create_task(shop._consumer("late").run(shop.stop)))
        await shop.migration().run()

    at_work(wait, consumers=0)


def test_what_is_driven_again_after_a_migration_is_sent_and_counted_where_it_was() -> None:
    """A dead row goes to its own lane: an older version drains again, and is closed again."""

    async def drive_again(shop: Shop) -> None:
        line = shop.line
        limit = line.log._max_record_bytes
        line.log._max_record_bytes = 250
        while not await line.outbox.dead():
            await asyncio.sleep(1.0)
        line.log._max_record_bytes = limit
        await shop.migration().run()
        await line.outbox.redrive([row.id for row in await line.outbox.dead()])
        while (await shop.states())[CATALOG] is State.CLOSED:
            await asyncio.sleep(0.01)
        while (await shop.states())[CATALOG] is not State.CLOSED:
            await asyncio.sleep(0.1)

    async def main(line: Line) -> None:
        shop = Shop(line)
        shop.start()
        await drive_again(shop)
        await asyncio.sleep(30.0)
        shop.stop.set()
        await asyncio.gather(*shop.running)
        values = [value for partition in line.log._partitions.values() for value in partition.values]
        await assert_figures(line.read_model, oracle_of(values))
        assert all(not one.holes for one in await line.read_model.progress(1))

    in_virtual_time(main)
