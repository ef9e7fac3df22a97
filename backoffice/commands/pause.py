"""`countinghouse pause | resume`: a part of the line held still by whoever sits at the machine."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from backoffice.failures import CommandFailed
from backoffice.pause_desk import BadPause, PauseDesk, part_named
from backoffice.problems import sentence
from backoffice.settings import Settings
from event_store.connect import open_shared
from event_store.pauses import Part, Pause, PauseRefused, Pauses

from .users import at_the_machine


async def pause(settings: Settings, part: str, why: str) -> Pause:
    """Raises CommandFailed."""
    return await _done(settings, part, lambda desk: desk.pause(part, why, at_the_machine()))


async def resume(settings: Settings, part: str) -> Pause:
    """Raises CommandFailed."""
    return await _done(settings, part, lambda desk: desk.resume(part, at_the_machine()))


async def _done(settings: Settings, part: str, act: Callable[[PauseDesk], Awaitable[Pause]]) -> Pause:
    try:
        named = part_named(part)
        transactions = open_shared(settings.commerce_db_url if named is Part.RELAY else settings.backoffice_db_url)
        try:
            return await act(PauseDesk({named: Pauses(transactions)}))
        finally:
            await transactions.close()
    except (BadPause, PauseRefused) as error:
        raise CommandFailed(sentence(error), 2) from error
