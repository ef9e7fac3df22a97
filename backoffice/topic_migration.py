"""A topic moves over to a new version with another number of partitions, while the shop goes on.

The version is made in the log; consumers see it and read it; the outbox gets its lanes, and from that commit on new
rows go there; what the older version still has is sent and counted; then it is closed. Each step shows in the stores
themselves, so a migration that was broken off goes on from where they stand.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from event_store.crash_points import NO_CRASH, CrashPoints
from event_store.errors import EventStoreError
from event_store.lease import Leases
from event_store.log import Log
from event_store.outbox import Outbox
from event_store.topic_plan import TopicAdmin
from event_store.topics import version_named, version_of
from projections.read_model import ReadModel

from .topic_versions import State, TopicVersion, topic_versions

LOOK_EVERY_S = 0.25


class MigrationWaits(EventStoreError):
    """A step did not come about in time. Nothing is lost; the same command goes on from there."""


class MigrationRefused(EventStoreError):
    """What was asked for can't be begun as the topic stands."""


@dataclass(slots=True)
class TopicMigration:
    topic: str
    partitions: int
    admin: TopicAdmin
    outbox: Outbox
    log: Log
    leases: Leases
    read_model: ReadModel
    say: Callable[[str], None]
    """Hears of each step that is done."""
    patience_s: float = 60.0
    """How long one step may wait for consumers or the relay."""
    crash_points: CrashPoints = NO_CRASH
    clock: Callable[[], float] = time.monotonic

    async def run(self) -> None:
        """Every step that is not done yet. Raises MigrationRefused, MigrationWaits, or what a store raises."""
        target = self._target(await self._versions())
        await self.admin.apply({target: self.partitions})
        self.crash_points.passing("topics.after_create")
        self.say(f"{target} is made, with {self.partitions} partitions.")
        await self._until(target, State.READ, "no consumer holds all of its partitions; is one running?")
        self.crash_points.passing("topics.after_read")
        self.say(f"Consumers read {target}.")
        await self.outbox.add_topic(target, self.partitions)
        self.crash_points.passing("topics.after_switch")
        self.say(f"New events go to {target}.")
        await self._drain(target)
        self.crash_points.passing("topics.after_drain")

    def _target(self, found: Sequence[TopicVersion]) -> str:
        """The version to move to: one that is not finished yet, the one that is written to, or a new one."""
        written = next((one for one in found if one.state is State.WRITTEN), None)
        if written is None:
            raise MigrationRefused(f"{self.topic} is not in the log and the outbox yet: start the shop first")
        if found[-1] is not written:
            if found[-1].partitions != self.partitions:
                raise MigrationRefused(
                    f"{found[-1].name} is made and not yet written to. Finish that first: countinghouse topics migrate "
                    f"{self.topic} --partitions {found[-1].partitions}"
                )
            return found[-1].name
        if written.partitions == self.partitions:
            return written.name
        return version_named(self.topic, written.number + 1)

    async def _drain(self, target: str) -> None:
        for version in [one for one in await self._versions() if version_of(one.name) < version_of(target)]:
            await self._until(version.name, State.CLOSED, "rows of it wait for the relay, or records for consumers.")
            self.say(f"{version.name} is closed: all of it is counted, and it stays for rebuilds.")

    async def _until(self, name: str, state: State, why_not: str) -> None:
        deadline_s = self.clock() + self.patience_s
        while not await self._is(name, state):
            if self.clock() > deadline_s:
                raise MigrationWaits(
                    f"{name} is not {state} yet after {self.patience_s:g} s: {why_not} Nothing is lost; when that is "
                    "mended, the same command goes on from here."
                )
            await asyncio.sleep(LOOK_EVERY_S)

    async def _is(self, name: str, state: State) -> bool:
        """Whether a version has come that far."""
        found = next((one.state for one in await self._versions() if one.name == name), None)
        return found is state or (state is State.READ and found is State.WRITTEN)

    async def _versions(self) -> Sequence[TopicVersion]:
        return await topic_versions([self.topic], self.outbox, self.log, self.leases, self.read_model)
