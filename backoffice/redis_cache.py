"""The cache in a Redis or Valkey server, by redis-py.

A value is stored behind its rank in decimal digits of one length, so that a script can compare ranks as texts. What the
server answers is taken for what it is: bytes from outside. It speaks RESP 2 with the client's parser in Python: the one
in C (hiredis) makes an array as long as the server says before anything of it has come, and to give a billion
empty places back takes seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from .cache import TTL_S, CacheUnavailable
from .redaction import redacted

if TYPE_CHECKING:
    from redis.asyncio.client import PubSub

CHANNEL = "countinghouse:moved"
PROBE = "countinghouse:probe:"
MOST_CONNECTIONS = 8
CONNECT_TIMEOUT_S = 1.0
READ_TIMEOUT_S = 5.0
"""For a caller who sets no limit of their own."""
CLOSE_TIMEOUT_S = 1.0

RANK_DIGITS = 39
"""Of 128 bits."""
PUT = f"""
local held = redis.pcall('GETRANGE', KEYS[1], 0, {RANK_DIGITS - 1})
if type(held) == 'string' and #held == {RANK_DIGITS} and not held:find('%D') and held > ARGV[1] then
    return 0
end
redis.call('SET', KEYS[1], ARGV[1] .. ARGV[2], 'PX', ARGV[3])
return 1
"""
"""What isn't an entry of ours is no reason to keep it."""


class RedisCache:
    """The server at `url`, as `connect.check_cache_url` has it. Connects at the first use."""

    def __init__(self, url: str, *, ttl_s: float = TTL_S) -> None:
        self.address = redacted(url)
        self._ttl_ms = round(ttl_s * 1000)
        self._client: Redis = Redis(connection_pool=_pool(url))
        self._put = self._client.register_script(PUT)
        self._hints: PubSub | None = None

    async def get(self, key: str) -> bytes | None:
        with _translated():
            found = await self._client.get(key)
            if not isinstance(found, bytes | None):
                raise CacheUnavailable("it answered with something that is no value")
            return None if found is None else found[RANK_DIGITS:]

    async def put(self, key: str, rank: int, value: bytes) -> bool:
        with _translated():
            kept = await self._put(keys=[key], args=[f"{rank:0{RANK_DIGITS}}", value, self._ttl_ms])
            if kept not in (0, 1):
                raise CacheUnavailable("it answered to a script of ours with something else")
            return bool(kept)

    async def drop(self, key: str) -> None:
        with _translated():
            await self._client.delete(key)

    async def hint(self) -> None:
        with _translated():
            await self._client.publish(CHANNEL, b"")

    async def wait_for_hint(self, timeout_s: float) -> bool:
        """True also after it began to listen: what came before is not known."""
        try:
            with _translated():
                if self._hints is None:
                    self._hints = self._client.pubsub(ignore_subscribe_messages=True)
                    await self._hints.subscribe(CHANNEL)
                    return True
                return await self._hints.get_message(timeout=timeout_s) is not None
        except BaseException:
            await self._stop_listening()
            raise

    async def check(self) -> None:
        said = os.urandom(8)
        key = PROBE + said.hex()
        await self.put(key, 0, said)
        if await self.get(key) != said:
            raise CacheUnavailable("it doesn't keep what is written to it")
        await self.drop(key)

    async def close(self) -> None:
        await self._stop_listening()
        with contextlib.suppress(CacheUnavailable), _translated():
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self._client.aclose()
                await self._client.connection_pool.disconnect()

    async def _stop_listening(self) -> None:
        (hints, self._hints) = (self._hints, None)
        if hints is not None:
            with contextlib.suppress(CacheUnavailable), _translated():
                await hints.aclose()  # type: ignore[no-untyped-call]


def _pool(url: str) -> BlockingConnectionPool:
    """Nothing is tried twice: who asks has the database, and no time to lose."""
    options: dict[str, Any] = {
        "max_connections": MOST_CONNECTIONS,
        "timeout": CONNECT_TIMEOUT_S,
        "socket_connect_timeout": CONNECT_TIMEOUT_S,
        "socket_timeout": READ_TIMEOUT_S,
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,
        "driver_info": None,
    }
    return BlockingConnectionPool.from_url(url, **options)


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """Before an answer that makes no sense the client fails with any exception, not only with its own."""
    try:
        yield
    except CacheUnavailable:
        raise
    except Exception as error:
        raise CacheUnavailable(redacted(f"{type(error).__name__}: {error}"[:300])) from error
