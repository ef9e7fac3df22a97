"""`/dead-letter`: one record that could not be counted, as it stands, and what to do about it."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler

from backoffice.instants import instant
from backoffice.letter_desk import LetterDesk, LetterRefused
from backoffice.places import place_named
from backoffice.problems import sentence
from backoffice.recorded import text_of
from backoffice.sign_in.access import MOST_FORM_BYTES, needs
from backoffice.sign_in.roles import Role
from event_store.errors import UndecodableRecord
from event_store.record import MAX_RECORD_BYTES, TopicPartition
from projections.letters import LetterDecided, NoSuchLetter
from projections.periods import QuestionError

from .dead_letters import OPERATORS
from .forms import entry_of, fields, to
from .frame import Page, Sources, WebRequest, answer, carried, choice
from .selection import Selection

MOST_EDITED_BYTES = 4 * MAX_RECORD_BYTES
"""Of a form with an event: each byte of it may take three."""
EDITORS = needs(Role.OPERATOR, most_form_bytes=MOST_EDITED_BYTES)

Answer = Awaitable[Response[Any]]


class UnknownLetter(QuestionError):
    """The serving generation has no dead letter at that place."""


def routes(sources: Sources, desk: LetterDesk | None) -> Sequence[HTTPRouteHandler]:
    """Without a desk there is nothing but to look."""
    page = Page(
        "/dead-letter",
        "Dead letter",
        "dead_letter.html",
        partial(_fill, desk),
        choices=("topic", "partition", "offset"),
        under="/dead-letters",
        comparable=False,
        shows_figures=False,
    )

    @get(page.path, include_in_schema=False, opt=needs(Role.VIEWER))
    async def show(request: WebRequest) -> Response[Any]:
        return await answer(page, sources, request)

    return [show] if desk is None else [show, *_acts(desk, partial(_Asked, page, sources))]


async def _fill(desk: LetterDesk | None, sources: Sources, selection: Selection) -> Mapping[str, Any]:
    """Raises UnknownLetter."""
    (tp, offset) = place_named(selection.more)
    letter = await sources.pipeline.read_model.letters.one(tp, offset)
    if letter is None:
        raise UnknownLetter(f"no dead letter at {tp.topic[:64]}/{tp.partition}, offset {offset}")
    raw = text_of(letter.dead.raw)
    return {
        "title": f"Dead letter {tp}, offset {offset:,}",
        "letter": letter,
        "raw": raw,
        "may_act": desk is not None,
        "is_readable": desk is not None and desk.can_be_read(letter),
        "instant": instant,
        "picker": False,
        "trouble": "",
        "why": "",
        "text": raw,
        "additions": None,
        "previewed": "",
    }


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request about one letter, and what it is answered with."""

    page: Page
    sources: Sources
    request: WebRequest

    async def shown(self, tp: TopicPartition, offset: int, status_code: int = 200, **told: Any) -> Response[Any]:
        chosen = {name: str(value) for name, value in _place(tp, offset).items()}
        return await answer(self.page, self.sources, self.request, status_code, chosen=chosen, **told)

    async def led_back(self, tp: TopicPartition, offset: int) -> Response[Any]:
        selection = await choice(self.request, self.sources, self.page)
        return to(carried(self.page, selection, self.page.path, **_place(tp, offset)))


def _acts(desk: LetterDesk, asked_by: Callable[[WebRequest], _Asked]) -> Sequence[HTTPRouteHandler]:
    @post("/dead-letter/discard", include_in_schema=False, opt=OPERATORS, request_max_body_size=MOST_FORM_BYTES)
    async def discard(request: WebRequest) -> Response[Any]:
        form = await fields(request)
        (tp, offset) = place_named(form)
        why = form.get("why", "")
        return await _done(tp, offset, asked_by(request), desk.discard(tp, offset, why, entry_of(request)), why=why)

    @post("/dead-letter/send", include_in_schema=False, opt=OPERATORS, request_max_body_size=MOST_FORM_BYTES)
    async def send(request: WebRequest) -> Response[Any]:
        (tp, offset) = place_named(await fields(request))
        return await _done(tp, offset, asked_by(request), desk.send(tp, offset, entry_of(request)))

    @post("/dead-letter/preview", include_in_schema=False, opt=EDITORS, request_max_body_size=MOST_EDITED_BYTES)
    async def preview(request: WebRequest) -> Response[Any]:
        return await _previewed(desk, asked_by(request), await fields(request))

    @post("/dead-letter/redrive", include_in_schema=False, opt=EDITORS, request_max_body_size=MOST_EDITED_BYTES)
    async def redrive(request: WebRequest) -> Response[Any]:
        form = await fields(request)
        (tp, offset) = place_named(form)
        (text, why) = (form.get("text", ""), form.get("why", ""))
        asked = asked_by(request)
        if form.get("previewed") != _seen(text):
            return await _previewed(desk, asked, form, "This text is another one than was shown: look at it first.")
        told = {"text": text, "why": why}
        return await _done(tp, offset, asked, desk.redrive(tp, offset, text, why, entry_of(request)), **told)

    return [discard, send, preview, redrive]


async def _done(tp: TopicPartition, offset: int, asked: _Asked, act: Awaitable[None], **told: Any) -> Response[Any]:
    """The letter's page anew once the act is done."""

    async def done() -> Response[Any]:
        await act
        return await asked.led_back(tp, offset)

    return await _or_trouble(done(), tp, offset, asked, **told)


async def _previewed(desk: LetterDesk, asked: _Asked, form: Mapping[str, str], trouble: str = "") -> Response[Any]:
    """What the text would add, to be confirmed."""
    (tp, offset) = place_named(form)
    told = {"text": form.get("text", ""), "why": form.get("why", "")}

    async def previewed() -> Response[Any]:
        additions = desk.corrected(await desk.undecided(tp, offset), told["text"]).additions
        seen = {"trouble": trouble, "previewed": _seen(told["text"])}
        return await asked.shown(tp, offset, 409 if trouble else 200, additions=additions, **told, **seen)

    return await _or_trouble(previewed(), tp, offset, asked, **told)


async def _or_trouble(answered: Answer, tp: TopicPartition, offset: int, asked: _Asked, **told: Any) -> Response[Any]:
    """Where it can't be: the letter's page with the trouble and what was typed. Raises UnknownLetter."""
    try:
        return await answered
    except (LetterRefused, UndecodableRecord) as error:
        return await asked.shown(tp, offset, 422, trouble=sentence(error), **told)
    except LetterDecided as error:
        return await asked.shown(tp, offset, 409, trouble=sentence(error), **told)
    except NoSuchLetter as error:
        raise UnknownLetter(str(error)) from error


def _seen(text: str) -> str:
    """What tells a text from every other; how its lines end makes none of it."""
    return hashlib.sha256("\n".join(text.splitlines()).encode("utf-8", "replace")).hexdigest()


def _place(tp: TopicPartition, offset: int) -> Mapping[str, object]:
    return {"topic": tp.topic, "partition": tp.partition, "offset": offset}
