"""Backpressure: when the relay falls far behind, writes that only feed metrics are turned away; orders never are."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import structlog

from event_store.pauses import Pause

from .commerce import Backlog, Commerce
from .refusals import OUTBOX_BACKLOG, Refused

RETRY_AFTER_S = 5

log = structlog.get_logger()


async def _never_paused() -> None:
    return None


@dataclass(slots=True)
class Backpressure:
    """Looked at with every view, so it only remembers what `refresh` last saw."""

    max_rows: int = 100_000
    max_age_s: float = 60.0
    """How old the oldest unsent event may be."""
    look: Callable[[], Awaitable[Pause | None]] = _never_paused
    """Whether an operator holds the relay still: then what waits may grow as old as it likes, but not as much."""
    backlog: Backlog = field(default_factory=lambda: Backlog(0, 0.0))
    _is_paused: bool = False
    _reason: str | None = None

    async def refresh(self, commerce: Commerce) -> None:
        self.backlog = await commerce.backlog()
        self._is_paused = await self.look() is not None
        before = self._reason
        self._reason = self._too_much()
        if (before is None) != (self._reason is None):
            text = (
                f"Views, likes and events are turned away: {self._reason}." if self._reason else "They are taken again."
            )
            log.warning(text, action="backpressure", on=self._reason is not None)

    def _too_much(self) -> str | None:
        if self.backlog.rows > self.max_rows:
            return f"{self.backlog.rows} events wait to be sent; the most is {self.max_rows}"
        if self.backlog.oldest_s > self.max_age_s and not self._is_paused:
            return f"the oldest unsent event waits for {self.backlog.oldest_s:.0f} s; the most is {self.max_age_s:g} s"
        return None

    def check(self) -> None:
        """Raises Refused while too much waits."""
        if self._reason is not None:
            hint = "An operator has paused the relay." if self._is_paused else "Is the relay running?"
            raise Refused(OUTBOX_BACKLOG, f"{self._reason}. {hint}", retry_after_s=RETRY_AFTER_S)
