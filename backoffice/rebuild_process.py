"""The process that rebuilds, as the dashboard sees it: what it says, how it ended, and having it ended.

Its standard input is a pipe that only the dashboard holds open: however the dashboard dies, the process stops by itself
(see serve.py). It has a session of its own, so a Ctrl-C in the terminal reaches the dashboard alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

from .rebuild_lines import LONGEST_LINE_BYTES, Line, NoReport, read
from .settings import SUPERVISED

LONGEST_COMPLAINT = 300
KEPT_ERRORS_BYTES = 8_000


@dataclass(slots=True)
class RebuildProcess:
    _process: asyncio.subprocess.Process
    _errors: bytearray = field(default_factory=bytearray)
    """The end of what it wrote to its standard error."""
    garbage: str = ""
    """The first that it said and that is no line of a report."""

    @classmethod
    async def start(cls, command: Sequence[str]) -> RebuildProcess:
        """Raises OSError, or ValueError for what can't be an argument."""
        pipe = subprocess.PIPE
        return cls(
            await asyncio.create_subprocess_exec(
                *command,
                stdin=pipe,
                stdout=pipe,
                stderr=pipe,
                limit=LONGEST_LINE_BYTES,
                env={**os.environ, SUPERVISED: "1"},
                start_new_session=True,
            )
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    async def lines(self) -> AsyncIterator[Line]:
        """What it says, until it has ended."""
        complaining = asyncio.create_task(self._keep_errors())
        try:
            while text := await self._line():
                try:
                    yield read(text)
                except NoReport:
                    self.garbage = self.garbage or _shown(text)
            await self._process.wait()
            await complaining
        finally:
            complaining.cancel()

    async def end(self, grace_s: float) -> None:
        """Returns when it is gone: by itself after SIGTERM, or killed after a time."""
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        try:
            await asyncio.wait_for(self._process.wait(), grace_s)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()

    @property
    def how_it_ended(self) -> str:
        code = self._process.returncode or 0
        if code < 0:
            return f"was ended by {signal.Signals(-code).name}"
        said = _shown(bytes(self._errors)).rpartition("\n")[2]
        return f"ended with code {code}" + (f": {said}" if said else "")

    async def _line(self) -> bytes:
        stream = self._process.stdout
        try:
            return b"" if stream is None else await stream.readline()
        except ValueError:  # Longer than any line of ours.
            return b"(a line without an end)\n"

    async def _keep_errors(self) -> None:
        while (stream := self._process.stderr) and (read_now := await stream.read(4096)):
            self._errors += read_now
            del self._errors[:-KEPT_ERRORS_BYTES]


def _shown(text: bytes) -> str:
    return text.decode("utf-8", "replace").strip()[-LONGEST_COMPLAINT:]
