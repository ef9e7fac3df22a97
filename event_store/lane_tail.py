"""The check of a lane's tail in the log, made before anything is sent under a new lease.

It finds two things. Rows whose append went through before a crash could acknowledge them: they are acknowledged now
instead of being sent again. And sequences or events that this database knows nothing of: then it is an older copy of
itself, would draw old numbers for new events, and the reader would take those for duplicates. So it must not send.
"""

from __future__ import annotations

from dataclasses import dataclass

from .codec import Codec
from .errors import HistoryLost, LaneAhead, LogChanged
from .log import Log
from .outbox import Acknowledgement, Lane, Outbox


@dataclass(frozen=True, slots=True)
class TailRecord:
    offset: int
    sequence: int
    event_id: str | None


async def check_tail(outbox: Outbox, log: Log, codec: Codec, lane: Lane) -> Acknowledgement | None:
    """What of the lane the log already has beyond `acknowledged`; None for nothing.

    Raises LaneAhead where the log has more of this source than its database, LogChanged where it has less.
    """
    tail = await _read_tail(log, codec, lane)
    beyond = [record for record in tail if record.sequence > lane.acknowledged]
    if not beyond:
        return None
    highest = max(record.sequence for record in beyond)
    if highest >= lane.next_sequence:
        raise LaneAhead(
            _sentence(lane, f"sequence {highest}, but the database has drawn only {lane.next_sequence - 1}")
        )
    known = dict(await outbox.rows_between(lane, lane.acknowledged + 1, highest))
    for record in beyond:
        if record.event_id is not None and known.get(record.sequence) != record.event_id:
            raise LaneAhead(_sentence(lane, f"another event under sequence {record.sequence} (offset {record.offset})"))
    offset = max(record.offset for record in beyond if record.sequence == highest)
    return Acknowledgement(lane, highest, offset)


async def _read_tail(log: Log, codec: Codec, lane: Lane) -> list[TailRecord]:
    """The lane's own records after its acknowledged one, oldest first."""
    tail: list[TailRecord] = []
    offset = lane.acknowledged_offset + 1
    while True:
        try:
            batch = await log.read(lane.tp, offset)
        except HistoryLost as error:
            raise LogChanged(
                f"lane {lane.tp}: the log took sequence {lane.acknowledged} at offset {lane.acknowledged_offset} and "
                f"no longer has that offset ({error}). Restore the log, or run `countinghouse outbox reincarnate`."
            ) from error
        if not len(batch):
            return tail
        for index, value in enumerate(batch.values):
            place = codec.place_in_lane(value)
            if place is not None and place[0] == lane.source:
                tail.append(TailRecord(batch.first_offset + index, place[1], codec.id_of(value)))
        offset = batch.next_offset


def _sentence(lane: Lane, what: str) -> str:
    return (
        f"lane {lane.tp} of {lane.source}: the log has {what}. This database is an older copy of itself; "
        "nothing is sent. Stop the relay and run `countinghouse outbox reincarnate`."
    )
