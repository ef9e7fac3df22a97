"""Leases: who may act for a lane or a partition, until when, by the database's clock.

A lease keeps two owners from working at once; that nothing is lost or counted twice when two do (one was paused
past its expiry) rests on epochs and positions, not on the lease.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Lease:
    name: str
    owner: str
    epoch: int
    """Grows by one at each change of owner, never else."""


@dataclass(frozen=True, slots=True)
class Holding:
    """A lease as anybody sees it."""

    name: str
    owner: str | None
    """None: it is free, or has expired."""
    epoch: int
    """How often it was given to somebody."""


def owners_of(holdings: Iterable[Holding]) -> dict[str, str]:
    """Name → owner of those that somebody holds."""
    return {one.name: one.owner for one in holdings if one.owner is not None}


class Leases(Protocol):
    """Leases of one database, by name."""

    async def take(self, names: list[str], owner: str, ttl_s: float, *, most: int | None = None) -> list[Lease]:
        """Takes each lease that is free, expired or already `owner`'s, and renews those; returns all it then holds.

        `most` bounds how many the owner holds: what it has stays its own before anything new is taken. An owner
        that starts again under its old name gets its leases at once, with a new epoch from `take_over`.
        """
        ...

    async def take_over(self, owner: str) -> None:
        """Ends what an earlier process of the same name held: its epochs can act no more."""
        ...

    async def holdings(self, prefix: str) -> Sequence[Holding]:
        """Every lease whose name begins with `prefix`, whether anybody holds it or did once; by name."""
        ...

    async def release(self, owner: str) -> None:
        """Gives back all of the owner's leases, so that the next owner need not wait for their expiry."""
        ...

    async def close(self) -> None: ...
