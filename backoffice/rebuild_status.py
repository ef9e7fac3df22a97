"""Where the figures are being rebuilt, and how it came out: what the page `/rebuild` and `/api/rebuild` show."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

from event_store.lease import owners_of
from event_store.pauses import Part
from projections.read_model import State
from projections.rebuild import served_before
from projections.rebuild_lease import LEASE

from .instants import instant, instant_or_none
from .pipeline import Pipeline
from .pipeline_status import CompletenessStamp, GenerationStatus, PauseStatus, PipelineStatus
from .rebuild_lines import Compared, Outcome
from .rebuilds import Rebuilds, Run
from .standing_pauses import pause_of


class RunStatus(Struct, frozen=True):
    kind: Annotated[str, Meta(description="rebuild or rollback")]
    state: Annotated[str, Meta(description="running, cancelling, switched, refused, failed or cancelled")]
    process: Annotated[str, Meta(description="who holds the lease, where it wasn't started by this dashboard")]
    who: str
    note: str
    started_at: datetime | None
    ended_at: datetime | None
    generation: Annotated[int | None, Meta(description="the one being built, or the one that serves now")]
    counted: int | None
    total: Annotated[int | None, Meta(description="records to count, as far as is known")]
    records_per_s: float | None
    left_s: float | None
    limit_records_per_s: float | None
    accepted: Annotated[str | None, Meta(description="why differences are accepted, where they are")]
    comparison: Compared | None
    error: Annotated[str, Meta(description="what stopped it")]

    @property
    def is_running(self) -> bool:
        return self.state in ("running", "cancelling")

    @property
    def ratio(self) -> float | None:
        return min(1.0, self.counted / self.total) if self.total and self.counted is not None else None


class RebuildStatus(Struct, frozen=True):
    asked_at: datetime
    completeness: CompletenessStamp
    generations: list[GenerationStatus]
    run: Annotated[RunStatus | None, Meta(description="the one under way, or the last that this dashboard started")]
    left_behind: Annotated[int | None, Meta(description="a generation whose rebuild died; the next rebuild empties it")]
    earlier: Annotated[int | None, Meta(description="the generation that a rollback would let serve again")]
    paused: Annotated[PauseStatus | None, Meta(description="who holds rebuilds still, those to come, too")] = None


async def rebuild_status(pipeline: Pipeline, rebuilds: Rebuilds) -> RebuildStatus:
    holder = owners_of(await pipeline.leases.holdings(LEASE)).get(LEASE)
    status = await pipeline.status()
    building = next((one for one in status.generations if one.state == State.BUILDING), None)
    before = served_before(await pipeline.read_model.generations())
    run = None if rebuilds.last is None else _own(rebuilds.last)
    if holder and not rebuilds.running:
        run = _elsewhere(holder, building, status)
    is_left = building is not None and not holder and not rebuilds.running
    return RebuildStatus(
        asked_at=status.asked_at,
        completeness=status.completeness,
        generations=status.generations,
        run=run,
        left_behind=building.number if building and is_left else None,
        earlier=before[0].number if before else None,
        paused=await pause_of(pipeline.pauses, Part.REBUILD),
    )


def _own(run: Run) -> RunStatus:
    (progress, ended, order) = (run.progress, run.ended, run.order)
    is_running = run.ended_at_us is None
    return RunStatus(
        kind="rollback" if order.is_rollback else "rebuild",
        state=_state(run),
        process="",
        who=order.entry.who,
        note=order.note,
        started_at=instant(run.started_at_us),
        ended_at=instant_or_none(run.ended_at_us),
        generation=(ended.generation if ended else None) or run.generation,
        counted=progress.counted if progress else None,
        total=progress.total if progress else None,
        records_per_s=_rounded(run.records_per_s),
        left_s=_left_s(progress.counted, progress.total, run.records_per_s) if progress and is_running else None,
        limit_records_per_s=order.records_per_s,
        accepted=order.accept_differences,
        comparison=run.compared,
        error=ended.error if ended and not is_running else "",
    )


def _state(run: Run) -> str:
    if run.ended_at_us is None:
        return "cancelling" if run.cancelled_by else "running"
    return (run.ended.outcome if run.ended else Outcome.FAILED).value


def _elsewhere(holder: str, building: GenerationStatus | None, status: PipelineStatus) -> RunStatus:
    """As far as the figures' database tells of it. Nothing being built, it is a rollback."""
    total = sum(one.log_end for one in status.partitions) if building else None
    ratio = building.counted_ratio if building else None
    counted = round(ratio * total) if ratio is not None and total else None
    took_s = (status.asked_at - building.created_at).total_seconds() if building else 0.0
    rate = counted / took_s if counted and took_s > 0 else None
    return RunStatus(
        kind="rebuild" if building else "rollback",
        state="running",
        process=holder,
        who="",
        note=building.note if building else "",
        started_at=building.created_at if building else None,
        ended_at=None,
        generation=building.number if building else None,
        counted=counted,
        total=total,
        records_per_s=_rounded(rate),
        left_s=_left_s(counted, total, rate),
        limit_records_per_s=None,
        accepted=None,
        comparison=None,
        error="",
    )


def _left_s(counted: int | None, total: int | None, records_per_s: float | None) -> float | None:
    if counted is None or total is None or not records_per_s:
        return None
    return _rounded(max(0, total - counted) / records_per_s)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)
