"""The lease of rebuilds and rollbacks: one of them at a time, in whichever process."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from event_store.errors import EventStoreError
from event_store.lease import Leases, owners_of

LEASE = "rebuild"
LEASE_TTL_S = 15.0


class RebuildRunning(EventStoreError):
    """Another rebuild or rollback holds the lease."""


class RebuildLease:
    """Holds the rebuild's lease while the block runs."""

    def __init__(self, leases: Leases, owner: str, ttl_s: float) -> None:
        self._leases = leases
        self._owner = owner
        self._ttl_s = ttl_s
        self._renewing: asyncio.Task[None] | None = None

    async def __aenter__(self) -> None:
        if not await self._leases.take([LEASE], self._owner, self._ttl_s):
            holder = ", ".join(sorted(owners_of(await self._leases.holdings(LEASE)).values()))
            raise RebuildRunning(
                f"a rebuild or rollback is running ({holder}); wait for its end, or {self._ttl_s:.0f} s"
            )
        self._renewing = asyncio.create_task(self._renew())

    async def __aexit__(self, *_: object) -> None:
        if self._renewing is not None:
            self._renewing.cancel()
            await asyncio.gather(self._renewing, return_exceptions=True)
        with suppress(EventStoreError):
            await self._leases.release(self._owner)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(self._ttl_s / 3)
            with suppress(EventStoreError):
                await self._leases.take([LEASE], self._owner, self._ttl_s)
