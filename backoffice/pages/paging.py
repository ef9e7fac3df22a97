"""Long tables in pages of rows, by number, in the URL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

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


def paged(rows: Sequence[T], selection: Selection, size: int) -> tuple[Sequence[T], Pager]:
    """The rows of the chosen page; a number past the end is the last page, since rows come and go."""
    number = min(page_number(selection.more.get("page", "1")), max(1, -(-len(rows) // size)))
    start = (number - 1) * size
    shown = rows[start : start + size]
    return shown, pager_of(selection, start, len(shown), len(rows), size)


def pager_of(selection: Selection, start: int, shown: int, of: int, size: int) -> Pager:
    """Where `shown` rows from number `start` on are shown, of `of`, in pages of `size`; past the end it leads back."""
    number = min(start // size, -(-of // size)) + 1
    earlier = selection.link(page=number - 1 if number > 2 else None) if number > 1 else None
    later = selection.link(page=number + 1) if start + size < of else None
    return Pager(start + 1 if shown else 0, start + shown if shown else 0, of, earlier, later)


def page_number(text: str) -> int:
    """From 1. Raises UnknownPage."""
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text)):
        raise UnknownPage(f"no page {text[:32]!r}; pages are numbered from 1")
    return int(text)
