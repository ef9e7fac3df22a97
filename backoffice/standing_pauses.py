"""What is paused, as the status has it."""

from __future__ import annotations

from collections.abc import Mapping

from event_store.pauses import LINE, Part, Pauses

from .instants import instant
from .pipeline_status import PauseStatus


async def standing(pauses: Mapping[Part, Pauses]) -> list[PauseStatus]:
    """Of the line, which figures come late by."""
    found = [await pause_of(pauses, part) for part in LINE]
    return [one for one in found if one is not None]


async def pause_of(pauses: Mapping[Part, Pauses], part: Part) -> PauseStatus | None:
    one = await pauses[part].paused(part) if part in pauses else None
    return None if one is None else PauseStatus(one.part, instant(one.at_us), one.who, one.why)
