"""The line of a course, small enough for a card or a row of a table."""

from __future__ import annotations

from collections.abc import Sequence

WIDTH = 100
HEIGHT = 24
MOST_POINTS = 200
"""Beyond so many values a point is the sum of several of them."""


def sparkline(values: Sequence[float]) -> str:
    """Points of a line in a box of 100 by 24 with zero in it; empty where there is nothing to see."""
    a_point = -(-len(values) // MOST_POINTS)
    points = [sum(values[at : at + a_point]) for at in range(0, len(values), max(1, a_point))]
    (low, high) = (min(0, *points, 0), max(0, *points, 0))
    if len(points) < 2 or low == high:
        return ""
    step = WIDTH / (len(points) - 1)
    return " ".join(
        f"{index * step:.1f},{HEIGHT - 1 - (HEIGHT - 2) * (value - low) / (high - low):.1f}"
        for index, value in enumerate(points)
    )
