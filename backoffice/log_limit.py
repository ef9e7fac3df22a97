"""A bound on log lines: whatever is away, however often it is asked for, the log stays readable.

What says the same again and again may say so a few times at once, and then now and then, with the number of lines that
were left out. The same is what has the same `action`, and of a library all that one logger of it says.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

OURS = (20, 30.0)
"""Lines at once, and seconds until there may be another one."""
LIBRARIES = (5, 60.0)


@dataclass(slots=True)
class _Allowance:
    lines: float
    at_s: float
    left_out: int = 0


class LineLimit(logging.Filter):
    """Of a handler. Debug lines are not bounded: who asks for them wants them all."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._allowances: dict[str, _Allowance] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno <= logging.DEBUG:
            return True
        ours = isinstance(record.msg, dict)  # As structlog hands its lines over.
        (most, every_s) = OURS if ours else LIBRARIES
        name = str(record.msg.get("action", record.name)) if isinstance(record.msg, dict) else record.name
        now = self._clock()
        allowance = self._allowances.setdefault(name, _Allowance(most, now))
        allowance.lines = min(most, allowance.lines + (now - allowance.at_s) / every_s)
        allowance.at_s = now
        if allowance.lines < 1:
            allowance.left_out += 1
            return False
        allowance.lines -= 1
        if allowance.left_out:
            _tell(record, allowance.left_out)
            allowance.left_out = 0
        return True


def _tell(record: logging.LogRecord, left_out: int) -> None:
    if isinstance(record.msg, dict):
        record.msg["left_out"] = left_out
    else:
        record.msg = f"{record.getMessage()} ({left_out} lines before this one were left out.)"
        record.args = ()
