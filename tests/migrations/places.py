"""A database of either kind, and sets of revisions with more in them than the program knows."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from event_store.connect import file_of, migrate, revisions_of
from event_store.revisions import Applied, Revisions

from .shape import Shape, postgres_shape, sqlite_shape

MODULE = '''"""One more."""

import os
import signal

from event_store.alembic_migration import run_sql_beside

revision = "{name}"
down_revision = "{before}"


def upgrade() -> None:
    run_sql_beside(__file__)
    if os.environ.get("DIES_IN") == revision:
        os.kill(os.getpid(), signal.SIGKILL)
'''


@dataclass(frozen=True, slots=True)
class Place:
    """`url` is of a SQLite file or of a PostgreSQL database."""

    url: str

    async def migrate(self, *sets: Revisions) -> list[Applied]:
        return list(await migrate(self.url, sets))

    async def revisions(self, *sets: Revisions) -> list[str | None]:
        found = await revisions_of(self.url, sets)
        return [found[one.name] for one in sets]

    async def shape(self) -> Shape:
        file = file_of(self.url)
        return sqlite_shape(file) if file else await postgres_shape(self.url)

    async def tables(self) -> set[str]:
        return {name.removeprefix("table ") for name in await self.shape() if name.startswith("table ")}

    async def run(self, *statements: str) -> None:
        file = file_of(self.url)
        if file:
            connection = sqlite3.connect(file, isolation_level=None)
            for statement in statements:
                connection.execute(statement)
            connection.close()
        else:
            server = await asyncpg.connect(self.url.replace("+asyncpg", ""))
            for statement in statements:
                await server.execute(statement)
            await server.close()


def with_more(known: Revisions, folder: Path, *scripts: Sequence[str]) -> Revisions:
    """The set with further revisions of these statements, the same in both dialects, as a newer program has them."""
    shutil.copytree(known.folder, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    newer = Revisions(known.name, folder)
    for statements in scripts:
        before = newer.head
        name = f"{known.name}_{int(before[-4:]) + 1:04}"
        (folder / f"{name}.py").write_text(MODULE.format(name=name, before=before))
        for dialect in ("sqlite", "postgresql"):
            (folder / f"{name}.{dialect}.sql").write_text("\n\n".join(f"{one};" for one in statements) + "\n")
    return newer
