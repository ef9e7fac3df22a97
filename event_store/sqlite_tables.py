"""The rows of a SQLite file, table by table, while nobody may write to it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

from .sqlite_connection import BUSY_TIMEOUT_S, begin_immediate, connect, translated

SELECT_TABLES = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
SELECT_NUMBERS = "SELECT name, seq FROM sqlite_sequence"


@dataclass(frozen=True, slots=True)
class Table:
    name: str
    columns: Mapping[str, str]
    """Name → type, as SQLite has it: INTEGER, TEXT or BLOB."""
    key: Sequence[str]
    """The columns of the primary key."""


class SqliteTables:
    """A file that is held: others can read it, and nobody can write."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection

    def tables(self) -> list[Table]:
        """Those that others refer to come before them."""
        names = [name for (name,) in self._connection.execute(SELECT_TABLES).fetchall()]
        order = TopologicalSorter({name: self._referred_to(name) for name in names})
        return [self._table(name) for name in order.static_order()]

    def rows(self, table: Table, columns: Sequence[str]) -> Iterator[tuple[Any, ...]]:
        """In the order of the key, texts by their bytes."""
        selected = ", ".join(f'"{column}"' for column in columns)
        key = ", ".join(f'"{column}"' for column in table.key)
        yield from self._connection.execute(f'SELECT {selected} FROM "{table.name}" ORDER BY {key}')  # noqa: S608

    def last_numbers(self) -> Mapping[str, int]:
        """Of tables that count their rows, the last number that was ever given."""
        return dict(self._connection.execute(SELECT_NUMBERS).fetchall())

    def _table(self, name: str) -> Table:
        found = self._connection.execute(f'PRAGMA table_info("{name}")').fetchall()
        key = sorted((place, column) for _, column, _, _, _, place in found if place)
        return Table(name, {column: kind for _, column, kind, *_ in found}, [column for _, column in key])

    def _referred_to(self, name: str) -> set[str]:
        return {row[2] for row in self._connection.execute(f'PRAGMA foreign_key_list("{name}")').fetchall()}


@contextmanager
def held_tables(path: Path) -> Iterator[SqliteTables]:
    """Holds the file for the block. Raises StorageUnavailable where somebody else is writing and doesn't end."""
    connection = connect(path)
    try:
        begin_immediate(connection, BUSY_TIMEOUT_S)
        yield SqliteTables(path, connection)
    except sqlite3.Error as error:
        raise translated(error, path) from error
    finally:
        connection.close()
