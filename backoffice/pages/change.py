"""How much a figure has changed against the compared one: said by an arrow and a word, never by colour alone."""

from __future__ import annotations

from dataclasses import dataclass

Value = int | float | None


@dataclass(frozen=True, slots=True)
class Change:
    arrow: str
    word: str
    percent: str = ""
    """`12.3 %`; empty where there is nothing to take a part of."""

    @property
    def text(self) -> str:
        return " ".join(filter(None, (self.arrow, self.percent, self.word)))


LEAST_PERCENT = 0.05
"""Less would be written as nothing."""

SAME = Change("=", "no change")


def change(now: Value, before: Value) -> Change | None:
    """None where one of them has no value."""
    if now is None or before is None:
        return None
    if now == before:
        return SAME
    (arrow, word) = ("▲", "up") if now > before else ("▼", "down")
    if before == 0:
        return Change(arrow, f"{word} from nothing")
    percent = abs(now - before) / abs(before) * 100
    return Change(arrow, word, "under 0.1 %" if percent < LEAST_PERCENT else f"{percent:,.1f} %")
