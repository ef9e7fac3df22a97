"""Leases in memory: the rules as plain functions of a clock, and the port over them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from .lease import Holding, Lease


@dataclass(slots=True)
class _Held:
    owner: str | None = None
    epoch: int = 0
    expires_at_us: int = 0


@dataclass(slots=True)
class LeaseTable:
    """All leases of one database. Times are microseconds since 1970 UTC by that database's clock."""

    _held: dict[str, _Held] = field(default_factory=dict)

    def take(
        self, names: Sequence[str], owner: str, until_us: int, now_us: int, most: int | None = None
    ) -> list[Lease]:
        """As `Leases.take`. What the owner holds beyond `most` it gives back."""
        rows = {name: self._held.setdefault(name, _Held()) for name in names}
        own = [name for name, row in rows.items() if row.owner == owner]
        free = [name for name, row in rows.items() if row.owner is None or row.expires_at_us <= now_us]
        chosen = [*own, *(name for name in free if name not in own)][:most]
        for name in own[len(chosen) :]:
            rows[name].owner = None
        return [self._give(name, owner, until_us) for name in chosen]

    def end(self, owner: str | None = None) -> None:
        """Ends the leases of `owner`, or everybody's: their epochs can act no more."""
        for row in self._held.values():
            if owner is None or row.owner == owner:
                row.owner = None

    def is_current(self, name: str, epoch: int) -> bool:
        """Whether who got the lease with `epoch` may still act: expired and not taken by anybody else counts."""
        row = self._held.get(name)
        return row is not None and row.owner is not None and row.epoch == epoch

    def owners(self, now_us: int) -> dict[str, str]:
        """Name → owner of every lease that has not expired."""
        return {
            name: row.owner for name, row in self._held.items() if row.owner is not None and row.expires_at_us > now_us
        }

    def holdings(self, now_us: int) -> list[Holding]:
        """Every lease that was ever given to somebody, by name."""
        owners = self.owners(now_us)
        return [Holding(name, owners.get(name), row.epoch) for name, row in sorted(self._held.items()) if row.epoch]

    def _give(self, name: str, owner: str, until_us: int) -> Lease:
        row = self._held[name]
        if row.owner != owner:
            row.owner, row.epoch = owner, row.epoch + 1
        row.expires_at_us = until_us
        return Lease(name, owner, row.epoch)


class MemoryLeases:
    """`clock` gives microseconds since 1970 UTC."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._table = LeaseTable()

    async def take(self, names: list[str], owner: str, ttl_s: float, *, most: int | None = None) -> list[Lease]:
        await asyncio.sleep(0)
        now_us = self._clock()
        leases = self._table.take(names, owner, now_us + round(ttl_s * 1e6), now_us, most)
        await asyncio.sleep(0)
        return leases

    async def take_over(self, owner: str) -> None:
        await asyncio.sleep(0)
        self._table.end(owner)

    async def holdings(self, prefix: str) -> Sequence[Holding]:
        await asyncio.sleep(0)
        return [one for one in self._table.holdings(self._clock()) if one.name.startswith(prefix)]

    async def release(self, owner: str) -> None:
        await asyncio.sleep(0)
        self._table.end(owner)

    async def close(self) -> None:
        """Nothing to close; the leases of a file have something."""
