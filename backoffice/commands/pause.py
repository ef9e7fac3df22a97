"""`countinghouse pause | resume`: a part of the line held still by whoever sits at the machine."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress

from backoffice.failures import CommandFailed
from backoffice.pause_desk import BadPause, PauseDesk, part_named
from backoffice.problems import sentence
from backoffice.settings import Settings
from backoffice.standing_pauses import standing
from backoffice.stores import Stores
from event_store.connect import file_of, open_shared
from event_store.errors import EventStoreError
from event_store.pauses import LINE, Part, Pause, PauseRefused, Pauses

from .users import at_the_machine


async def pause(settings: Settings, part: str, why: str) -> Pause:
    """Raises CommandFailed."""
    return await _done(settings, part, lambda desk: desk.pause(part, why, at_the_machine()))


async def resume(settings: Settings, part: str) -> Pause:
    """Raises CommandFailed."""
    return await _done(settings, part, lambda desk: desk.resume(part, at_the_machine()))


async def tell_sender(settings: Settings, api: str | None, say: Callable[[str], None]) -> None:
    """Says what is paused, since nothing that was just sent is counted before it goes on.

    Of another shop's `api`, and where the databases are away or elsewhere, nobody here knows.
    """
    files = [file_of(url) for url in (settings.commerce_db_url, settings.backoffice_db_url)]
    if api not in (None, settings.api_url) or not all(file is None or file.is_file() for file in files):
        return
    with suppress(EventStoreError):
        async with Stores(settings) as stores:
            for one in await standing({part: stores.pauses(part) for part in LINE}):
                waits = f"What was sent is kept, and is counted after `countinghouse resume {one.part}`."
                say(f"{one.sentence[:1].upper()}{one.sentence[1:]}. {waits}")


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
