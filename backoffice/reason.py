"""The reason that an operator gives for an act, as one line."""

from __future__ import annotations

MOST_REASON = 500


def reason_given(text: str, refusal: type[ValueError]) -> str:
    """Raises a `refusal` for none, and for what is none."""
    words = " ".join(text.split())
    if not 0 < len(words) <= MOST_REASON or not words.isprintable():
        raise refusal(f"say why, in 1 to {MOST_REASON} characters")
    return words
