"""Named places where a test lets the process die, as a power cut would: no clean-up, no goodbye.

`COUNTINGHOUSE_CRASH_AT=name:n` kills the process with SIGKILL at the n-th passing of `name`; `name:n:pause` stops it
there with SIGSTOP instead, until a SIGCONT. Unset, a passing costs one comparison.
"""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass

VARIABLE = "COUNTINGHOUSE_CRASH_AT"

CRASH_POINTS = (
    "api.before_commit",
    "api.after_commit",
    "relay.after_claim",
    "relay.after_append",
    "relay.after_acknowledge",
    "outbox.before_commit",
    "outbox.after_commit",
    "log.before_commit",
    "log.after_commit",
    "consumer.after_read",
    "consumer.before_commit",
    "consumer.after_commit",
    "consumer.after_memory",
    "rebuild.after_chunk",
    "rebuild.before_switch",
    "rebuild.after_switch",
    "archive.before_seal",
    "archive.after_seal",
    "move.after_records",
    "move.before_commit",
    "move.after_commit",
    "letters.after_decision",
    "letters.after_outbox",
    "topics.after_create",
    "topics.after_read",
    "topics.after_switch",
    "topics.after_drain",
)


@dataclass(slots=True, eq=False)
class CrashPoints:
    name: str | None = None
    remaining: int = 0
    pause: bool = False

    @classmethod
    def from_environment(cls) -> CrashPoints:
        """Raises ValueError for what names no crash point or no passing of one."""
        wanted = os.environ.get(VARIABLE)
        if not wanted:
            return cls()
        (name, count, pause) = (*wanted.split(":", 2), "", "")[:3]
        if name not in CRASH_POINTS:
            raise ValueError(f"{VARIABLE}: {name!r} is none of {', '.join(CRASH_POINTS)}")
        if not (count or "1").isdecimal() or pause not in ("", "pause"):
            raise ValueError(f"{VARIABLE}: must be name, name:n or name:n:pause, not {wanted!r}")
        return cls(name, int(count or 1), pause == "pause")

    def passing(self, name: str) -> None:
        if name != self.name:
            return
        self.remaining -= 1
        if self.remaining == 0:
            os.kill(os.getpid(), signal.SIGSTOP if self.pause else signal.SIGKILL)


NO_CRASH = CrashPoints()
