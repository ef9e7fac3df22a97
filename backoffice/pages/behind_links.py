"""Where the numbers of a page lead: to the events behind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlencode

from markupsafe import Markup, escape

from .selection import Selection
from .shown import Cell

_LEFT_OUT = dict.fromkeys(["page", "q", "sort", "dir", "compare"])
_OF_ALL: Mapping[str, str] = {}


@dataclass(slots=True)
class BehindLinks:
    """Of one page, which has thousands of them that differ in a few words.

    So what they share is written once, and here instead of in a template, where each would be a call of a macro:
    together that takes a third of the time of a table of a year.
    """

    selection: Selection
    _stems: dict[tuple[str, str, bool, tuple[str, ...]], str] = field(default_factory=dict)

    def number(self, cell: Cell, where: Mapping[str, str] = _OF_ALL, *, compared: bool = False) -> Markup:
        """A figure as a link to the events behind it, or behind the one it is compared with. `where` is its row."""
        return Markup(self._link(cell, tuple(where), _place(where), compared))  # noqa: S704 - all of it was escaped

    def cells(self, cells: Sequence[Cell], where: Mapping[str, str] = _OF_ALL) -> Markup:
        """Figures of one row, as cells of a table."""
        (names, place) = (tuple(where), _place(where))
        written = [
            f'<td class="n{" negative" if cell.negative else ""}">{self._link(cell, names, place, False)}</td>'
            for cell in cells
        ]
        return Markup("".join(written))  # noqa: S704 - all of it was escaped

    def _link(self, cell: Cell, names: tuple[str, ...], place: str, compared: bool) -> str:
        shared = (cell.metric, cell.currency, compared, names)
        stem = self._stems.get(shared)
        if stem is None:
            stem = self._stems[shared] = _html(self._stem(*shared))
        return f'<a class="behind" href="{stem}{place}">{_html(cell.text)}</a>'

    def _stem(self, metric: str, currency: str, compared: bool, names: Sequence[str]) -> str:
        step = {"interval": self.selection.interval if "at" in names else None}
        days = self.selection.compared_state if compared else {}
        changes = {**_LEFT_OUT, **step, **days, "metric": metric, "currency": currency, **dict.fromkeys(names)}
        return self.selection.link("/behind", **changes)


def _place(where: Mapping[str, str]) -> str:
    return _html("".join(f"&{urlencode([one])}" for one in where.items()))


def _html(text: str) -> str:
    """Escaped, as a plain string: Markup escapes what is put together with it once more, and looks at each piece."""
    return str(escape(text))
