"""What is paused, as the status has it."""

from __future__ import annotations

from collections.abc import Mapping

from event_store.pauses import Part, Pauses

from .instants import instant
from .pipeline_status import PauseStatus


async def standing(pauses: Mapping[Part, Pauses]) -> list[PauseStatus]:
    found = [await of.paused(part) for part, of in pauses.items()]
    return [PauseStatus(one.part, instant(one.at_us), one.who, one.why) for one in found if one is not None]
