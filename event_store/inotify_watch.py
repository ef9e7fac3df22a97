"""Hears from the kernel when a file in a folder is written, where the kernel is Linux."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from inotify_simple import INotify, flags  # type: ignore[import-untyped]

_READ_BYTES = 1 << 18


class InotifyWatch:
    """Watches the file `name` of `folder`, which need not exist yet. Raises OSError where no watch is to be had."""

    def __init__(self, folder: Path, name: str) -> None:
        self._name = os.fsencode(name)
        self._events = INotify(nonblocking=True)
        self._events.add_watch(folder, flags.MODIFY | flags.CREATE)

    async def wait(self, timeout_s: float) -> bool:
        """True as soon as the file is written, or was since the last call; False after `timeout_s`."""
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + timeout_s
        while not self._was_written():
            left_s = deadline_s - loop.time()
            if left_s <= 0:
                return False
            await self._readable(loop, left_s)
        return True

    def close(self) -> None:
        self._events.close()

    def _was_written(self) -> bool:
        """Takes all events at once, as bytes: after a busy while there are thousands, and only one name matters."""
        written = False
        while True:
            try:
                events = os.read(self._events.fileno(), _READ_BYTES)
            except BlockingIOError:
                return written
            written = written or self._name in events

    async def _readable(self, loop: asyncio.AbstractEventLoop, timeout_s: float) -> None:
        readable = asyncio.Event()
        loop.add_reader(self._events.fileno(), readable.set)
        try:
            await asyncio.wait_for(readable.wait(), timeout_s)
        except TimeoutError:
            return
        finally:
            loop.remove_reader(self._events.fileno())
