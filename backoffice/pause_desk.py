"""What an operator does about pauses, for the page, the API and the command line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from event_store.audit import Entry
from event_store.pauses import Part, Pause, Pauses

from .reason import reason_given


class BadPause(ValueError):
    """What was asked for names no part, or no reason. The message says which."""


@dataclass(frozen=True, slots=True)
class PauseDesk:
    pauses: Mapping[Part, Pauses]

    async def pause(self, part: str, why: str, entry: Entry) -> Pause:
        """`entry` says who. Raises BadPause and PauseRefused."""
        named = part_named(part)
        return await self.pauses[named].pause(named, replace(entry, reason=reason_given(why, BadPause)))

    async def resume(self, part: str, entry: Entry) -> Pause:
        """What ended by it. `entry` says who. Raises BadPause and PauseRefused."""
        named = part_named(part)
        return await self.pauses[named].resume(named, entry)


def part_named(text: str) -> Part:
    """Raises BadPause."""
    try:
        return Part(text)
    except ValueError:
        raise BadPause(f"{text[:32]!r} is none of {', '.join(Part)}") from None
