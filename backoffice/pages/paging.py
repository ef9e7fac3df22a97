"""Long tables in pages of rows, by number, in the URL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from backoffice.whole_number import whole_number
from projections.periods import QuestionError

from .selection import Selection

T = TypeVar("T")


class UnknownPage(QuestionError):
    """A page's number is a whole number from 1."""


@dataclass(frozen=True, slots=True)
class Pager:
    first: int
    last: int
    of: int
    earlier: str | None
    """The link to the page before, None on the first."""
    later: str | None
    beyond: int = 0
    """The number that was asked for, where there is no such page."""


def paged(rows: Sequence[T], selection: Selection, size: int) -> tuple[Sequence[T], Pager]:
    """The rows of the chosen page; a number past the end is the last page, since rows come and go."""
    asked = page_number(selection.more.get("page", "1"))
    number = min(asked, max(1, -(-len(rows) // size)))
    start = (number - 1) * size
    shown = rows[start : start + size]
    pager = pager_of(selection, start, len(shown), len(rows), size)
    return shown, replace(pager, beyond=asked if asked > number else 0)


def pager_of(selection: Selection, start: int, shown: int, of: int, size: int) -> Pager:
    """Where `shown` rows from number `start` on are shown, of `of`, in pages of `size`; past the end it leads back."""
    last = max(1, -(-of // size))
    asked = start // size + 1
    number = min(asked, last + 1)
    earlier = selection.link(page=number - 1 if number > 2 else None) if number > 1 else None
    later = selection.link(page=number + 1) if start + size < of else None
    first = start + 1 if shown else 0
    return Pager(first, start + shown if shown else 0, of, earlier, later, asked if asked > last else 0)


def page_number(text: str) -> int:
    """From 1. Raises UnknownPage."""
    trouble = UnknownPage(f"no page {text[:32]!r}; pages are numbered from 1")
    if not (number := whole_number(text, 9, trouble)):
        raise trouble
    return number
