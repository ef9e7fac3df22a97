"""`countinghouse move`: the shop's log and databases copied from files to servers, and held against each other.

The files are locked meanwhile, and not changed. Whatever ends a move, the same command goes on: records that are in the
new log stay there, and a database has all of its rows or none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from backoffice.address import AddressTakenError, listen
from backoffice.databases import Database
from backoffice.failures import CommandFailed
from backoffice.kafka_settings import kafka_options
from backoffice.occupancy import Occupancy
from backoffice.redaction import redacted
from backoffice.settings import Settings, variable
from event_store import postgres_tables
from event_store.connect import file_of, open_copy, open_leases, open_log
from event_store.crash_points import CrashPoints
from event_store.lease import owners_of
from event_store.log_copy import copy_log
from event_store.postgres_address import POSTGRES
from event_store.record import TopicPartition
from event_store.sqlite_tables import SqliteTables, held_tables
from projections.catalogue import PROJECTIONS
from projections.comparison import compare
from projections.connect import open_read_model
from projections.metric import Merge
from projections.read_model import ReadModel, Snapshot, State

from .migrate import migrate_all

Say = Callable[[str], None]
PLACES = ("log_url", "commerce_db_url", "backoffice_db_url")


@dataclass(frozen=True, slots=True)
class Move:
    """From the stores of `old` to those of `new`; the `databases` are those of each."""

    old: Settings
    new: Settings
    old_databases: tuple[Database, Database]
    new_databases: tuple[Database, Database]
    say: Say
    crash_points: CrashPoints

    async def run(self) -> None:
        """Raises CommandFailed where it can't begin, TargetDiffers, and what stores raise."""
        moved = self._moved()
        with self._at_rest():
            await migrate_all([one for one in self.old_databases if one.is_file], lambda _: None)
            await self._refuse_holders()
            with ExitStack() as held:
                files = {name: held.enter_context(held_tables(file)) for name, file in self._files().items()}
                if "log_url" in moved:
                    await self._move_log()
                for name, database in zip(PLACES[1:], self.new_databases, strict=True):
                    if name in moved:
                        await self._move_database(files[name], database)
                if "backoffice_db_url" in moved:
                    await self._compare_figures()
        self._tell(moved)

    def _moved(self) -> list[str]:
        moved = [name for name in PLACES if getattr(self.old, name) != getattr(self.new, name)]
        if not moved:
            raise CommandFailed("The file names the places where everything is already: there is nothing to move.", 2)
        for name in moved:
            (old, new) = (getattr(self.old, name), getattr(self.new, name))
            wanted = "kafka:" if name == "log_url" else f"{POSTGRES}:"
            if file_of(old) is None or not new.startswith(wanted):
                raise CommandFailed(
                    f"{variable(name)}: a move goes from a file to {wanted}//…, not from {redacted(old)} to "
                    f"{redacted(new)}.",
                    2,
                )
        return moved

    def _files(self) -> dict[str, Path]:
        """All that is in files is held, whether it moves or not: a shop stands still as a whole."""
        files = {name: file_of(getattr(self.old, name)) for name in PLACES}
        return {name: file for name, file in files.items() if file is not None}

    @contextmanager
    def _at_rest(self) -> Iterator[None]:
        """Raises OccupiedError or CommandFailed where processes of the shop still run, as far as it can be told."""
        occupancy = Occupancy(self.old.data_dir)
        try:
            listen(self.old.api_host, self.old.api_port).close()
        except AddressTakenError as error:
            occupancy.end()
            raise CommandFailed(
                f"The commerce API still runs, it seems: {error} Stop every process first.", 2
            ) from None
        try:
            yield
        finally:
            occupancy.end()

    async def _refuse_holders(self) -> None:
        for database in self.old_databases:
            leases = open_leases(database.url)
            try:
                holders = sorted(set(owners_of(await leases.holdings("")).values()))
            finally:
                await leases.close()
            if holders:
                raise CommandFailed(
                    f"{', '.join(holders)} still works, or ended a moment ago without giving its leases back. "
                    f"Stop every process; leases run out after {self.old.lease_ttl_s:g} s.",
                    2,
                )

    async def _move_log(self) -> None:
        (source, target) = (open_log(self.old.log_url), open_copy(self.new.log_url, kafka_options(self.new)))

        def progressed(tp: TopicPartition, done: int, of: int) -> None:
            self.crash_points.passing("move.after_records")
            if done == of:
                self.say(f"{tp}: {of} records are there.")

        try:
            records = await copy_log(source, target, progressed)
        finally:
            await source.close()
            await target.close()
        self.say(f"The log: {records} records, all equal.")

    async def _move_database(self, held: SqliteTables, database: Database) -> None:
        await migrate_all([database], self.say)
        await postgres_tables.fill(held, database.url, lambda: self.crash_points.passing("move.before_commit"))
        self.crash_points.passing("move.after_commit")
        compared = await postgres_tables.compare(held, database.url)
        self.say(f"The {database.title}: {sum(compared.rows.values())} rows in {len(compared.rows)} tables, all equal.")
        for table in compared.left_out:
            self.say(f"Its table {table} isn't this program's and was left where it is.")

    async def _compare_figures(self) -> None:
        (old, new) = (open_read_model(one.backoffice_db_url) for one in (self.old, self.new))
        try:
            for generation in await old.generations():
                if generation.state is not State.ABANDONED:
                    await self._compare_generation(old, new, generation.number)
        finally:
            await old.close()
            await new.close()

    async def _compare_generation(self, old: ReadModel, new: ReadModel, number: int) -> None:
        (ours, theirs) = (await old.snapshot(number), await new.snapshot(number))
        comparison = compare(ours, theirs, PROJECTIONS)
        if not comparison.equal:
            raise CommandFailed(f"Generation {number} differs: {comparison.differences[0]}.", 1)
        self.say(
            f"Generation {number}: {_sums(theirs)}; positions, handled sequences and {len(theirs.dead)} dead letters "
            "equal."
        )

    def _tell(self, moved: list[str]) -> None:
        self.say("Everything is in its new place. Start the shop there, with these settings:")
        for name in moved:
            self.say(f"  {variable(name)}={redacted(getattr(self.new, name))}")
        self.say("Start nothing on the old files any more; keep them until you have seen the new place work.")


def _sums(snapshot: Snapshot) -> str:
    """`orders 12, gross_minor 3456, …`"""
    parts = []
    for projection in PROJECTIONS:
        rows = snapshot.rows[projection.name]
        parts += [f"{one.name} {rows[one.name].sum()}" for one in projection.metrics if one.merge is Merge.ADD]
    return ", ".join(parts)
