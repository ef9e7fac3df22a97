"""A server that answers everything with the same bytes, whatever protocol it was asked in."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import Self

from event_store.backoff import dropped


@dataclass(slots=True)
class Garbage:
    """`async with Garbage(b"…") as server` listens on `server.port` of 127.0.0.1."""

    answer: bytes
    port: int = 0
    asked: int = 0
    """How often anything came."""
    _server: asyncio.Server | None = None
    _serving: set[asyncio.Task[None]] = field(default_factory=set)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()
        await dropped(self._serving)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(OSError):
                while await reader.read(65536):
                    self.asked += 1
                    writer.write(self.answer)
                    await writer.drain()
        finally:
            writer.transport.abort()
