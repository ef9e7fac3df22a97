"""Named places where a test lets the process die, as a power cut would: no clean-up, no goodbye.

`COUNTINGHOUSE_CRASH_AT=name:n` kills the process with SIGKILL at the n-th passing of `name`. Unset, a passing
costs one comparison.
"""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass

CRASH_POINTS = (
    "api.before_commit",
    "api.after_commit",
    "relay.after_claim",
    "relay.after_append",
    "relay.after_acknowledge",
    "log.before_commit",
    "log.after_commit",
    "consumer.after_read",
    "consumer.before_commit",
    "consumer.after_commit",
    "consumer.after_memory",
    "rebuild.after_chunk",
    "rebuild.before_switch",
    "rebuild.after_switch",
)


@dataclass(slots=True, eq=False)
class CrashPoints:
    name: str | None = None
    remaining: int = 0

    @classmethod
    def from_environment(cls) -> CrashPoints:
        """Raises ValueError for a name that is no crash point."""
        wanted = os.environ.get("COUNTINGHOUSE_CRASH_AT")
        if not wanted:
            return cls()
        (name, _, count) = wanted.partition(":")
        if name not in CRASH_POINTS:
            raise ValueError(f"COUNTINGHOUSE_CRASH_AT: {name!r} is none of {', '.join(CRASH_POINTS)}")
        return cls(name, int(count or 1))

    def passing(self, name: str) -> None:
        if name != self.name:
            return
        self.remaining -= 1
        if self.remaining <= 0:
            os.kill(os.getpid(), signal.SIGKILL)


NO_CRASH = CrashPoints()
