"""`countinghouse drain`: waits until everything accepted is counted."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from backoffice.failures import CommandFailed
from backoffice.pipeline import Pipeline
from backoffice.pipeline_status import PauseStatus, PipelineStatus
from event_store.errors import TransientError
from event_store.pauses import Part

POLL_S = 0.25
"""The longest between two looks; a commit of the consumer is looked at as soon as it is seen."""


@dataclass(frozen=True, slots=True)
class Drained:
    """How it ended."""

    status: PipelineStatus

    @property
    def complete(self) -> bool:
        return self.status.is_drained

    @property
    def exit_code(self) -> int:
        return 0 if self.complete else 1


async def drain(
    pipeline: Pipeline,
    timeout_s: float | None = None,
    show: Callable[[PipelineStatus], None] = lambda _: None,
    hindered: Callable[[str], None] = lambda _: None,
    clock: Callable[[], float] = time.monotonic,
) -> Drained:
    """Returns as soon as all that was accepted before one look is counted, or after `timeout_s` with what is left.

    Dead rows and dead letters don't hold it up; `remarks` names them. A server that is away is waited for, and
    `hindered` is told so once. Raises CommandFailed if it still is after `timeout_s`, and at once where somebody
    paused the way of what is left.
    """
    deadline = None if timeout_s is None else clock() + timeout_s
    looks = _Looks(pipeline, show, hindered)
    while True:
        status = await looks.look()
        left_s = POLL_S if deadline is None else deadline - clock()
        if status is not None and (status.is_drained or left_s <= 0):
            return Drained(status)
        if status is not None and (pauses := in_the_way(status)):
            raise CommandFailed(f"Not everything is counted, and can't be: {pauses[0].sentence}.", 1)
        if left_s <= 0:
            raise CommandFailed(f"Nobody can say whether everything is counted. {looks.trouble}", 1)
        await pipeline.read_model.wait_for_news(min(POLL_S, left_s))


@dataclass(slots=True)
class _Looks:
    pipeline: Pipeline
    show: Callable[[PipelineStatus], None]
    hindered: Callable[[str], None]
    trouble: str = ""
    """What the last look failed at."""

    async def look(self) -> PipelineStatus | None:
        try:
            status = await self.pipeline.status()
        except TransientError as error:
            if not self.trouble:
                self.hindered(str(error))
            self.trouble = str(error)
            return None
        self.trouble = ""
        self.show(status)
        return status


def in_the_way(status: PipelineStatus) -> list[PauseStatus]:
    """The pauses that something still to be counted would have to pass."""
    return [one for one in status.paused if one.part == Part.CONSUMER or status.waiting_rows]


def progress_line(status: PipelineStatus) -> str:
    return (
        f"{status.completeness.offset} counted, {status.waiting_rows} in the outbox, {status.lag_events} in the log "
        "waiting to be counted"
    )


def remarks(drained: Drained) -> list[str]:
    """What an operator must know: what is left, and what never will be counted as it is."""
    status = drained.status
    lines = [] if drained.complete else ["Not everything is counted:", *_left(status)]
    lines += [
        f"  lane {lane.topic}/{lane.partition}: {lane.dead} dead, which the log will never take"
        for lane in status.lanes
        if lane.dead
    ]
    lines += [
        f"  partition {one.topic}/{one.partition} is stopped: {one.stopped}" for one in status.partitions if one.stopped
    ]
    dead_letters = sum(one.dead for one in status.partitions)
    if dead_letters:
        lines.append(f"  {dead_letters} dead letters are kept and not counted; see `countinghouse status`")
    return lines


def _left(status: PipelineStatus) -> list[str]:
    lanes = [
        f"  lane {one.topic}/{one.partition}: {one.ready} ready, {one.claimed} claimed, {one.failed} failed"
        + (f" ({one.error})" if one.failures and one.error else "")
        + ("" if one.owner else "; no relay holds it")
        for one in status.lanes
        if one.waiting
    ]
    partitions = [
        f"  partition {one.topic}/{one.partition}: position {one.position} of {one.log_end}, {one.lag_events} to count"
        for one in status.partitions
        if one.lag_events
    ]
    return [*lanes, *partitions]
