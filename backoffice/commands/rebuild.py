"""`countinghouse rebuild`: a new generation of figures from offset zero, compared, and switched if equal.

Who began it, and what came of it, is in the audit of the back office; who began it and why is in the generation's
note as well.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Any, BinaryIO, Protocol, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from backoffice.rebuild_lines import Begun, Ended, Line, Outcome, Progressed, compared, written
from backoffice.rebuild_order import Order
from backoffice.settings import Settings, process_name
from backoffice.sign_in.desk import opened_audit
from backoffice.stores import Stores
from event_store.audit import Audit
from event_store.backoff import dropped, first_of
from event_store.crash_points import CrashPoints
from event_store.errors import EventStoreError
from event_store.pause_watch import PauseObserver, PauseWatch
from event_store.pauses import Part, Pause
from projections.catalogue import PROJECTIONS
from projections.comparison import Comparison
from projections.pace import Pace
from projections.rebuild import Rebuild, RebuildObserver, RebuildRefused, Rebuilt

SAY_EVERY_S = 5.0
"""How often progress is said where there is no terminal to draw a bar on."""
LINE_EVERY_S = 0.2
"""And how often to a program."""

T = TypeVar("T")


class RunObserver(RebuildObserver, PauseObserver, Protocol):
    """Hears of a rebuild and of its pauses."""


class Cancelled(EventStoreError):
    """Somebody had it ended."""


async def carried_out(
    settings: Settings, order: Order, observer: RunObserver, stop: asyncio.Event, *, tells_of_cancel: bool = True
) -> Rebuilt:
    """Raises Cancelled where `stop` is set before it has switched, and what a rebuild raises.

    `tells_of_cancel` is False where whoever sets `stop` has it in the audit already.
    """
    watched = _Switched(observer)
    async with (
        Stores(settings, CrashPoints.from_environment()) as stores,
        opened_audit(settings.backoffice_db_url) as audit,
    ):
        pause = stores.pause_watch(Part.REBUILD, observer)
        job = _job(stores, settings, watched, order, pause)
        serving = await job.read_model.serving()
        await audit.record(order.started())
        try:
            async with pause.watched():
                done = await _unless(stop, _work(job, order))
        except EventStoreError as error:
            if watched.generation is None:
                await _tell_of_failure(audit, order, error)
                raise
            done = None
        if done is None and watched.generation is None:
            if tells_of_cancel:
                await audit.record(order.cancelled(order.entry, order.note))
            raise Cancelled("It was cancelled: nothing was switched, and what it had counted is dropped.")
        done = done or Rebuilt(watched.generation or serving, serving, 0, None)
        await audit.record(order.switched(done.generation, done.replaced))
        return done


def _work(job: Rebuild, order: Order) -> Coroutine[Any, Any, Rebuilt]:
    if order.is_rollback:
        return job.roll_back(order.signed_note)
    return job.run(order.signed_note, order.accept_differences)


async def _unless(stop: asyncio.Event, work: Coroutine[Any, Any, T]) -> T | None:
    """Its result; None where it was cancelled. What it raises is raised."""
    working = asyncio.ensure_future(work)
    try:
        await first_of(stop.wait(), asyncio.wait([working]))
    finally:
        await dropped([working])
    return None if working.cancelled() else working.result()


async def _tell_of_failure(audit: Audit, order: Order, error: EventStoreError) -> None:
    outcome = Outcome.REFUSED if isinstance(error, RebuildRefused) else Outcome.FAILED
    await audit.record(order.failed(outcome, str(error).splitlines()[0]))


def _job(stores: Stores, settings: Settings, observer: RebuildObserver, order: Order, pause: PauseWatch) -> Rebuild:
    return Rebuild(
        stores.read_model(),
        stores.history(),
        stores.leases(),
        PROJECTIONS,
        partial(stores.projector, serving=False),
        observer,
        owner=process_name("rebuild"),
        keep_retired=settings.generations_kept,
        crash_points=stores.crash_points,
        lease_ttl_s=settings.lease_ttl_s,
        pace=Pace(order.records_per_s, pause=pause),
    )


@dataclass(slots=True)
class _Switched:
    """A RebuildObserver that hands everything on, and knows afterwards whether there was a switch."""

    observer: RebuildObserver
    generation: int | None = None

    def begun(self, generation: int) -> None:
        self.observer.begun(generation)

    def progressed(self, counted: int, total: int) -> None:
        self.observer.progressed(counted, total)

    def compared(self, comparison: Comparison) -> None:
        self.observer.compared(comparison)

    def switched(self, generation: int) -> None:
        self.generation = generation
        self.observer.switched(generation)


class ShownProgress:
    """A RebuildObserver that draws a bar with the time left, or says a line now and then where nobody could see one."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        self._said_at_s = clock()
        self._started_s = clock()
        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=console
        )
        self._task: TaskID | None = None

    def begun(self, generation: int) -> None:
        """The command's last line names it."""

    def progressed(self, counted: int, total: int) -> None:
        if self._console.is_terminal:
            if self._task is None:
                self._task = self._bar.add_task("Counting", total=total)
                self._bar.start()
            self._bar.update(self._task, completed=counted, total=total)
        elif self._clock() - self._said_at_s >= SAY_EVERY_S:
            self._said_at_s = self._clock()
            self._console.print(f"{counted} of {total} records counted, {self._left_s(counted, total):.0f} s left")

    def compared(self, comparison: Comparison) -> None:
        self.end()
        records = sum(comparison.positions.values())
        outcome = "all equal" if comparison.equal else f"{comparison.differing} differences"
        self._console.print(f"Compared {comparison.rows_compared} rows at the same {records} records: {outcome}.")

    def switched(self, generation: int) -> None:
        """The command itself says so, with what it replaced."""

    def paused(self, pause: Pause) -> None:
        self._console.print(f"{pause.who} has paused rebuilding: {pause.why}. See `countinghouse resume rebuild`.")

    def resumed(self) -> None:
        self._console.print("The pause is over.")

    def end(self) -> None:
        """Leaves the terminal as it was."""
        if self._task is not None:
            self._bar.stop()

    def _left_s(self, counted: int, total: int) -> float:
        return (self._clock() - self._started_s) / max(1, counted) * (total - counted)


