"""Whole numbers in what others send."""

from __future__ import annotations


def whole_number(text: str, most_digits: int, trouble: Exception) -> int:
    """From 0. Raises `trouble` for anything else; other scripts' digits are no number, nor is a longer one."""
    if not (text.isascii() and text.isdigit() and len(text) <= most_digits):
        raise trouble
    return int(text)
