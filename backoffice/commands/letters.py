"""`countinghouse letters`: what an operator does about records that could not be counted, at the machine."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import msgspec
from rich.table import Table
from rich.text import Text

from backoffice.api.dead_letters import shown_letter
from backoffice.correction import Correction
from backoffice.failures import CommandFailed
from backoffice.instants import utc
from backoffice.letter_desk import LetterDesk, LetterRefused
from backoffice.letters_asked import letters_asked
from backoffice.places import place_named
from backoffice.problems import sentence
from backoffice.settings import Settings
from backoffice.sign_in.desk import BACKOFFICE, opened_office
from backoffice.stores import Stores
from event_store.audit import now_us
from event_store.crash_points import CrashPoints
from event_store.errors import UndecodableRecord
from event_store.record import TopicPartition
from projections.letters import Chosen, Letter, LetterDecided, LettersChanged, NoSuchLetter
from projections.periods import QuestionError

from .users import at_the_machine

T = TypeVar("T")


async def newest(settings: Settings, reason: str, state: str, most: int) -> Sequence[Letter]:
    """Raises QuestionError."""
    asked = letters_asked({"reason": reason, "state": state}, Chosen.UNDECIDED)
    async with Stores(settings) as stores:
        return await stores.read_model().letters.newest(asked, most)


def letters_table(letters: Sequence[Letter]) -> Table:
    table = Table("in the log since", "place", "reason", "state", "detail")
    for one in letters:
        place = f"{one.dead.tp}/{one.dead.offset}"
        table.add_row(utc(one.dead.appended_at_us), place, one.dead.reason, one.state, Text(one.dead.detail))
    return table


def letters_json(letters: Sequence[Letter]) -> str:
    return msgspec.json.format(msgspec.json.encode([shown_letter(one) for one in letters])).decode()


async def discard(settings: Settings, place: str, why: str) -> None:
    """Raises CommandFailed."""
    (tp, offset) = place_of(place)
    await _done(settings, lambda desk: desk.discard(tp, offset, why, at_the_machine()))


async def discard_all(settings: Settings, reason: str, count: int, why: str) -> None:
    """Raises CommandFailed."""
    await _done(settings, lambda desk: desk.discard_all(reason, count, why, at_the_machine()))


async def preview(settings: Settings, place: str, file: Path) -> Correction:
    """What the event in the file would add. Raises CommandFailed."""
    (tp, offset) = place_of(place)
    text = _text_of(file)

    async def look(desk: LetterDesk) -> Correction:
        return desk.corrected(await desk.undecided(tp, offset), text)

    return await _done(settings, look)


def additions_table(correction: Correction) -> Table:
    table = Table("product", "figure", "quarter of an hour", "adds")
    for one in correction.additions:
        table.add_row(Text(one.product_id), one.title, one.quarter, one.shown)
    return table


async def redrive(settings: Settings, place: str, file: Path, why: str) -> None:
    """Raises CommandFailed."""
    (tp, offset) = place_of(place)
    text = _text_of(file)
    await _done(settings, lambda desk: desk.redrive(tp, offset, text, why, at_the_machine()))


async def send(settings: Settings, place: str) -> None:
    """Raises CommandFailed."""
    (tp, offset) = place_of(place)
    await _done(settings, lambda desk: desk.send(tp, offset, at_the_machine()))


def place_of(text: str) -> tuple[TopicPartition, int]:
    """`order-events/0/12`. Raises CommandFailed."""
    (topic, partition, offset, *more) = [*text.split("/"), "", ""]
    try:
        if any(more):
            raise QuestionError
        return place_named({"topic": topic, "partition": partition, "offset": offset})
    except QuestionError as error:
        raise CommandFailed(f"{text[:80]!r} is no place; write it as order-events/0/12.", 2) from error


async def _done(settings: Settings, act: Callable[[LetterDesk], Awaitable[T]]) -> T:
    refused = (LetterRefused, UndecodableRecord, NoSuchLetter, LetterDecided, LettersChanged)
    async with _desk(settings) as desk:
        try:
            return await act(desk)
        except refused as error:
            raise CommandFailed(sentence(error), 2) from error


@asynccontextmanager
async def _desk(settings: Settings) -> AsyncIterator[LetterDesk]:
    points = CrashPoints.from_environment()
    async with Stores(settings) as stores, opened_office(settings) as office:
        letters = stores.read_model().letters
        yield LetterDesk(letters, office.audits[BACKOFFICE], stores.outbox(), stores.codec, now_us, points)


def _text_of(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise CommandFailed(f"{file}: {error.strerror}.", 2) from error
