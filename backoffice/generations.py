"""The generations of the figures, and the one that is being built, as the status has them."""

from __future__ import annotations

from event_store.lease import Leases, owners_of
from projections.read_model import Generation, ReadModel, State
from projections.rebuild_lease import LEASE

from .instants import instant, instant_or_none
from .pipeline_status import GenerationStatus, RebuildUnderWay


async def generation_statuses(read_model: ReadModel, records: int | None) -> list[GenerationStatus]:
    """`records` is how many the log has had, in all partitions; None where nobody knows."""
    return [
        GenerationStatus(
            one.number,
            one.state.value,
            instant(one.created_at_us),
            instant_or_none(one.served_at_us),
            one.note,
            await _counted_ratio(read_model, one, records),
        )
        for one in await read_model.generations()
    ]


async def rebuild_under_way(leases: Leases, read_model: ReadModel, records: int) -> RebuildUnderWay | None:
    """Of any process. One read of the leases says that none is, which is so nearly always."""
    if LEASE not in owners_of(await leases.holdings(LEASE)):
        return None
    building = next((one for one in await read_model.generations() if one.state is State.BUILDING), None)
    if building is None:
        return RebuildUnderWay()
    ratio = await _counted_ratio(read_model, building, records)
    return RebuildUnderWay(building.number, instant(building.created_at_us), ratio)


async def _counted_ratio(read_model: ReadModel, one: Generation, records: int | None) -> float | None:
    if one.state is not State.BUILDING or records is None:
        return None
    counted = sum(progress.next_offset for progress in await read_model.progress(one.number))
    return round(min(1.0, counted / records), 4) if records else 0.0
