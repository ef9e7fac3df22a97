"""`/dead-letters`: records that could not be counted, by reason and one by one, and what was decided about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler

from backoffice.instants import utc
from backoffice.letter_desk import LetterDesk, LetterRefused
from backoffice.letters_asked import letters_asked, onward_of
from backoffice.problems import sentence
from backoffice.sign_in.access import MOST_FORM_BYTES, needs
from backoffice.sign_in.roles import Role
from backoffice.whole_number import whole_number
from projections.letters import Chosen, LetterCount, Letters, LettersChanged

from .forms import entry_of, fields, page, to
from .frame import WebRequest

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


def routes(letters: Letters, desk: LetterDesk | None) -> Sequence[HTTPRouteHandler]:
    """Without a desk there is nothing but to look."""

    async def shown(query: Mapping[str, str], status_code: int = 200, **told: str) -> Response[Any]:
        asked = letters_asked(query, Chosen.UNDECIDED)
        found = list(await letters.newest(asked, LETTERS_A_PAGE + 1))
        link = _Link({"reason": asked.reason, "topic": asked.topic, "state": asked.chosen})
        onward = onward_of(found, LETTERS_A_PAGE)
        context = {
            "groups": _groups(await letters.counts()),
            "letters": found[:LETTERS_A_PAGE],
            "asked": asked,
            "states": list(Chosen),
            "link": link,
            "onward": link(below=onward) if onward else "",
            "newest": link() if query.get("below") else "",
            "may_act": desk is not None,
            "utc": utc,
            "trouble": "",
            "why": "",
        }
        return page("dead_letters.html", "Dead letters", "/dead-letters", status_code, {**context, **told})

    @get("/dead-letters", include_in_schema=False, opt=needs(Role.VIEWER))
    async def show(request: WebRequest) -> Response[Any]:
        return await shown(request.query_params)

    if desk is None:
        return [show]

    @post("/dead-letters/discard", include_in_schema=False, opt=OPERATORS, request_max_body_size=MOST_FORM_BYTES)
    async def discard(request: WebRequest) -> Response[Any]:
        form = await fields(request)
        (reason, why) = (form.get("reason", ""), form.get("why", ""))
        try:
            count = whole_number(form.get("count", ""), 9, LetterRefused("the count is a whole number"))
            await desk.discard_all(reason, count, why, entry_of(request))
        except LetterRefused as error:
            return await shown({"reason": reason}, 422, trouble=sentence(error), why=why)
        except LettersChanged as error:
            return await shown({"reason": reason}, 409, trouble=f"{sentence(error)} Nothing was discarded.", why=why)
        return to("/dead-letters")

    return [show, discard]


@dataclass(frozen=True, slots=True)
class _Link:
    """The page's URL, with some choices changed."""

    state: Mapping[str, str]

    def __call__(self, **changes: str) -> str:
        chosen = {name: value for name, value in {**self.state, **changes}.items() if value}
        return f"/dead-letters?{urlencode(chosen)}"


def _groups(counts: Sequence[LetterCount]) -> list[Group]:
    """Those with the most to decide first."""
    reasons = dict.fromkeys(one.reason for one in counts)
    groups = [Group(reason, [one for one in counts if one.reason == reason]) for reason in reasons]
    return sorted(groups, key=lambda group: (-group.undecided, group.reason))
