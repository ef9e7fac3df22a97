"""Throughput: how fast records move, from looks at where they stood.

Positions only say how far counting has come. So whoever looks remembers his looks of the last minute, and compares
with the oldest; one who looks once can't tell.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from event_store.record import TopicPartition

WINDOW_S = 60.0
APART_S = 1.0
"""Looks that are closer together are not all remembered: many readers may look at once."""
LEAST_S = 0.1
"""Over less than this a rate would be noise."""

Numbers = Mapping[TopicPartition, int]


@dataclass(frozen=True, slots=True)
class Look:
    """Numbers that only grow, at one moment."""

    at: datetime
    generation: int
    """Whose positions these are."""
    sent: Numbers
    ends: Numbers
    positions: Numbers


@dataclass(frozen=True, slots=True)
class Rates:
    """Per second, between two looks. A number that fell, or wasn't there, has no rate: its log or lane is another."""

    over_s: float
    before: Look
    now: Look

    def sent(self, tp: TopicPartition) -> float | None:
        return self._rate(self.before.sent, self.now.sent, tp)

    def arrived(self, tp: TopicPartition) -> float | None:
        return self._rate(self.before.ends, self.now.ends, tp)

    def counted(self, tp: TopicPartition) -> float | None:
        if self.before.generation != self.now.generation:
            return None
        return self._rate(self.before.positions, self.now.positions, tp)

    def _rate(self, before: Numbers, now: Numbers, tp: TopicPartition) -> float | None:
        if tp not in before or tp not in now or now[tp] < before[tp]:
            return None
        return round((now[tp] - before[tp]) / self.over_s, 2)


@dataclass(slots=True)
class Throughput:
    """The looks of one process."""

    _looks: deque[Look] = field(default_factory=deque)

    def compared(self, now: Look) -> Rates | None:
        """With the oldest look of the last minute; None where there is none yet. Remembers this one."""
        self._looks = deque(one for one in self._looks if 0 <= _between_s(one, now) <= WINDOW_S)
        if not self._looks or _between_s(self._looks[-1], now) >= APART_S:
            self._looks.append(now)
        over_s = _between_s(self._looks[0], now)
        return Rates(over_s, self._looks[0], now) if over_s >= LEAST_S else None


def _between_s(before: Look, now: Look) -> float:
    return (now.at - before.at).total_seconds()
