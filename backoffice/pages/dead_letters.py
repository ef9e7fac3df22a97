"""`/dead-letters`: records that could not be counted, by reason and one by one, and what was decided about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler

from backoffice.instants import instant
from backoffice.letter_desk import LetterDesk, LetterRefused
from backoffice.letters_asked import letters_asked, onward_of
from backoffice.problems import sentence
from backoffice.sign_in.access import MOST_FORM_BYTES, needs
from backoffice.sign_in.roles import Role
from backoffice.whole_number import whole_number
from projections.letters import Chosen, LetterCount, LettersChanged

from .forms import entry_of, fields, to
from .frame import Page, Sources, WebRequest, answer, carried, choice
from .selection import Selection

LETTERS_A_PAGE = 50
OPERATORS = needs(Role.OPERATOR)


@dataclass(frozen=True, slots=True)
class Group:
    """The letters of one reason."""

    reason: str
    topics: Sequence[LetterCount]

    @property
    def undecided(self) -> int:
        return sum(one.undecided for one in self.topics)

    @property
    def discarded(self) -> int:
        return sum(one.discarded for one in self.topics)

    @property
    def redriven(self) -> int:
        return sum(one.redriven for one in self.topics)


def routes(sources: Sources, desk: LetterDesk | None) -> Sequence[HTTPRouteHandler]:
    """Without a desk there is nothing but to look."""
    page = Page(
        "/dead-letters",
        "Dead letters",
        "dead_letters.html",
        partial(_fill, desk is not None),
        choices=("reason", "topic", "state", "below"),
        comparable=False,
        shows_figures=False,
    )

    @get(page.path, include_in_schema=False, opt=needs(Role.VIEWER))
    async def show(request: WebRequest) -> Response[Any]:
        return await answer(page, sources, request)

    if desk is None:
        return [show]

    @post("/dead-letters/discard", include_in_schema=False, opt=OPERATORS, request_max_body_size=MOST_FORM_BYTES)
    async def discard(request: WebRequest) -> Response[Any]:
        form = await fields(request)
        (reason, why) = (form.get("reason", ""), form.get("why", ""))
        told: dict[str, Any] = {"chosen": {"reason": reason}, "why": why}
        try:
            count = whole_number(form.get("count", ""), 9, LetterRefused("the count is a whole number"))
            await desk.discard_all(reason, count, why, entry_of(request))
        except LetterRefused as error:
            return await answer(page, sources, request, 422, **told, trouble=sentence(error))
        except LettersChanged as error:
            trouble = f"{sentence(error)} Nothing was discarded."
            return await answer(page, sources, request, 409, **told, trouble=trouble)
        return to(carried(page, await choice(request, sources, page), page.path))

    return [show, discard]


async def _fill(may_act: bool, sources: Sources, selection: Selection) -> Mapping[str, Any]:
    letters = sources.pipeline.read_model.letters
    asked = letters_asked(selection.more, Chosen.UNDECIDED)
    found = list(await letters.newest(asked, LETTERS_A_PAGE + 1))
    link = partial(selection.link, "/dead-letters")
    onward = onward_of(found, LETTERS_A_PAGE)
    return {
        "groups": _groups(await letters.counts()),
        "letters": found[:LETTERS_A_PAGE],
        "asked": asked,
        "states": list(Chosen),
        "link": link,
        "onward": link(below=onward) if onward else "",
        "newest": link(below=None) if "below" in selection.more else "",
        "may_act": may_act,
        "instant": instant,
        "picker": False,
        "trouble": "",
        "why": "",
    }


def _groups(counts: Sequence[LetterCount]) -> list[Group]:
    """Those with the most to decide first."""
    reasons = dict.fromkeys(one.reason for one in counts)
    groups = [Group(reason, [one for one in counts if one.reason == reason]) for reason in reasons]
    return sorted(groups, key=lambda group: (-group.undecided, group.reason))
