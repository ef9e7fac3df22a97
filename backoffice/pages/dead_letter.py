"""`/dead-letter`: one record that could not be counted, as it stands, and what to do about it."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler

from backoffice.instants import utc
from backoffice.letter_desk import LetterDesk, LetterRefused
from backoffice.places import place_named
from backoffice.problems import sentence
from backoffice.recorded import text_of
from backoffice.sign_in.access import MOST_FORM_BYTES, needs
from backoffice.sign_in.roles import Role
from event_store.errors import UndecodableRecord
from event_store.record import MAX_RECORD_BYTES, TopicPartition
from projections.letters import LetterDecided, Letters, NoSuchLetter
from projections.periods import QuestionError

from .dead_letters import OPERATORS
from .forms import entry_of, fields, page, to
from .frame import WebRequest

MOST_EDITED_BYTES = 4 * MAX_RECORD_BYTES
"""Of a form with an event: each byte of it may take three."""
EDITORS = needs(Role.OPERATOR, most_form_bytes=MOST_EDITED_BYTES)

Answer = Awaitable[Response[Any]]


class UnknownLetter(QuestionError):
    """The serving generation has no dead letter at that place."""


def routes(letters: Letters, desk: LetterDesk | None) -> Sequence[HTTPRouteHandler]:
    """Without a desk there is nothing but to look."""

    async def shown(tp: TopicPartition, offset: int, status_code: int = 200, **told: Any) -> Response[Any]:
        letter = await letters.one(tp, offset)
        if letter is None:
            raise UnknownLetter(f"no dead letter at {tp.topic[:64]}/{tp.partition}, offset {offset}")
        raw = text_of(letter.dead.raw)
        context = {
            "letter": letter,
            "raw": raw,
            "record": f"/record?{_query(tp, offset)}",
            "may_act": desk is not None,
            "is_readable": desk is not None and desk.can_be_read(letter),
            "utc": utc,
            "trouble": "",
            "why": "",
            "text": raw,
            "additions": None,
            "previewed": "",
        }
        title = f"Dead letter {tp}, offset {offset:,}"
        return page("dead_letter.html", title, "/dead-letters", status_code, {**context, **told})

    @get("/dead-letter", include_in_schema=False, opt=needs(Role.VIEWER))
    async def show(request: WebRequest) -> Response[Any]:
        return await shown(*place_named(request.query_params))

    return [show] if desk is None else [show, *_acts(desk, shown)]


def _acts(desk: LetterDesk, shown: Callable[..., Answer]) -> Sequence[HTTPRouteHandler]:
    @post("/dead-letter/discard", include_in_schema=False, opt=OPERATORS, request_max_body_size=MOST_FORM_BYTES)
    async def discard(request: WebRequest) -> Response[Any]:
        form = await fields(request)
        (tp, offset) = place_named(form)
        why = form.get("why", "")
        return await _done(tp, offset, shown, desk.discard(tp, offset, why, entry_of(request)), why=why)

    @post("/dead-letter/send", include_in_schema=False, opt=OPERATORS, request_max_body_size=MOST_FORM_BYTES)
    async def send(request: WebRequest) -> Response[Any]:
        (tp, offset) = place_named(await fields(request))
        return await _done(tp, offset, shown, desk.send(tp, offset, entry_of(request)))

    @post("/dead-letter/preview", include_in_schema=False, opt=EDITORS, request_max_body_size=MOST_EDITED_BYTES)
    async def preview(request: WebRequest) -> Response[Any]:
        return await _previewed(desk, shown, await fields(request))

    @post("/dead-letter/redrive", include_in_schema=False, opt=EDITORS, request_max_body_size=MOST_EDITED_BYTES)
    async def redrive(request: WebRequest) -> Response[Any]:
        form = await fields(request)
        (tp, offset) = place_named(form)
        (text, why) = (form.get("text", ""), form.get("why", ""))
        if form.get("previewed") != _seen(text):
            return await _previewed(desk, shown, form, "This text is another one than was shown: look at it first.")
        told = {"text": text, "why": why}
        return await _done(tp, offset, shown, desk.redrive(tp, offset, text, why, entry_of(request)), **told)

    return [discard, send, preview, redrive]


async def _done(
    tp: TopicPartition, offset: int, shown: Callable[..., Answer], act: Awaitable[None], **told: Any
) -> Response[Any]:
    """The letter's page anew once the act is done."""

    async def done() -> Response[Any]:
        await act
        return to(f"/dead-letter?{_query(tp, offset)}")

    return await _or_trouble(done(), tp, offset, shown, **told)


async def _previewed(
    desk: LetterDesk, shown: Callable[..., Answer], form: Mapping[str, str], trouble: str = ""
) -> Response[Any]:
    """What the text would add, to be confirmed."""
    (tp, offset) = place_named(form)
    told = {"text": form.get("text", ""), "why": form.get("why", "")}

    async def previewed() -> Response[Any]:
        additions = desk.corrected(await desk.undecided(tp, offset), told["text"]).additions
        seen = {"trouble": trouble, "previewed": _seen(told["text"])}
        return await shown(tp, offset, 409 if trouble else 200, additions=additions, **told, **seen)

    return await _or_trouble(previewed(), tp, offset, shown, **told)


async def _or_trouble(
    answer: Answer, tp: TopicPartition, offset: int, shown: Callable[..., Answer], **told: Any
) -> Response[Any]:
    """Where it can't be: the letter's page with the trouble and what was typed. Raises UnknownLetter."""
    try:
        return await answer
    except (LetterRefused, UndecodableRecord) as error:
        return await shown(tp, offset, 422, trouble=sentence(error), **told)
    except LetterDecided as error:
        return await shown(tp, offset, 409, trouble=sentence(error), **told)
    except NoSuchLetter as error:
        raise UnknownLetter(str(error)) from error


def _seen(text: str) -> str:
    """What tells a text from every other; how its lines end makes none of it."""
    return hashlib.sha256("\n".join(text.splitlines()).encode("utf-8", "replace")).hexdigest()


def _query(tp: TopicPartition, offset: int) -> str:
    place: Mapping[str, object] = {"topic": tp.topic, "partition": tp.partition, "offset": offset}
    return urlencode(place)
