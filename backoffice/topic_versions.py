"""The versions of a topic as log, outbox, consumers and figures have them. Nothing else is kept of a migration.

A version is in the log as soon as it is made; consumers read every version that the log has; rows are written to the
newest that has lanes in the outbox; an older one whose rows are sent and counted is closed, and stays for rebuilds.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum

from event_store.lease import Leases, owners_of
from event_store.log import Log
from event_store.outbox import Outbox
from event_store.topics import newest_versions, partitions_of, version_of, versions
from projections.read_model import ReadModel

from .consumer_names import PARTITIONS


class State(StrEnum):
    MADE = "made"
    """In the log; consumers don't hold all of it yet."""
    READ = "read"
    """By consumers, all of it. Nothing of ours is written to it yet."""
    WRITTEN = "written"
    """New events go there."""
    DRAINING = "draining"
    """New events go to a newer version; some of its own are still to be sent or counted."""
    CLOSED = "closed"
    """All of it is counted, and nothing of ours is written to it."""


@dataclass(frozen=True, slots=True)
class TopicVersion:
    name: str
    partitions: int
    state: State
    lanes: int
    """How many of its partitions have a lane in the outbox; 0 before producers switch."""
    unsent: int
    """Rows of its lanes that the log has not acknowledged."""
    uncounted: int
    """Records that the serving generation has not counted."""
    held: int
    """Partitions that a consumer holds."""

    @property
    def number(self) -> int:
        return version_of(self.name)[1]


async def topic_versions(
    topics: Collection[str], outbox: Outbox, log: Log, leases: Leases, read_model: ReadModel
) -> Sequence[TopicVersion]:
    """Every version of the topics, older ones first.

    Outbox, ends of the log and positions are read in this order: what is closed then had nothing left at one moment.
    """
    lanes = await outbox.lanes()
    found = versions(topics, await log.topics())
    tps = partitions_of(found)
    bounds = await log.bounds(tps)
    counted = {one.tp: one.next_offset for one in await read_model.progress(await read_model.serving())}
    held = owners_of(await leases.holdings(PARTITIONS))
    newest = newest_versions({lane.tp.topic for lane in lanes})
    return [
        _version(
            name,
            count,
            newest.get(version_of(name)[0], ""),
            lanes=[lane.ready + lane.claimed + lane.failed for lane in lanes if lane.tp.topic == name],
            uncounted=sum(max(0, bounds[tp].end - counted.get(tp, 0)) for tp in tps if tp.topic == name),
            held=sum(f"{PARTITIONS}{tp}" in held for tp in tps if tp.topic == name),
        )
        for name, count in found.items()
    ]


def _version(
    name: str, partitions: int, written: str, *, lanes: Sequence[int], uncounted: int, held: int
) -> TopicVersion:
    unsent = sum(lanes)
    if name == written:
        state = State.WRITTEN
    elif version_of(name) > version_of(written):
        state = State.READ if held == partitions else State.MADE
    else:
        state = State.DRAINING if unsent or uncounted else State.CLOSED
    return TopicVersion(name, partitions, state, len(lanes), unsent, uncounted, held)
