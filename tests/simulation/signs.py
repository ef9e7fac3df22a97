"""The pauses of every database of the simulated world, and an operator who forgets none of them for long."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from event_store.pause_watch import PauseWatch
from event_store.pauses import Pause


@dataclass(slots=True)
class Signs:
    """By the part and its place: `relay of shop 1`."""

    held: dict[str, Pause] = field(default_factory=dict)

    async def paused(self, part: str) -> Pause | None:
        return self.held.get(part)

    def put_up(self, part: str) -> None:
        self.held.setdefault(part, Pause(part, "operator", "simulated", 0))

    def take_down(self, part: str) -> None:
        self.held.pop(part, None)


class ClaimsUnpaused:
    """An outbox as a relay reaches it, who claims nothing once it knows of a pause."""

    def __init__(self, outbox: Any, pause: PauseWatch) -> None:
        self._outbox = outbox
        self._pause = pause

    def __getattr__(self, name: str) -> Any:
        is_claim = name in {"claim", "advance"}
        assert not (is_claim and self._pause.is_paused), "rows are claimed although the relay is paused"
        return getattr(self._outbox, name)
