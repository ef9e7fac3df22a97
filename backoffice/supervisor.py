"""The supervisor: keeps a set of child processes running, and leaves none behind.

Each child's standard input is a pipe whose other end only the supervisor holds. However the supervisor dies, the
pipe ends, and the child stops by itself (see serve.py). Children are in process groups of their own, so a Ctrl-C in
the terminal reaches the supervisor alone, and each child gets exactly one SIGTERM.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from .settings import SUPERVISED

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 5.0
"""A process that dies again and again is started at least this often."""
STEADY_S = 10.0
"""A process that lived this long starts again at the first pause when it dies."""

CLEAN_ENDS = (0, -signal.SIGTERM)
"""The second is of a process that was still starting, and had nothing to finish."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Child:
    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    """Beside the supervisor's own."""


class Supervisor:
    """Runs `children` until it is told to stop."""

    def __init__(self, children: Sequence[Child], *, grace_s: float) -> None:
        self._children = children
        self._grace_s = grace_s

    async def run(self, stop: asyncio.Event) -> bool:
        """Returns when all children have ended after `stop`: True if each did so by itself, False if one was killed."""
        keepers = [asyncio.create_task(self._keep(child, stop), name=child.name) for child in self._children]
        return all(await asyncio.gather(*keepers))

    async def _keep(self, child: Child, stop: asyncio.Event) -> bool:
        pause_s = FIRST_PAUSE_S
        while True:
            started = time.monotonic()
            process = await _start(child)
            log.info(f"{child.name} runs.", action="supervisor.started", child=child.name, pid=process.pid)
            if await _ends_before(process, stop):
                pause_s = FIRST_PAUSE_S if time.monotonic() - started >= STEADY_S else pause_s
                _report_death(child, process, pause_s)
                if await _is_set_within(stop, pause_s):
                    return True
                pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
            else:
                return await self._end(child, process)

    async def _end(self, child: Child, process: asyncio.subprocess.Process) -> bool:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), self._grace_s)
        except TimeoutError:
            log.warning(
                f"{child.name} did not stop within {self._grace_s:g} s and was killed.",
                action="supervisor.killed",
                child=child.name,
                pid=process.pid,
            )
            process.kill()
            await process.wait()
            return False
        log.info(f"{child.name} stopped.", action="supervisor.stopped", child=child.name, code=process.returncode)
        return process.returncode in CLEAN_ENDS


async def _start(child: Child) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *child.command,
        stdin=subprocess.PIPE,
        env={**os.environ, **child.environment, SUPERVISED: "1"},
        process_group=0,
    )


async def _ends_before(process: asyncio.subprocess.Process, stop: asyncio.Event) -> bool:
    """Whether the process ended while nobody had asked it to."""
    ended = asyncio.create_task(process.wait())
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait({ended, stopped}, return_when=asyncio.FIRST_COMPLETED)
    for task in (ended, stopped):
        task.cancel()
    return not stop.is_set()


def _report_death(child: Child, process: asyncio.subprocess.Process, pause_s: float) -> None:
    code = process.returncode or 0
    how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
    log.error(
        f"{child.name} {how}; it starts again in {pause_s:g} s.",
        action="supervisor.restarting",
        child=child.name,
        pid=process.pid,
        code=code,
    )


async def _is_set_within(stop: asyncio.Event, timeout_s: float) -> bool:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), timeout_s)
    return stop.is_set()
