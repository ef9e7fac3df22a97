"""A TCP proxy before a server of a test: it delays, holds up, cuts, and keeps answers to itself."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from event_store.backoff import dropped, first_of

CHUNK_BYTES = 256 * 1024


@dataclass(slots=True)
class Break:
    """What happens to a connection whose client sends what `matches`: it is cut.

    Before the server gets it; or, where `arrives`, once the server has answered, and without the answer.
    """

    matches: Callable[[bytes], bool]
    arrives: bool
    every: int = 1
    """Of so many that match the last one is broken."""
    most: int = 1_000_000
    seen: int = 0
    broken: int = 0

    def takes(self, sent: bytes) -> bool:
        if self.broken >= self.most or not self.matches(sent):
            return False
        self.seen += 1
        self.broken += self.seen % self.every == 0
        return self.seen % self.every == 0


@dataclass(slots=True, eq=False)
class _Connection:
    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    is_broken: bool = False
    """To be cut at the server's next answer."""
    is_cut: asyncio.Event = field(default_factory=asyncio.Event)

    def cut(self) -> None:
        self.is_cut.set()
        self.client.transport.abort()
        self.server.transport.abort()


@dataclass(slots=True)
class Proxy:
    """Takes connections at `port` (chosen, where it is 0) of 127.0.0.1 and forwards them to `to_port`.

    async with Proxy(server.port) as proxy:
        proxy.latency_s = 0.5
    """

    to_port: int
    port: int = 0
    certificate: ssl.SSLContext | None = None
    """Whose it is before clients; None speaks plain text with them."""
    latency_s: float = 0.0
    """How long each byte is on its way, in either direction."""
    swallows_answers: bool = False
    """Whether what the server says is lost, and the client waits for it."""
    breaks: Break | None = None
    asked_bytes: int = 0
    """What clients have sent, altogether."""
    connections: int = 0
    """How many there were, ever."""
    _passing: asyncio.Event = field(default_factory=asyncio.Event)
    _open: set[_Connection] = field(default_factory=set)
    _serving: set[asyncio.Task[None]] = field(default_factory=set)
    _server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._passing.set()
        await self._listen()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Nobody is at the port any more, and every connection is cut."""
        if self._server is not None:
            self._server.close()
        self._server = None
        self.cut()
        await asyncio.gather(*self._serving)

    async def open_again(self) -> None:
        await self._listen()

    @property
    def open_connections(self) -> int:
        return len(self._open)

    def cut(self) -> int:
        """Resets every connection; returns how many. New ones are taken as before."""
        cut = list(self._open)
        for one in cut:
            one.cut()
        return len(cut)

    def stall(self) -> None:
        """Nothing passes any more; what comes waits for `go_on`."""
        self._passing.clear()

    def go_on(self) -> None:
        self._passing.set()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(
            self._serve, "127.0.0.1", self.port, limit=CHUNK_BYTES, ssl=self.certificate
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def _serve(self, from_client: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        try:
            (from_server, server) = await asyncio.open_connection("127.0.0.1", self.to_port, limit=CHUNK_BYTES)
        except OSError:
            client.transport.abort()
            return
        self.connections += 1
        connection = _Connection(client, server)
        self._open.add(connection)
        await first_of(
            self._pump(connection, from_client, server, is_answer=False),
            self._pump(connection, from_server, client, is_answer=True),
            connection.is_cut.wait(),
        )
        connection.cut()
        self._open.discard(connection)

    async def _pump(
        self, connection: _Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_answer: bool
    ) -> None:
        """Until one side ends. Reading goes on while what was read is on its way."""
        on_their_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        delivering = asyncio.create_task(self._deliver(on_their_way, writer))
        try:
            with contextlib.suppress(OSError):
                while chunk := await reader.read(CHUNK_BYTES):
                    self.asked_bytes += 0 if is_answer else len(chunk)
                    if self._is_cut_by(connection, chunk, is_answer):
                        return
                    if not (is_answer and self.swallows_answers):
                        on_their_way.put_nowait((asyncio.get_running_loop().time() + self.latency_s, chunk))
            on_their_way.put_nowait((0.0, b""))
            await delivering
        finally:
            await dropped([delivering])

    def _is_cut_by(self, connection: _Connection, chunk: bytes, is_answer: bool) -> bool:
        if is_answer:
            return connection.is_broken
        if self.breaks is None or not self.breaks.takes(chunk):
            return False
        connection.is_broken = self.breaks.arrives
        return not self.breaks.arrives

    async def _deliver(self, on_their_way: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter) -> None:
        """Until an empty chunk, or until nobody takes them any more."""
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError):
            while (came := await on_their_way.get())[1]:
                await asyncio.sleep(max(0.0, came[0] - loop.time()))
                await self._passing.wait()
                writer.write(came[1])
                await writer.drain()
