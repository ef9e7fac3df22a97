"""Why the figures are late or not whole, in sentences that say where and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from event_store.pauses import Part
from projections.completeness import LATE_AFTER_S

from .pipeline_status import CountedPartition, LaneStatus, PartitionStatus, PipelineStatus, StatusWithoutLog

MOST_NAMED = 3
"""Lanes or partitions that a sentence names; of more it says how many."""


def reasons(status: PipelineStatus) -> list[str]:
    """None where the figures are in step."""
    return [*(f"{one.sentence}." for one in status.paused), *remarks(status)]


def remarks(status: PipelineStatus | StatusWithoutLog) -> list[str]:
    """The reasons but for pauses, which stand with who paused and since when beside every number."""
    return [
        *_failing(status.lanes),
        *(line for one in status.partitions for line in _broken(one)),
        *(delays(status) if isinstance(status, PipelineStatus) else ()),
    ]


def _failing(lanes: Sequence[LaneStatus]) -> list[str]:
    return [
        f"lane {one.topic}/{one.partition} failed {one.failures} times: {one.error}"
        for one in lanes
        if one.failures and one.error
    ]


def _broken(one: PartitionStatus | CountedPartition) -> list[str]:
    """What somebody must look at before it goes on, or is whole."""
    place = f"{one.topic}/{one.partition}"
    found = []
    if isinstance(one, PartitionStatus) and one.log_changed:
        found.append(f"{place}: the log has {one.log_begin} to {one.log_end}, the position is {one.position}")
    if one.stopped is not None:
        found.append(f"{place} is stopped: {one.stopped}")
    found += [
        f"{place}: the log has not shown {hole.first_sequence} to {hole.last_sequence} of {hole.source}"
        for hole in one.holes
    ]
    return found


def delays(status: PipelineStatus) -> list[str]:
    """Of what nobody holds still and nothing refuses, and which waits too long all the same."""
    paused = {one.part for one in status.paused}
    lanes = [one for one in status.lanes if one.waiting and not one.failures and one.oldest_waiting_s > LATE_AFTER_S]
    partitions = [one for one in status.partitions if one.stopped is None and (one.lag_s or 0.0) > LATE_AFTER_S]
    return [
        *([] if Part.RELAY in paused else _told("relay", "sent to", [_unsent(one) for one in lanes])),
        *([] if Part.CONSUMER in paused else _told("consumer", "counted in", [_uncounted(one) for one in partitions])),
    ]


@dataclass(frozen=True, slots=True)
class _Late:
    """Events that wait too long in one lane or one partition."""

    place: str
    events: int
    oldest_s: float
    worker: str | None
    moved_per_s: float | None
    came_per_s: float | None


def _unsent(one: LaneStatus) -> _Late:
    return _Late(f"{one.topic}/{one.partition}", one.waiting, one.oldest_waiting_s, one.owner, one.sent_per_s, None)


def _uncounted(one: PartitionStatus) -> _Late:
    rates = (one.counted_per_s, one.arrived_per_s)
    return _Late(f"{one.topic}/{one.partition}", one.lag_events, one.lag_s or 0.0, one.consumer, *rates)


def _told(worker: str, done: str, late: Sequence[_Late]) -> list[str]:
    nobodys = [one for one in late if one.worker is None]
    held = [one for one in late if one.worker is not None]
    found = []
    if nobodys:
        found.append(f"{_waiting(done, nobodys)} and no {worker} has them. Start one: countinghouse {worker}")
    if held:
        found.append(f"{_waiting(done, held)} though {worker}s are at work{_pace(held)}")
    return found


def _waiting(done: str, late: Sequence[_Late]) -> str:
    events = sum(one.events for one in late)
    wait = "1 event waits" if events == 1 else f"{events:,} events wait"
    return f"{wait} to be {done} {_named(late)}, the oldest for {max(one.oldest_s for one in late):,.0f} s,"


def _named(late: Sequence[_Late]) -> str:
    names = sorted({one.place for one in late})
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _pace(late: Sequence[_Late]) -> str:
    """How fast they move, and how fast more comes, as far as that was measured."""
    (moved, came) = ([one.moved_per_s for one in late], [one.came_per_s for one in late])
    told = f", {sum(one or 0.0 for one in moved):,.1f} events/s of late" if set(moved) != {None} else ""
    return told + (f", while {sum(one or 0.0 for one in came):,.1f} came" if set(came) != {None} else "")
