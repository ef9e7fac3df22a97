"""An ASGI application on a real socket, in the test's own event loop, that can be cut off and opened again."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass, field
from typing import Any

import uvicorn


@dataclass
class Serving:
    port: int = 0
    dying: asyncio.Event = field(default_factory=asyncio.Event)
    """Set while the server goes down: what hangs may end."""
    _server: uvicorn.Server | None = None
    _task: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def open(self, app: Any) -> None:
        """The first time on a free port, after that on the same one."""
        listener = socket.create_server(("127.0.0.1", self.port))
        self.port = listener.getsockname()[1]
        self.dying = asyncio.Event()
        config = uvicorn.Config(app, interface="asgi3", log_level="critical", access_log=False, ws="none")
        self._server = uvicorn.Server(config)
        self._task = asyncio.create_task(self._server._serve([listener]))
        while not self._server.started:
            await asyncio.sleep(0.005)

    async def die(self) -> None:
        """Cuts every connection, calls under way included."""
        if self._server is None or self._task is None:
            return
        self.dying.set()
        for listener in self._server.servers:
            listener.close()
        self._server.force_exit = True
        self._server.should_exit = True
        for connection in list(self._server.server_state.connections):
            connection.transport.abort()
        await self._task
