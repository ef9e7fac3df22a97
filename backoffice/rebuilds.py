"""The rebuilds and rollbacks that a dashboard starts: one at a time, each a process of its own.

A rebuild takes a processor for minutes, which the dashboard's event loop can't give. So the dashboard starts
`countinghouse rebuild --json` of the same interpreter and settings, keeps what it says for the page, and has it ended
when it ends itself. What the process can't tell the audit any more, because it was killed, is told here.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import structlog

from event_store.audit import Audit, Entry, now_us
from event_store.errors import EventStoreError
from event_store.lease import Leases, owners_of
from projections.read_model import Generation, ReadModel, State
from projections.rebuild_lease import LEASE, RebuildRunning

from .problems import sentence
from .rebuild_lines import Begun, Compared, Ended, Line, Outcome, Progressed
from .rebuild_order import Order
from .rebuild_process import RebuildProcess
from .settings import process_name

AGAIN = "Nothing was switched, and what it had counted is dropped. Start it again."

log = structlog.get_logger()


class NothingRuns(EventStoreError):
    """Nothing that could be cancelled from here."""


class NotStarted(EventStoreError):
    """The machine has no room for another process."""


@dataclass(slots=True)
class Run:
    """One of them, from its start to its end and after."""

    order: Order
    process: RebuildProcess
    serving: int
    """The generation that served when it began."""
    started_at_us: int
    generation: int | None = None
    progress: Progressed | None = None
    first_progress: tuple[float, int] | None = None
    """(seconds of a steady clock, records)"""
    last_progress_s: float = 0.0
    compared: Compared | None = None
    cancelled_by: str = ""
    ended: Ended | None = None
    ended_at_us: int | None = None

    @property
    def is_refused(self) -> bool:
        return self.ended is not None and self.ended.outcome is Outcome.REFUSED

    def hears(self, line: Line, now_s: float) -> None:
        if isinstance(line, Begun):
            self.generation = line.generation
        elif isinstance(line, Progressed):
            self.first_progress = self.first_progress or (now_s, line.counted)
            (self.progress, self.last_progress_s) = (line, now_s)
        elif isinstance(line, Compared):
            self.compared = line
        else:
            self.ended = line

    @property
    def records_per_s(self) -> float | None:
        """None until there are two moments to measure between."""
        if self.progress is None or self.first_progress is None:
            return None
        (first_s, first) = self.first_progress
        took_s = self.last_progress_s - first_s
        return (self.progress.counted - first) / took_s if took_s > 0 else None


@dataclass(slots=True)
class Rebuilds:
    command: Sequence[str]
    """That carries an order out, but for the order's own options."""
    read_model: ReadModel
    leases: Leases
    audit: Audit
    grace_s: float
    """How long a process may take to end by itself."""
    clock: Callable[[], float] = time.monotonic
    now_us: Callable[[], int] = now_us
    last: Run | None = None
    """The one under way, or the one that ended last."""
    _starting: asyncio.Lock = field(default_factory=asyncio.Lock)
    _following: asyncio.Task[None] | None = None
    _ending: asyncio.Task[None] | None = None

    @property
    def running(self) -> Run | None:
        return self.last if self._following is not None and not self._following.done() else None

    async def start(self, order: Order) -> None:
        """Raises RebuildRunning where one is under way, here or elsewhere, and NotStarted."""
        async with self._starting:
            holder = owners_of(await self.leases.holdings(LEASE)).get(LEASE)
            if self.running or holder:
                raise RebuildRunning(f"a rebuild or rollback is running ({holder or 'from this dashboard'})")
            serving = await self.read_model.serving()
            process = await _started([*self.command, *order.options])
            self.last = Run(order, process, serving, self.now_us())
            self._ending = None
            self._following = asyncio.create_task(self._follow(self.last))

    async def cancel(self, entry: Entry, why: str = "") -> None:
        """Returns when its process was told to end; `last` says when it has. Raises NothingRuns."""
        run = self.running
        if run is None or run.ended is not None:
            raise NothingRuns("no rebuild of this dashboard is running: nothing was cancelled")
        if run.cancelled_by:
            return
        run.cancelled_by = entry.who
        try:
            await self.audit.record(run.order.cancelled(entry, why))
        except EventStoreError:
            run.cancelled_by = ""
            raise
        self._end(run)

    async def close(self) -> None:
        """Leaves no process behind."""
        async with self._starting:
            run = self.running
            if run is None or self._following is None:
                return
            with suppress(EventStoreError):
                await self.cancel(run.order.entry, "the dashboard was stopped")
            await asyncio.wait([self._end(run), self._following])

    def _end(self, run: Run) -> asyncio.Task[None]:
        """Once: at a second signal it would leave everything as it is."""
        if self._ending is None:
            self._ending = asyncio.create_task(run.process.end(self.grace_s))
        return self._ending

    async def _follow(self, run: Run) -> None:
        try:
            async for line in run.process.lines():
                run.hears(line, self.clock())
            run.ended = await self._settled(run)
        except EventStoreError as error:
            run.ended = run.ended or Ended(Outcome.FAILED, error=f"{_unreported(run)} {sentence(error)}")
        finally:
            run.ended_at_us = self.now_us()
        (outcome, error_text) = (run.ended.outcome, run.ended.error)
        log.info(f"A rebuild ended: {outcome}. {error_text}", action="rebuild.ended", outcome=outcome)

    async def _settled(self, run: Run) -> Ended:
        """How it came out, whatever it said; its generation and its lease hold up nobody then."""
        await self._tidy(run)
        serving = await self._serving()
        has_switched = serving.number != run.serving and serving.note.startswith(run.order.signed_note)
        if run.ended is not None and (run.ended.outcome is Outcome.SWITCHED or not has_switched):
            return run.ended
        if has_switched:
            await self.audit.record(run.order.switched(serving.number, run.serving))
            return Ended(Outcome.SWITCHED, serving.number, run.serving)
        if run.cancelled_by:
            return Ended(Outcome.CANCELLED, error="It was cancelled: nothing was switched.")
        await self.audit.record(run.order.failed(Outcome.FAILED, _unreported(run)))
        return Ended(Outcome.FAILED, error=f"{_unreported(run)} {AGAIN}")

    async def _tidy(self, run: Run) -> None:
        """What the process would have done itself, had it come to it. It is dead, so nothing of it comes after."""
        owner = process_name("rebuild", run.process.pid)
        building = [one for one in await self.read_model.generations() if one.state is State.BUILDING]
        held = owners_of(await self.leases.holdings(LEASE)).get(LEASE) == owner
        why = f"cancelled by {run.cancelled_by}" if run.cancelled_by else "its process died"
        for one in building:
            if held or one.number == run.generation:
                await self.read_model.abandon(one.number, f"{run.order.signed_note}: {why}")
        if run.cancelled_by and run.generation is not None:
            await self._sign(run.generation, f"{run.order.signed_note}: {why}")
        if held:
            await self.leases.release(owner)

    async def _sign(self, generation: int, note: str) -> None:
        """The process didn't know who had it ended."""
        states = {one.number: one.state for one in await self.read_model.generations()}
        if states.get(generation) is State.ABANDONED:
            await self.read_model.abandon(generation, note)

    async def _serving(self) -> Generation:
        (serving,) = [one for one in await self.read_model.generations() if one.state is State.SERVING]
        return serving


async def _started(command: Sequence[str]) -> RebuildProcess:
    try:
        return await RebuildProcess.start(command)
    except OSError as error:
        raise NotStarted(f"the process that rebuilds can't be started: {error.strerror or error}") from error


def _unreported(run: Run) -> str:
    said = f" It said what is no report: {run.process.garbage}" if run.process.garbage else ""
    return f"Its process {run.process.how_it_ended} before it said how it came out.{said}"
