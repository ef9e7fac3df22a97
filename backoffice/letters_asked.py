"""Lists of dead letters, as URLs ask for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from projections.letters import BEYOND_ALL, Chosen, Letter, LetterMark, LettersAsked
from projections.periods import QuestionError

from .places import BadPlace
from .whole_number import whole_number

MOST_TEXT = 100


class UnknownState(QuestionError):
    """No letter is in such a state."""


def letters_asked(asked: Mapping[str, str], chosen: Chosen) -> LettersAsked:
    """`chosen` is for who doesn't say. Raises UnknownState and BadPlace."""
    state = asked.get("state") or chosen
    if state not in list(Chosen):
        raise UnknownState(f"no state {state[:32]!r}; there are {', '.join(Chosen)}")
    below = asked.get("below")
    (reason, topic) = (asked.get(name, "")[:MOST_TEXT] for name in ("reason", "topic"))
    return LettersAsked(reason, topic, Chosen(state), mark_named(below) if below else BEYOND_ALL)


def onward_of(letters: Sequence[Letter], most: int) -> str | None:
    """Where the list goes on after these, which were asked for `most` and one more; None where it ends."""
    if len(letters) <= most:
        return None
    (at_us, topic, number, offset) = letters[most - 1].mark
    return f"{at_us}:{topic}:{number}:{offset}"


def mark_named(text: str) -> LetterMark:
    """Raises BadPlace."""
    trouble = BadPlace(f"{text[:48]!r} is no place to go on from; begin the list again")
    (at_us, topic, number, offset, *more) = [*text.split(":", 4), "", "", ""]
    if any(more) or not topic:
        raise trouble
    return (
        whole_number(at_us, 18, trouble),
        topic[:MOST_TEXT],
        whole_number(number, 9, trouble),
        whole_number(offset, 18, trouble),
    )
