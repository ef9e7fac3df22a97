"""A pause, as its process learns of it, in log lines."""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from event_store.pauses import Part, Pause

from .instants import utc

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class PauseReport:
    """A PauseObserver."""

    part: Part

    def paused(self, pause: Pause) -> None:
        log.warning(
            f"An operator has paused {self.part.work}. It goes on with `countinghouse resume {self.part}`.",
            action=f"{self.part}.paused",
            who=pause.who,
            why=pause.why,
            since=utc(pause.at_us),
        )

    def resumed(self) -> None:
        log.info(f"The pause of {self.part.work} is over.", action=f"{self.part}.resumed")
