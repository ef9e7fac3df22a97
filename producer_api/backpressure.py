"""Backpressure: when the relay falls far behind, writes that only feed metrics are turned away; orders never are."""

from __future__ import annotations

from dataclasses import dataclass, field

from .commerce import Backlog, Commerce
from .refusals import OUTBOX_BACKLOG, Refused

RETRY_AFTER_S = 5


@dataclass(slots=True)
class Backpressure:
    """Looked at with every view, so it only remembers what `refresh` last saw."""

    max_rows: int = 100_000
    max_age_s: float = 60.0
    """How old the oldest unsent event may be."""
    backlog: Backlog = field(default_factory=lambda: Backlog(0, 0.0))
    _reason: str | None = None

    async def refresh(self, commerce: Commerce) -> None:
        self.backlog = await commerce.backlog()
        self._reason = None
        if self.backlog.rows > self.max_rows:
            self._reason = f"{self.backlog.rows} events wait; the most is {self.max_rows}"
        elif self.backlog.oldest_s > self.max_age_s:
            self._reason = f"the oldest event waits for {self.backlog.oldest_s:.0f} s; the most is {self.max_age_s:g} s"

    def check(self) -> None:
        """Raises Refused while too much waits."""
        if self._reason is not None:
            raise Refused(OUTBOX_BACKLOG, f"{self._reason}. Is the relay running?", retry_after_s=RETRY_AFTER_S)
