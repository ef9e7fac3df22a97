"""Transactions written once, for every database.

Steps are a generator: each statement that it yields is executed, and it is sent the rows. Statements are in the SQL
that SQLite and PostgreSQL have in common, with parameters by name (`:name`). What a port of ours does as steps can also
be done inside of another's transaction: `run` of `sqlite_transactions` and `postgres_transactions` takes its
connection.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import Any, Protocol, TypeAlias, TypeVar

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

Row: TypeAlias = Sequence[Any]
Statement: TypeAlias = tuple[str, Mapping[str, Any]]
Steps: TypeAlias = Generator[Statement, Sequence[Row], T_co]


class Transactions(Protocol):
    """Of one database."""

    async def write(self, steps: Steps[T]) -> T:
        """Takes the steps in a transaction and returns their result after COMMIT.

        Raises what the steps raise, after rolling back; StorageUnavailable, where nothing was kept unless the COMMIT
        itself failed; and StorageUnusable.
        """
        ...

    async def read(self, steps: Steps[T]) -> T:
        """Takes steps that only read; all of them see one moment."""
        ...

    async def close(self) -> None: ...
