"""`countinghouse rebuild`: a new generation of figures from offset zero, compared, and switched if equal."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from backoffice.settings import Settings, process_name
from backoffice.stores import Stores
from event_store.crash_points import CrashPoints
from projections.catalogue import PROJECTIONS
from projections.comparison import Comparison
from projections.rebuild import Rebuild, RebuildObserver, Rebuilt

SAY_EVERY_S = 5.0
"""How often progress is said where there is no terminal to draw a bar on."""


async def rebuild(
    settings: Settings, observer: RebuildObserver, note: str, accept_differences: str | None = None
) -> Rebuilt:
    async with Stores(settings, CrashPoints.from_environment()) as stores:
        return await _job(stores, settings, observer).run(note, accept_differences)


async def roll_back(settings: Settings, observer: RebuildObserver, note: str) -> Rebuilt:
    async with Stores(settings, CrashPoints.from_environment()) as stores:
        return await _job(stores, settings, observer).roll_back(note)


def _job(stores: Stores, settings: Settings, observer: RebuildObserver) -> Rebuild:
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
    )


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

    def end(self) -> None:
        """Leaves the terminal as it was."""
        if self._task is not None:
            self._bar.stop()

    def _left_s(self, counted: int, total: int) -> float:
        return (self._clock() - self._started_s) / max(1, counted) * (total - counted)
