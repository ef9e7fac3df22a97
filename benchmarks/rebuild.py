"""How fast the figures are rebuilt from offset zero, compared and switched, beside how fast they were counted live.

    python -m benchmarks.rebuild [--events 1000000]

Prints events per second live, rebuilt from the archive, and rebuilt from the log alone, with the ratios, and the
process's peak memory.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import statistics
import tempfile
import time
from pathlib import Path

from backoffice.silence import Silence
from event_store.archive import Archive
from event_store.archiver import Archiver
from event_store.codec import Codec
from event_store.history import History
from event_store.sqlite_leases import SqliteLeases
from event_store.sqlite_log import SqliteLog
from event_store.topics import TOPICS
from projections.catalogue import PROJECTIONS
from projections.projector import Projector
from projections.rebuild import Rebuild
from projections.sqlite_read_model import SqliteReadModel

from .counting import Sequences, count, fill, in_folder
from .shop_events import partitions, rows

RUNS = 3
"""Live and from the archive; the machine's speed changes from one to the next."""


async def rebuilt(folder: Path, history: History) -> float:
    """Seconds from the start of a rebuild to its switch."""
    read_model = SqliteReadModel(folder / "backoffice.db", PROJECTIONS)
    leases = SqliteLeases(folder / "backoffice.db")

    def open_projector(generation: int) -> Projector:
        return Projector(read_model, generation, False, PROJECTIONS, history.codec, dead_letter_limit=None)

    rebuild = Rebuild(read_model, history, leases, PROJECTIONS, open_projector, Silence(), "benchmark")
    started_s = time.perf_counter()
    done = await rebuild.run("benchmark")
    seconds = time.perf_counter() - started_s
    if done.comparison is None or not done.comparison.equal:
        raise SystemExit("the rebuilt figures differ")
    await read_model.close()
    await leases.close()
    return seconds


async def counted_live(folder: Path, log: SqliteLog) -> float:
    """Events per second into a new database, the one that the rebuilds then begin from."""
    for path in (folder / f"backoffice.db{end}" for end in ("", "-wal", "-shm")):
        path.unlink(missing_ok=True)
    return (await count(in_folder(folder), log, 1)).rate


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


async def measure(folder: Path, events: int) -> None:
    log = SqliteLog(folder / "log.db")
    for topic in TOPICS:
        await log.create_topic(topic.name, topic.partitions)
    await fill(log, rows(events), Sequences(partitions()))
    rate = statistics.median([await counted_live(folder, log) for _ in range(RUNS)])
    codec = Codec()
    history = History(log, Archive(folder / "archive", codec), codec)
    from_log_s = await rebuilt(folder, history)
    before_mb = peak_mb()
    sealed = await Archiver(history, Silence(), min_records=1000).seal_all()
    from_archive_s = statistics.median([await rebuilt(folder, history) for _ in range(RUNS)])
    print(f"live: {rate:,.0f} events/s (medians of {RUNS})")
    print(f"rebuilt from {len(sealed)} archive segments: {events / from_archive_s:,.0f} events/s", end=" ")
    print(f"({events / from_archive_s / rate:.1f} x live)")
    print(f"rebuilt from the log: {events / from_log_s:,.0f} events/s ({events / from_log_s / rate:.1f} x live)")
    print(f"peak memory: {before_mb:.0f} MB until then, {peak_mb():.0f} MB with the archive")
    await log.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure(Path(folder), asked.events))


if __name__ == "__main__":
    main()
