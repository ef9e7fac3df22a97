"""Saved views: what somebody chose to see on a page, under a name, for everybody in the shop.

A view keeps the choice and not its days: "Last 7 days" means those before whatever day it is opened on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from event_store import audit
from event_store.audit import Entry
from event_store.steps import Steps, Transactions

LONGEST_NAME = 60
LONGEST_QUERY = 2000
MOST_VIEWS = 200

COLUMNS = "name, path, query, made_by, made_at_us"
SELECT = f"SELECT {COLUMNS} FROM saved_view ORDER BY name"  # noqa: S608
COUNT = "SELECT count(*) FROM saved_view"
INSERT = f"""
INSERT INTO saved_view ({COLUMNS}) VALUES (:name, :path, :query, :made_by, :made_at_us)
ON CONFLICT DO NOTHING RETURNING name
"""  # noqa: S608
DELETE = "DELETE FROM saved_view WHERE name = :name RETURNING path, query"

SQLITE = """
CREATE TABLE IF NOT EXISTS saved_view (
    name TEXT PRIMARY KEY,
    path TEXT NOT NULL,
    query TEXT NOT NULL,
    made_by TEXT NOT NULL,
    made_at_us INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
"""
POSTGRES = """
CREATE TABLE IF NOT EXISTS saved_view (
    name TEXT COLLATE "C" PRIMARY KEY,
    path TEXT COLLATE "C" NOT NULL,
    query TEXT COLLATE "C" NOT NULL,
    made_by TEXT COLLATE "C" NOT NULL,
    made_at_us BIGINT NOT NULL
);
"""


class ViewRefused(ValueError):
    """A view can't be saved so. The message says why, for a person."""


@dataclass(frozen=True, slots=True)
class SavedView:
    name: str
    path: str
    query: str
    """What was chosen, as the URL has it."""
    made_by: str
    made_at_us: int

    @property
    def url(self) -> str:
        return f"{self.path}?{self.query}"


class SavedViews:
    """Over the back-office database, which has the audit, too. `entry` says who acts."""

    def __init__(self, transactions: Transactions, clock: Callable[[], int] = audit.now_us) -> None:
        self._transactions = transactions
        self._clock = clock

    async def all(self) -> Sequence[SavedView]:
        """By name."""
        return await self._transactions.read(_all())

    async def add(self, name: str, path: str, query: str, entry: Entry) -> None:
        """Raises ViewRefused, also where the name is taken. Path and query are the caller's to judge."""
        name = " ".join(name.split())
        if not 0 < len(name) <= LONGEST_NAME or not name.isprintable():
            raise ViewRefused(f"a view needs a name of 1 to {LONGEST_NAME} characters")
        await self._transactions.write(_add(SavedView(name, path, query, entry.who, self._clock()), entry))

    async def remove(self, name: str, entry: Entry) -> bool:
        """Whether there was one of that name."""
        return await self._transactions.write(_remove(name, entry, self._clock()))


def _all() -> Steps[Sequence[SavedView]]:
    rows = yield SELECT, {}
    return [SavedView(*row) for row in rows]


def _add(view: SavedView, entry: Entry) -> Steps[None]:
    said = replace(entry, what="saved_view.added", on=view.name, after={"url": view.url})
    yield from audit.record(said, view.made_at_us)  # First: who saves another at the same time waits here.
    ((views,),) = yield COUNT, {}
    if views >= MOST_VIEWS:
        raise ViewRefused(f"there are {MOST_VIEWS} saved views already; remove one first")
    values = {"name": view.name, "path": view.path, "query": view.query}
    rows = yield INSERT, {**values, "made_by": view.made_by, "made_at_us": view.made_at_us}
    if not rows:
        raise ViewRefused(f"there is a view {view.name!r} already; take another name, or remove that one first")


def _remove(name: str, entry: Entry, now_us: int) -> Steps[bool]:
    rows = yield DELETE, {"name": name}
    if rows:
        ((path, query),) = rows
        said = replace(entry, what="saved_view.removed", on=name, before={"url": f"{path}?{query}"})
        yield from audit.record(said, now_us)
    return bool(rows)
