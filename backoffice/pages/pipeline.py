"""The pipeline: outbox → log → consumer → figures, what is on its way in each, and what can't go on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from backoffice.pipeline_status import PipelineStatus
from backoffice.reason import MOST_REASON
from event_store.pauses import LINE
from projections.completeness import LATE_AFTER_S

from .frame import Page, Sources
from .selection import Selection
from .trend import trend_of


async def _fill(sources: Sources, _: Selection) -> Mapping[str, Any]:
    status = await sources.pipeline.status()
    filled = {"status": status, "stamp": status.completeness, "picker": False}
    trend = trend_of(sources.pipeline.trend.minutes(status.asked_at))
    return {**filled, "trend": trend, **_summed(status), **_held(status)}


def _summed(status: PipelineStatus) -> dict[str, Any]:
    sent = [lane.sent_per_s for lane in status.lanes if lane.sent_per_s is not None]
    arrived = [one.arrived_per_s for one in status.partitions if one.arrived_per_s is not None]
    counted = [one.counted_per_s for one in status.partitions if one.counted_per_s is not None]
    lags = [one.lag_s for one in status.partitions if one.lag_s is not None]
    return {
        "sent": sum(lane.sent for lane in status.lanes),
        "failed": sum(lane.failed for lane in status.lanes),
        "failing": any(lane.failures for lane in status.lanes),
        "oldest_waiting_s": max((lane.oldest_waiting_s for lane in status.lanes), default=0.0),
        "records": sum(one.log_end - one.log_begin for one in status.partitions),
        "lag_s": max(lags, default=0.0),
        "duplicates": sum(one.duplicates for one in status.partitions),
        "dead": sum(one.dead for one in status.partitions),
        "holes": [(one, hole) for one in status.partitions for hole in one.holes],
        "rebalances": sum(one.rebalances for one in status.partitions),
        "sent_per_s": sum(sent) if sent else None,
        "arrived_per_s": sum(arrived) if arrived else None,
        "counted_per_s": sum(counted) if counted else None,
        "late_after_s": LATE_AFTER_S,
    }


def _held(status: PipelineStatus) -> dict[str, Any]:
    """What can be paused, and what is; `trouble` and `why` are of a form that couldn't be carried out."""
    paused = {one.part: one for one in status.paused}
    parts = [(part, paused.get(part)) for part in LINE]
    return {"parts": parts, "held": paused.keys(), "trouble": "", "why": "", "longest": MOST_REASON}


PIPELINE = Page("/pipeline", "Pipeline", "pipeline.html", _fill, shows_figures=False)