class ReportedProgress:
    """A RebuildObserver that says everything as lines of JSON (see rebuild_lines.py)."""

    def __init__(self, stream: BinaryIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._said_at_s = clock() - LINE_EVERY_S
        self._unsaid: Progressed | None = None

    def begun(self, generation: int) -> None:
        self._say(Begun(generation))

    def progressed(self, counted: int, total: int) -> None:
        self._unsaid = Progressed(counted, total)
        if self._clock() - self._said_at_s >= LINE_EVERY_S:
            self._said_at_s = self._clock()
            self._say_progress()

    def compared(self, comparison: Comparison) -> None:
        self._say_progress()
        self._say(compared(comparison))

    def switched(self, generation: int) -> None:
        """The last line says so, with what it replaced."""
        self._say_progress()

    def paused(self, pause: Pause) -> None:
        """The status says so, to whoever reads these lines, too."""

    def resumed(self) -> None:
        """Progress says so."""

    def ended(self, done: Rebuilt) -> None:
        self._say(Ended(Outcome.SWITCHED, done.generation, done.replaced, done.records))

    def failed(self, error: EventStoreError) -> None:
        outcome = Outcome.FAILED
        if isinstance(error, RebuildRefused):
            outcome = Outcome.REFUSED
        elif isinstance(error, Cancelled):
            outcome = Outcome.CANCELLED
        self._say(Ended(outcome, error=str(error).splitlines()[0]))

    def _say_progress(self) -> None:
        if self._unsaid is not None:
            self._say(self._unsaid)
            self._unsaid = None

    def _say(self, line: Line) -> None:
        self._stream.write(written(line))
        self._stream.flush()
