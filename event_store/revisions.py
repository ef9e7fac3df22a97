"""The revisions of a set of tables: which there are, and where a database stands among them.

A revision is a file of a package, `outbox_0001.py`, with its SQL beside it; the numbers give the order. So whoever
only has to know where a database stands compares names, and needs none of the libraries that change it. One database
holds several sets, each owned by one package and each with a table of its own that says how far it is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from .errors import StorageUnusable


class Standing(StrEnum):
    UNMIGRATED = "unmigrated"
    """No revision was ever applied: there are no tables, or an earlier version of the program made them."""
    BEHIND = "behind"
    AT_HEAD = "at head"
    AHEAD = "ahead"
    """A newer program's revision. A release takes nothing away that the one before it uses, so this one works on."""


@dataclass(frozen=True, slots=True)
class Revisions:
    """The revisions of the tables of one owner, in `folder`: `name_0001`, `name_0002` …"""

    name: str
    folder: Path

    @property
    def table(self) -> str:
        """Where a database has its revision: one row, one column, `version_num`."""
        return f"alembic_version_{self.name}"

    @property
    def known(self) -> list[str]:
        """From the first to the newest."""
        return sorted(path.stem for path in self.folder.glob(f"{self.name}_[0-9][0-9][0-9][0-9].py"))

    @property
    def head(self) -> str:
        return self.known[-1]

    def standing(self, revision: str | None, place: str) -> Standing:
        """Of the database at `place`. Raises StorageUnusable for what isn't and never will be one of these."""
        if revision is None:
            return Standing.UNMIGRATED
        known = self.known
        if revision in known:
            return Standing.AT_HEAD if revision == known[-1] else Standing.BEHIND
        if re.fullmatch(rf"{self.name}_[0-9]{{4}}", revision) and revision > known[-1]:
            return Standing.AHEAD
        raise StorageUnusable(
            f"{place}: {self.table} says {revision!r}, which is no revision of this program's. "
            "Look whether the address is the right one."
        )

    def is_behind(self, revision: str | None, place: str) -> bool:
        return self.standing(revision, place) in (Standing.UNMIGRATED, Standing.BEHIND)


@dataclass(frozen=True, slots=True)
class Applied:
    revision: str
    is_adopted: bool
    """Whether the tables were there already, made by an earlier version of the program."""


LEASES = Revisions("lease", Path(__file__).parent / "migrations")
OUTBOX = Revisions("outbox", Path(__file__).parent / "migrations")
AUDIT = Revisions("audit", Path(__file__).parent / "migrations")
TOKENS = Revisions("token", Path(__file__).parent / "migrations")
PAUSES = Revisions("pause", Path(__file__).parent / "migrations")
SHARED = (LEASES, AUDIT, TOKENS, PAUSES)
"""In both databases, so they don't tell one from the other."""
