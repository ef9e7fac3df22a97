"""uvicorn's HTTP protocol with the bounds it lacks: how large a request's head may be, and how slowly one may come.

Without them a client that sends its header one byte a minute, or one without end, holds a connection and memory for
as long as it likes.
"""

from __future__ import annotations

from typing import Any

import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from event_store.envelope import new_event_id

from .problems import MEDIA_TYPE, Problem
from .refusals import BAD_REQUEST, HEAD_TOO_LARGE, TOO_SLOW, Kind

MAX_HEAD_BYTES = 32_768
MAX_HEADERS = 200
REQUEST_TIMEOUT_S = 30.0
"""From a request's first byte, or its connection's, to its last."""
LOOK_EVERY_S = 5.0
LINGER_S = 2.0
"""How long a refused client may go on sending: closed at once, its kernel would throw our answer away unread."""

_PHRASES = {400: "Bad Request", 408: "Request Timeout", 431: "Request Header Fields Too Large"}


class BoundedHttp(HttpToolsProtocol):
    """For `uvicorn.Config(http=BoundedHttp)`."""

    request_timeout_s = REQUEST_TIMEOUT_S
    look_every_s = LOOK_EVERY_S

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._head_bytes = 0
        self._in_head = True
        self._refused = False
        self._coming_since_s: float | None = self.loop.time()
        self._look = self.loop.call_later(self.look_every_s, self._look_at_clock)

    def connection_lost(self, exc: Exception | None) -> None:
        self._look.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        if self._in_head:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._in_head and self._head_bytes > MAX_HEAD_BYTES:
            self._refuse(HEAD_TOO_LARGE, f"The head of a request has at most {MAX_HEAD_BYTES} bytes.")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True
        self._coming_since_s = self.loop.time()

    def on_header(self, name: bytes, value: bytes) -> None:
        super().on_header(name, value)
        if len(self.headers) > MAX_HEADERS:
            raise ValueError("too many headers")  # Ends the parsing, in send_400_response.

    def on_headers_complete(self) -> None:
        head_bytes = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if head_bytes > MAX_HEAD_BYTES:
            raise ValueError("head too large")
        self._in_head = False
        self._head_bytes = 0
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._coming_since_s = None

    def send_400_response(self, msg: str) -> None:
        if len(self.headers or []) > MAX_HEADERS or self._head_bytes > MAX_HEAD_BYTES:
            bounds = f"{MAX_HEADERS} headers and {MAX_HEAD_BYTES} bytes"
            self._refuse(HEAD_TOO_LARGE, f"The head of a request has at most {bounds}.")
        else:
            self._refuse(BAD_REQUEST, msg)

    def _look_at_clock(self) -> None:
        if self.transport.is_closing():
            return
        since_s = self._coming_since_s
        if since_s is not None and self.loop.time() - since_s > self.request_timeout_s:
            self._refuse(TOO_SLOW, f"A request has {self.request_timeout_s:g} s to come.")
        else:
            self._look = self.loop.call_later(self.look_every_s, self._look_at_clock)

    def _refuse(self, kind: Kind, detail: str) -> None:
        """The answer to what never became a whole request, and the end of its connection."""
        if self._refused or self.transport.is_closing():
            return
        self._refused = True
        cycle: Any = self.cycle  # None before the first request
        if cycle is not None and not cycle.response_complete:
            cycle.disconnected = True
            cycle.message_event.set()
            if cycle.response_started:
                self.transport.close()
                return
        self._write(kind, detail)
        self.flow.resume_reading()
        self._look = self.loop.call_later(LINGER_S, self.transport.close)

    def _write(self, kind: Kind, detail: str) -> None:
        instance = f"urn:uuid:{new_event_id()}"
        body = msgspec.json.encode(Problem(kind.urn, kind.title, kind.status, detail, instance, []))
        head = (
            f"HTTP/1.1 {kind.status} {_PHRASES[kind.status]}\r\ncontent-type: {MEDIA_TYPE}\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        if self.transport.can_write_eof():
            self.transport.write_eof()
