"""A connection to one broker whose answers arrive in the memory in which they are read.

aiokafka makes the connection, with encryption and password where there are any, and then hands it over: its own stream
copies an answer three times, which takes as long as decoding the events in it.
"""

from __future__ import annotations

import asyncio
import struct
from collections import deque
from collections.abc import Mapping
from typing import Any

from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import CorrelationIdError, KafkaConnectionError, RequestTimedOutError

CLIENT = "countinghouse"
"""How brokers name us in their logs."""
MAX_ANSWER_BYTES = 200_000_000
"""More than any answer has; what claims to be larger is no answer."""
_SIZE = struct.Struct(">i")


class KafkaWire(asyncio.BufferedProtocol):
    """Requests are answered in the order they are sent in. Once it is lost it stays so."""

    def __init__(self, connection: Any, transport: asyncio.Transport) -> None:
        self._connection = connection
        self._transport = transport
        self._before = transport.get_protocol()
        self._into = bytearray(_SIZE.size)
        self._filled = 0
        self._in_body = False
        self._sent = 0
        self._waiting: deque[tuple[int, asyncio.Future[memoryview]]] = deque()
        self.is_open = True

    @classmethod
    async def opened(cls, host: str, port: int, options: Mapping[str, Any]) -> KafkaWire:
        """`options` are `KafkaCluster.connection_options`. Raises KafkaError."""
        connection = AIOKafkaConnection(host, port, client_id=CLIENT, **options)
        try:
            (_, writer) = await connection.connect()
        except (OSError, TimeoutError) as error:
            raise KafkaConnectionError(f"{host}:{port}: {error}") from error
        wire = cls(connection, writer.transport)
        writer.transport.set_protocol(wire)
        return wire

    async def ask(self, request: Any, timeout_s: float) -> memoryview:
        """The body of the answer to a request of aiokafka's. Raises KafkaError."""
        if not self.is_open:
            raise KafkaConnectionError("the connection was lost")
        self._sent += 1
        header = request.build_request_header(correlation_id=self._sent, client_id=CLIENT)
        message = header.encode() + request.encode()
        answer: asyncio.Future[memoryview] = asyncio.get_running_loop().create_future()
        self._waiting.append((self._sent, answer))
        self._transport.write(_SIZE.pack(len(message)) + message)
        try:
            async with asyncio.timeout(timeout_s):
                return await answer
        except TimeoutError as error:
            self.close()  # What comes after an answer that never came is waited for in vain, too.
            raise RequestTimedOutError(f"no answer in {timeout_s} s") from error

    def close(self) -> None:
        self.is_open = False
        self._connection.close()

    def get_buffer(self, sizehint: int) -> memoryview:
        return memoryview(self._into)[self._filled :]

    def buffer_updated(self, nbytes: int) -> None:
        self._filled += nbytes
        if self._filled < len(self._into):
            return
        (came, self._filled, self._in_body) = (self._into, 0, not self._in_body)
        if self._in_body:
            (size,) = _SIZE.unpack(came)
            if not _SIZE.size <= size <= MAX_ANSWER_BYTES:
                self._end(KafkaConnectionError(f"an answer of {size} bytes"))
                size = _SIZE.size
            self._into = bytearray(size)
        else:
            self._into = bytearray(_SIZE.size)
            self._answered(memoryview(came))

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(KafkaConnectionError(f"the connection was lost: {exc}" if exc else "the connection was closed"))
        self._before.connection_lost(exc)

    def _answered(self, answer: memoryview) -> None:
        if not self._waiting:
            return self._end(CorrelationIdError("an answer to no request"))
        (number, waiting) = self._waiting.popleft()
        if _SIZE.unpack_from(answer)[0] != number:
            self._waiting.appendleft((number, waiting))
            return self._end(CorrelationIdError(f"an answer to another request than {number}"))
        if not waiting.done():
            waiting.set_result(answer[_SIZE.size :])

    def _end(self, error: Exception) -> None:
        if self.is_open:
            self.close()
        while self._waiting:
            (_, waiting) = self._waiting.popleft()
            if not waiting.done():
                waiting.set_exception(error)
