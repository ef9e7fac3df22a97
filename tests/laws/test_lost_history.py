"""A log that is not the one that was counted: counting stops and says so, and no offset is ever reset."""

from __future__ import annotations

from pathlib import Path

import pytest

from backoffice.silence import Silence
from event_store.archiver import Archiver
from event_store.errors import HistoryLost, LogChanged, Stop
from event_store.memory_log import MemoryLog
from projections.catalogue import PROJECTIONS
from projections.projector import Projector
from projections.read_model import ReadModel

from .histories import events_of_every_kind
from .line import CATALOG, TOPICS, Line, assert_figures


def _values(source: str) -> list[bytes | None]:
    return [event.placed(source, number) for number, event in enumerate(events_of_every_kind(), start=1)]


async def _counted(line: Line, figures: ReadModel) -> None:
    await line.append(CATALOG, _values("/a"))
    await line.count_all(figures)


async def _replaced(line: Line, values: list[bytes | None]) -> None:
    line.log = MemoryLog(line.now_us)
    for topic, partitions in TOPICS.items():
        await line.log.create_topic(topic, partitions)
    if values:
        await line.append(CATALOG, values)


REPLACEMENTS: dict[str, tuple[list[bytes | None], type[Stop]]] = {
    "emptied": ([], HistoryLost),
    "shorter": (_values("/a")[:3], HistoryLost),
    "shorter by one": (_values("/a")[:-1], HistoryLost),
    "as long, and other events": (_values("/b"), LogChanged),
    "longer, and other events": (_values("/b") * 2, LogChanged),
    "the last record rewritten": ([*_values("/a")[:-1], b"{}"], LogChanged),
    "the last record a tombstone": ([*_values("/a")[:-1], None], LogChanged),
}


WHAT_TO_DO: dict[type[Stop], str] = {
    HistoryLost: r"8 records were counted, and the log ends at offset [037]: .*Put the log back as it was",
    LogChanged: r"at offset 7 is not the one.*Nothing was reset. Put the log back; or.*rebuild --accept-differences",
}


@pytest.mark.parametrize("replacement", REPLACEMENTS)
async def test_a_topic_made_anew_or_cut_off_stops_its_partition(
    line: Line, figures: ReadModel, replacement: str
) -> None:
    await _counted(line, figures)
    (position, expected) = (await figures.position(1, CATALOG), line.oracle())
    (values, stop) = REPLACEMENTS[replacement]
    await _replaced(line, values)
    projector = Projector(figures, 1, True, PROJECTIONS, line.codec)
    with pytest.raises(stop, match=WHAT_TO_DO[stop]):
        await line.partition(CATALOG, projector).run()
    assert await figures.position(1, CATALOG) == position
    await assert_figures(figures, expected)


async def test_a_log_that_forgot_what_is_not_yet_counted_stops_the_partition(line: Line, figures: ReadModel) -> None:
    await _counted(line, figures)
    await line.append(CATALOG, _values("/b"))
    line.log.forget_before(CATALOG, 12)
    projector = Projector(figures, 1, True, PROJECTIONS, line.codec)
    with pytest.raises(HistoryLost, match="catalog-events/0"):
        await line.partition(CATALOG, projector).run()
    assert (await figures.position(1, CATALOG)).next_offset == 8


async def test_a_rebuild_refuses_where_offset_zero_is_gone_and_nobody_kept_it(line: Line, figures: ReadModel) -> None:
    await _counted(line, figures)
    line.log.forget_before(CATALOG, 3)
    with pytest.raises(HistoryLost, match=r"offsets 0 to 2 are neither in the archive nor in the log"):
        await line.rebuild(read_model=figures).run("prove it")
    assert [one.number for one in await figures.generations()] == [1]


@pytest.mark.parametrize("archived", [False, True], ids=["without archive", "with archive"])
@pytest.mark.parametrize("left", [0, 3, 7])
async def test_a_log_without_its_end_is_never_rebuilt_from_whatever_is_accepted(
    line: Line, figures: ReadModel, tmp_path: Path, left: int, *, archived: bool
) -> None:
    await _counted(line, figures)
    expected = line.oracle()
    if archived:
        await Archiver(line.history(tmp_path), Silence(), min_records=1).seal_all()
    await _replaced(line, _values("/a")[:left])
    for reason in (None, "it will do"):
        with pytest.raises(HistoryLost, match=rf"catalog-events/0: the log ends at offset {left}.*is missing.*back"):
            await line.rebuild(line.history(tmp_path), figures).run("try it", accept_differences=reason)
    assert await figures.serving() == 1
    await assert_figures(figures, expected)


async def test_what_the_log_forgot_is_rebuilt_from_the_archive(line: Line, figures: ReadModel, tmp_path: Path) -> None:
    await _counted(line, figures)
    expected = line.oracle()
    history = line.history(tmp_path)
    await Archiver(history, Silence(), min_records=1).seal_all()
    line.log.forget_before(CATALOG, 8)
    rebuilt = await line.rebuild(history, figures).run("prove it")
    assert rebuilt.comparison is not None
    assert rebuilt.comparison.equal
    await assert_figures(figures, expected)
