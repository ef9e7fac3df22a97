"""A new incarnation of a source, after its database was put back from an older copy.

What the copy believes unsent may have been sent before it was put back. So each lane's tail in the log is read for
the ids of those rows: the ones found are done, all others get a place in the new incarnation's lanes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .codec import Codec
from .errors import LeaseLost
from .handled import HandledRanges
from .log import Log
from .outbox import Lane, Outbox
from .record import RecordBatch, TopicPartition


@dataclass(frozen=True, slots=True)
class Reincarnation:
    source: str
    already_sent: int
    """Rows the older copy believed unsent and the log has."""
    waiting: int
    """Rows that will be sent by the new incarnation."""


async def reincarnate(
    outbox: Outbox, log: Log, codec: Codec, owner: str, *, lease_ttl_s: float = 60.0
) -> Reincarnation:
    """Begins the new incarnation. Takes every lane's lease meanwhile; raises LeaseLost where a relay still runs."""
    try:
        return await _begin(outbox, log, codec, owner, lease_ttl_s)
    finally:
        await outbox.release(owner)


async def _begin(outbox: Outbox, log: Log, codec: Codec, owner: str, lease_ttl_s: float) -> Reincarnation:
    lanes = await outbox.hold_lanes(owner, lease_ttl_s)
    every = await outbox.lanes()
    if len(lanes) < len(every):
        busy = sorted({str(one.owner) for one in every if one.owner not in (None, owner)})
        raise LeaseLost(
            f"lanes are held by {', '.join(busy)}: stop that relay, or wait {lease_ttl_s:.0f} s, then again"
        )
    unsent = await outbox.unsent_ids()
    found: set[str] = set()
    for lane in lanes:
        ids = {event_id for tp, event_id in unsent if tp == lane.tp}
        found |= await _ids_in_log(log, codec, lane.tp, ids)
    if _epochs(await outbox.hold_lanes(owner, lease_ttl_s)) != _epochs(lanes):
        raise LeaseLost("a relay took lanes while the log was read; stop it, then again. Nothing was changed.")
    source = await outbox.reincarnate(sorted(found))
    return Reincarnation(source, len(found), len(unsent) - len(found))


def _epochs(lanes: Sequence[Lane]) -> dict[TopicPartition, int]:
    return {lane.tp: lane.epoch for lane in lanes}


async def _ids_in_log(log: Log, codec: Codec, tp: TopicPartition, wanted: set[str]) -> set[str]:
    """Read from the beginning: an older copy may have lost where it stood, too.

    An event under a sequence that another one had before it doesn't count: the reader took it for a duplicate.
    """
    handled: dict[str, HandledRanges] = {}
    found: set[str] = set()
    offset = 0
    while found < wanted:
        batch = await log.read(tp, offset)
        if not len(batch):
            break
        dropped = _repeated(codec, batch, handled)
        found |= {
            event_id
            for index, value in enumerate(batch.values)
            if index not in dropped and (event_id := codec.id_of(value)) in wanted
        }
        offset = batch.next_offset
    return found


def _repeated(codec: Codec, batch: RecordBatch, handled: dict[str, HandledRanges]) -> set[int]:
    """Indexes of the records whose sequence the lane has shown before; notes in `handled` what it shows now."""
    places: dict[str, list[tuple[int, int]]] = {}
    for index, value in enumerate(batch.values):
        place = codec.place_in_lane(value)
        if place is not None:
            places.setdefault(place[0], []).append((index, place[1]))
    dropped: set[int] = set()
    for source, run in places.items():
        (handled[source], repeated) = handled.get(source, HandledRanges()).admit([sequence for _, sequence in run])
        dropped |= {run[at][0] for at in repeated}
    return dropped
