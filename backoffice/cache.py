"""The cache port: answers kept for a while, and hints, between processes of one shop.

Back ends: `memory_cache` and `redis_cache`, one contract suite. Nothing is decided from what a cache says: whoever asks
has to know by other means whether an answer is the right one, and must be able to do without.
"""

from __future__ import annotations

from typing import Protocol

TTL_S = 30.0
"""How long an answer is kept."""


class CacheUnavailable(Exception):
    """The cache did not do it, or not in time. The message says why, without passwords."""


class Cache(Protocol):
    """Every call raises CacheUnavailable where a server is away or says what makes no sense."""

    @property
    def address(self) -> str:
        """Where it is, as it may be shown."""
        ...

    async def get(self, key: str) -> bytes | None:
        """What was kept under the key; None where nothing is, any more. A server may answer with any bytes at all."""
        ...

    async def put(self, key: str, rank: int, value: bytes) -> bool:
        """Keeps the value for `TTL_S`, in place of one of the same or a lower rank; False where a higher one is there.

        `rank` has at most 128 bits.
        """
        ...

    async def drop(self, key: str) -> None: ...

    async def hint(self) -> None:
        """Wakes whoever waits for a hint, in any process."""
        ...

    async def wait_for_hint(self, timeout_s: float) -> bool:
        """True soon after a hint, False after about `timeout_s`. May miss one. One call at a time."""
        ...

    async def check(self) -> None:
        """Writes and reads something: whether it is of use at the moment."""
        ...

    async def close(self) -> None: ...
