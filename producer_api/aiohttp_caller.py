"""Calls to the commerce API that outlive its restarts.

A call is repeated, with the same body and the same idempotency key, until the API answers: after a broken or refused
connection, a time-out, 429 and 5xx. Any other answer is final, whatever it says. (aiohttp costs about 0.3 ms of CPU a
call where httpx costs 1 to 2, and an import makes 26,000.)
"""

from __future__ import annotations

import asyncio
import random
import time
from types import TracebackType
from typing import Self
from urllib.parse import quote

import aiohttp
import msgspec
from msgspec import Struct
from yarl import URL

FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 2.0
CALL_TIMEOUT_S = 30.0


class ApiSilent(Exception):
    """The API gave no usable answer for as long as the caller was told to wait."""


class Answer(Struct, frozen=True):
    """The final answer to a call."""

    status: int
    body: bytes
    replayed: bool
    """It was kept from an earlier call with this idempotency key."""

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300

    def problem(self) -> str:
        """What an answer that is no success says, in one line."""
        try:
            problem = msgspec.json.decode(self.body, type=_Problem)
        except (msgspec.MsgspecError, UnicodeError):
            return f"{self.status} {self.body[:200].decode(errors='replace')}".strip()
        errors = "; ".join(f"{error.pointer} {error.detail}".strip() for error in problem.errors)
        return " ".join(part for part in (str(self.status), problem.title, problem.detail, errors) if part)


class _FieldError(Struct):
    pointer: str = ""
    detail: str = ""


class _Problem(Struct):
    """RFC 9457, as far as it is shown."""

    title: str = ""
    detail: str = ""
    errors: list[_FieldError] = []


class Caller:
    """A pool of keep-alive connections to one API. Used as a context manager, inside a running event loop."""

    def __init__(self, api_url: str, *, connections: int, patience_s: float | None, token: str = "") -> None:
        """`patience_s`: how long calls may go without a single answer before ApiSilent; None waits for ever."""
        self._own_headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._base = _base(api_url)
        self._connections = connections
        self._patience_s = patience_s
        self._session: aiohttp.ClientSession | None = None
        self._silent_since_s: float | None = None
        self.repeats = 0
        """Calls that had to go again."""

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            headers=self._own_headers,
            connector=aiohttp.TCPConnector(limit=self._connections),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=CALL_TIMEOUT_S),
            skip_auto_headers=("User-Agent", "Accept-Encoding"),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def call(self, method: str, path: str, body: object = None, *, key: str | None = None) -> Answer:
        """`path` is percent-encoded (`segment`), `body` anything msgspec writes as JSON, None for no body."""
        encoded = None if body is None else msgspec.json.encode(body)
        pause_s = FIRST_PAUSE_S
        while True:
            (answer, trouble, retry_after_s) = await self._once(method, path, encoded, key)
            if answer is not None:
                self._silent_since_s = None
                return answer
            self._lose_patience(trouble)
            self.repeats += 1
            await asyncio.sleep(max(retry_after_s, pause_s * random.uniform(0.5, 1.0)))
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    async def _once(
        self, method: str, path: str, body: bytes | None, key: str | None
    ) -> tuple[Answer | None, str, float]:
        """The answer, or what went wrong and the seconds the API asks to wait."""
        if self._session is None:
            raise RuntimeError("the caller is not open: use it in an `async with`")
        headers = {"Content-Type": "application/json"} if body is not None else {}
        if key is not None:
            headers["Idempotency-Key"] = key
        url = URL(self._base + path, encoded=True)
        try:
            async with self._session.request(
                method, url, data=body, headers=headers, allow_redirects=False
            ) as response:
                content = await response.read()
        except aiohttp.InvalidURL as error:
            raise ValueError(f"{url} is no address of an API") from error
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            return (None, str(error) or type(error).__name__, 0.0)
        if response.status == 429 or response.status >= 500:
            return (None, f"{method} {path} was answered {response.status}", _retry_after_s(response))
        return (Answer(response.status, content, response.headers.get("Idempotent-Replayed") == "true"), "", 0.0)

    def _lose_patience(self, trouble: str) -> None:
        now_s = time.monotonic()
        if self._silent_since_s is None:
            self._silent_since_s = now_s
        silent_s = now_s - self._silent_since_s
        if self._patience_s is not None and silent_s >= self._patience_s:
            raise ApiSilent(f"{self._base} gave no usable answer for {silent_s:.0f} s; the last trouble: {trouble}")


def segment(text: str) -> str:
    """One path segment, percent-encoded, so that any product id stays one."""
    return quote(text, safe="")


def _base(api_url: str) -> str:
    base = api_url.rstrip("/")
    if not base.startswith(("http://", "https://")):
        raise ValueError(f"{api_url!r} is no address of an API: it must begin with http:// or https://")
    return base


def _retry_after_s(response: aiohttp.ClientResponse) -> float:
    """What a 429 or 503 asks for, within reason; the header's other form, a date, is passed over."""
    text = response.headers.get("Retry-After", "")
    return min(float(text), 5.0) if text.isascii() and text.isdigit() else 0.0
