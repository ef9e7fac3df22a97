"""Why the figures are late or not whole, in sentences that say where and what to do."""

from __future__ import annotations

from collections.abc import Sequence

from event_store.pauses import Part
from projections.completeness import LATE_AFTER_S

from .pipeline_status import CountedPartition, LaneStatus, PartitionStatus, PipelineStatus

MOST_NAMED = 3
"""Lanes or partitions that a sentence names; of more it says how many."""


def reasons(status: PipelineStatus) -> list[str]:
    """None where the figures are in step."""
    return [
        *(f"{one.sentence}." for one in status.paused),
        *failing(status.lanes),
        *(line for one in status.partitions for line in broken(one)),
        *delays(status),
    ]


def failing(lanes: Sequence[LaneStatus]) -> list[str]:
    return [
        f"lane {one.topic}/{one.partition} failed {one.failures} times: {one.error}"
        for one in lanes
        if one.failures and one.error
    ]


def broken(one: PartitionStatus | CountedPartition) -> list[str]:
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
        *([] if Part.RELAY in paused else _unsent(lanes)),
        *([] if Part.CONSUMER in paused else _uncounted(partitions)),
    ]


def _unsent(late: Sequence[LaneStatus]) -> list[str]:
    found = []
    if nobodys := [one for one in late if one.owner is None]:
        found.append(f"{_waiting(nobodys)} and no relay has them. Start one: countinghouse relay")
    if held := [one for one in late if one.owner is not None]:
        rates = [one.sent_per_s for one in held if one.sent_per_s is not None]
        pace = f", {sum(rates):,.1f} events/s of late" if rates else ""
        found.append(f"{_waiting(held)} though relays are at work{pace}")
    return found


def _waiting(lanes: Sequence[LaneStatus]) -> str:
    (events, oldest_s) = (sum(one.waiting for one in lanes), max(one.oldest_waiting_s for one in lanes))
    return f"{_counted(events)} to be sent to {_named(lanes)}, the oldest for {oldest_s:,.0f} s,"


def _uncounted(late: Sequence[PartitionStatus]) -> list[str]:
    found = []
    if nobodys := [one for one in late if one.consumer is None]:
        found.append(f"{_lagging(nobodys)} and no consumer has them. Start one: countinghouse consumer")
    if held := [one for one in late if one.consumer is not None]:
        counted = [one.counted_per_s for one in held if one.counted_per_s is not None]
        arrived = [one.arrived_per_s for one in held if one.arrived_per_s is not None]
        pace = f", {sum(counted):,.1f} events/s of late, while {sum(arrived):,.1f} came" if counted else ""
        found.append(f"{_lagging(held)} though consumers are at work{pace}")
    return found


def _lagging(partitions: Sequence[PartitionStatus]) -> str:
    (events, oldest_s) = (sum(one.lag_events for one in partitions), max(one.lag_s or 0.0 for one in partitions))
    return f"{_counted(events)} to be counted in {_named(partitions)}, the oldest for {oldest_s:,.0f} s,"


def _counted(events: int) -> str:
    return "1 event waits" if events == 1 else f"{events:,} events wait"


def _named(places: Sequence[LaneStatus | PartitionStatus]) -> str:
    names = sorted({f"{one.topic}/{one.partition}" for one in places})
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
