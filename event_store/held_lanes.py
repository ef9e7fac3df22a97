"""The lanes that a relay holds: each checked against the log before anything of it is sent, with when that may be."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace

from .codec import Codec
from .errors import Stop, UnknownTopic
from .lane_tail import check_tail
from .log import Log
from .outbox import Acknowledgement, ClaimedRows, Lane, Outbox
from .record import TopicPartition
from .relay_observer import RelayObserver


@dataclass(slots=True)
class HeldLanes:
    outbox: Outbox
    log: Log
    codec: Codec
    observer: RelayObserver
    owner: str
    lease_ttl_s: float
    renew_s: float
    clock: Callable[[], float] = time.monotonic
    _lanes: dict[TopicPartition, Lane] = field(default_factory=dict)
    _checked: set[tuple[TopicPartition, int, str]] = field(default_factory=set)
    _retry_at: dict[TopicPartition, float] = field(default_factory=dict)
    _renew_at: float = float("-inf")

    def due_in_s(self) -> float:
        """Until the leases are to be renewed, or a lane that failed may be tried again; negative where that is past."""
        return min([self._renew_at, *self._retry_at.values()]) - self.clock()

    def to_send(self, on_their_way: Collection[TopicPartition]) -> list[Lane]:
        """Those that may be claimed now, less those of which rows are on their way."""
        now_s = self.clock()
        self._retry_at = {tp: at_s for tp, at_s in self._retry_at.items() if at_s > now_s and tp in self._lanes}
        return [lane for tp, lane in self._lanes.items() if tp not in self._retry_at and tp not in on_their_way]

    def as_it_stands(self, lane: Lane) -> Lane | None:
        """What is known of it by now; None where it isn't held as it was, or is to be checked again."""
        return self._held(lane) if _mark(lane) in self._checked else None

    def look_again(self) -> None:
        """Every lane's tail is checked before more of it is sent."""
        self._renew_at = float("-inf")
        self._checked.clear()

    async def renew(self, on_their_way: Collection[TopicPartition]) -> None:
        """Where that is due, takes the leases anew of all lanes that are to be had."""
        if self.clock() < self._renew_at:
            return
        held = await self.outbox.hold_lanes(self.owner, self.lease_ttl_s)
        # What is on its way would look like a tail that the database knows nothing of: such a lane is checked later.
        later = [lane for lane in held if lane.tp in on_their_way and _mark(lane) not in self._checked]
        self._lanes = {lane.tp: lane for lane in held if lane not in later and await self._is_sound(lane)}
        self._renew_at = self.clock() + (0.0 if later else self.renew_s)

    def moved(self, sent: ClaimedRows, offset: int) -> Acknowledgement | None:
        """What is to be acknowledged, the log having taken the rows from that offset on.

        None where it can't be the log that took the rows before these: then every lane is checked again.
        """
        lane = sent.lane
        if offset <= lane.acknowledged_offset:
            self.look_again()
            return None
        self._retry_at.pop(lane.tp, None)
        if lane.failures:
            self._retry_at.clear()  # The log answers again, most likely for the other lanes, too.
        done = Acknowledgement(lane, sent.rows[-1].sequence, offset + len(sent.rows) - 1)
        self._keep(replace(lane, failures=0, acknowledged=done.sequence, acknowledged_offset=done.offset))
        return done

    async def failed(self, lane: Lane, error: Exception, wait_s: float) -> None:
        """The next attempt at the lane is to be made after so many seconds."""
        self._keep(replace(lane, failures=lane.failures + 1))
        self._retry_at[lane.tp] = self.clock() + wait_s
        self.observer.failed(lane.tp, error, wait_s)
        await self.outbox.note_failure(lane, str(error), wait_s)

    def _keep(self, lane: Lane) -> None:
        """What became of a lane, if it is still held as it was when its rows were claimed."""
        if self._held(lane) is not None:
            self._lanes[lane.tp] = lane

    def _held(self, lane: Lane) -> Lane | None:
        held = self._lanes.get(lane.tp)
        return held if held is not None and _mark(held) == _mark(lane) else None

    async def _is_sound(self, lane: Lane) -> bool:
        """Whether the lane may be sent: checked against the log's tail once for each epoch in which we hold it."""
        if _mark(lane) in self._checked:
            return True
        try:
            acknowledgement = await check_tail(self.outbox, self.log, self.codec, lane)
        except Stop as stop:
            if await self._stands(lane):
                await self.outbox.note_failure(lane, str(stop), self.renew_s)
                self.observer.refused(lane.tp, stop)
            return False
        except UnknownTopic as error:
            await self.outbox.note_failure(lane, str(error), self.renew_s)
            self.observer.failed(lane.tp, error, self.renew_s)
            return False
        if acknowledgement is not None:
            await self.outbox.acknowledge([acknowledgement])
        if lane.retry_in_s > 0:
            self._retry_at[lane.tp] = self.clock() + lane.retry_in_s
        self._checked.add(_mark(lane))
        return True

    async def _stands(self, lane: Lane) -> bool:
        """Whether nobody moved the lane since we began to look: another relay, or a late acknowledgement of our own."""
        held = await self.outbox.hold_lanes(self.owner, self.lease_ttl_s)
        states = [(one.epoch, one.next_sequence, one.acknowledged) for one in held if one.tp == lane.tp]
        return states == [(lane.epoch, lane.next_sequence, lane.acknowledged)]


def _mark(lane: Lane) -> tuple[TopicPartition, int, str]:
    """What a check of its tail is good for: a lane in one epoch, of one source."""
    return (lane.tp, lane.epoch, lane.source)
