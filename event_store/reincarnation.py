"""A new incarnation of a source, after its database was put back from an older copy.

What the copy believes unsent may have been sent before it was put back. So each lane's tail in the log is read for
the ids of those rows: the ones found are done, all others get a place in the new incarnation's lanes.
"""

from __future__ import annotations

from dataclasses import dataclass

from .codec import Codec
from .errors import LeaseLost
from .log import Log
from .outbox import Outbox
from .record import TopicPartition


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
    source = await outbox.reincarnate(sorted(found))
    await outbox.release(owner)
    return Reincarnation(source, len(found), len(unsent) - len(found))


async def _ids_in_log(log: Log, codec: Codec, tp: TopicPartition, wanted: set[str]) -> set[str]:
    """Read from the beginning: an older copy may have lost where it stood, too."""
    found: set[str] = set()
    offset = 0
    while found < wanted:
        batch = await log.read(tp, offset)
        if not len(batch):
            break
        found |= {event_id for value in batch.values if (event_id := codec.id_of(value)) in wanted}
        offset = batch.next_offset
    return found
