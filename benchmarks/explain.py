"""How long the events behind one figure take to find and to show, with a million events of 300 days in the log.

    python -m benchmarks.explain [--events 1000000]

Asks for cells of one product: its views of a day, and what it earned in a day and in all. Each is explained, and the
first hundred of its events are named, as the page does. Prints p50 and p95, from the archive and the end of the log
that isn't sealed yet, and how long one takes where nothing is sealed, so that the whole log is decoded.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from backoffice.behind import EVENTS_A_PAGE, FigureAsked, events_behind
from backoffice.silence import Silence
from event_store.archive import Archive
from event_store.archiver import Archiver
from event_store.codec import Codec
from event_store.history import History
from event_store.sqlite_log import SqliteLog
from event_store.topics import TOPICS
from projections.catalogue import FIGURES, PROJECTIONS
from projections.explain import Explainer
from projections.periods import Range
from projections.sqlite_read_model import SqliteReadModel

from .counting import Sequences, count, fill, in_folder
from .shop_events import PRODUCTS, START, partitions, rows

DAYS = 300
CELLS = 40
SEGMENT_RECORDS = 20_000
"""As COUNTINGHOUSE_ARCHIVE_SEGMENT_RECORDS is by default."""


@dataclass(frozen=True, slots=True)
class Cell:
    metric: str
    days: int


VIEWS_OF_A_DAY = Cell("views", 1)
CELL: Mapping[str, Cell] = {
    "views of one product in one day": VIEWS_OF_A_DAY,
    "gross revenue of one product in one day": Cell("gross_minor", 1),
    "gross revenue of one product in 300 days": Cell("gross_minor", DAYS),
}


def some(cell: Cell, chance: random.Random) -> FigureAsked:
    first = (START + timedelta(days=chance.randrange(DAYS - cell.days + 1))).date()
    days = Range(first, first + timedelta(days=cell.days - 1))
    return FigureAsked(cell.metric, "Europe/London", days, product_id=f"product-{chance.randrange(PRODUCTS)}")


async def timed(explainer: Explainer, asked: Sequence[FigureAsked]) -> tuple[list[float], int]:
    """Milliseconds of each, in order; and how many events there were."""
    (took, events) = ([], 0)
    for one in asked:
        started_s = time.perf_counter()
        found = await events_behind(explainer, one, 0, EVENTS_A_PAGE)
        took.append((time.perf_counter() - started_s) * 1000)
        events += sum(part.explanation.events for part in found)
        if not all(part.explanation.adds_up for part in found):
            raise SystemExit("the events don't add up to the figure")
    return sorted(took), events


async def show(title: str, explainer: Explainer) -> None:
    print(title)
    for name, cell in CELL.items():
        chance = random.Random(name)
        (first, _) = await timed(explainer, [some(cell, chance)])
        (each, events) = await timed(explainer, [some(cell, chance) for _ in range(CELLS)])
        (p50, p95) = (each[len(each) // 2], each[int(len(each) * 0.95)])
        print(f"  {name:<44} p50 {p50:7.1f} ms   p95 {p95:7.1f} ms   the first {first[0]:7.1f} ms   {events} events")


async def measure(folder: Path, events: int) -> None:
    log = SqliteLog(folder / "log.db")
    for topic in TOPICS:
        await log.create_topic(topic.name, topic.partitions)
    await fill(log, rows(events, days=DAYS), Sequences(partitions()))
    await count(in_folder(folder), log, 1)
    codec = Codec()
    history = History(log, Archive(folder / "archive", codec), codec)
    read_model = SqliteReadModel(folder / "backoffice.db", PROJECTIONS)
    (unsealed, _) = await timed(Explainer(read_model, history, FIGURES), [some(VIEWS_OF_A_DAY, random.Random(1))])
    print(f"one from the log alone: {unsealed[0]:,.0f} ms")
    sealed = await Archiver(history, Silence(), min_records=SEGMENT_RECORDS).seal_all()
    await show(f"from {len(sealed)} segments of the archive and the rest", Explainer(read_model, history, FIGURES))
    await read_model.close()
    await log.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure(Path(folder), asked.events))


if __name__ == "__main__":
    main()
