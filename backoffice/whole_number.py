"""Whole numbers in what others send."""

from __future__ import annotations


def whole_number(text: str, most_digits: int) -> int | None:
    """From 0; None for what is none, or a longer one. Other scripts' digits and signs are none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= most_digits else None
