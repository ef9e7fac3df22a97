"""How long work that comes in small pieces may gather before the next piece of it is done.

A piece costs nearly the same however small it is. So it waits about as long as the last one took: half of the time at
most is lost by waiting, and where work is dear, because a server is far away or the processor is busy, it is done less
often, in larger pieces.
"""

from __future__ import annotations

from dataclasses import dataclass

LEAST_S = 0.005
"""A batch of ten records costs the processor nearly as much as one of two hundred: without it a thousand events a
second keep a core busy, and wait for it."""
MOST_S = 0.015


@dataclass(slots=True)
class GatherTime:
    seconds: float = LEAST_S
    """To wait next."""

    def took(self, seconds: float) -> None:
        """Hears how long the last piece took."""
        self.seconds = min(max(seconds, LEAST_S), MOST_S)
