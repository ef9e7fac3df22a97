"""Events that a reader doesn't know yet: kept, and counted by the rebuild that a newer reader makes."""

from __future__ import annotations

from pathlib import Path

import pytest

from backoffice.silence import Silence
from event_store.archiver import Archiver
from event_store.codec import Codec
from event_store.events import EVENT_TYPES
from event_store.record import TopicPartition
from projections.catalogue import PROJECTIONS
from projections.figures import Question, figures
from projections.projector import Projector
from projections.read_model import ReadModel
from projections.rebuild import RebuildRefused
from projections.returns import RETURNS
from tests.simulation.oracle import oracle_of

from .histories import events_of_every_kind
from .line import CATALOG, Line, assert_figures

LINE = TopicPartition("order-events", 0)
UNKNOWN = ("LikeChanged", "PaymentRefunded")


def _older() -> Codec:
    return Codec(event_types=[kind for kind in EVENT_TYPES if kind.name not in UNKNOWN])


async def _counted_by_an_older_reader(line: Line, figures: ReadModel) -> None:
    kinds = events_of_every_kind()
    await line.append(CATALOG, [event.placed("/a", number) for number, event in enumerate(kinds, start=1)])
    await line.append(CATALOG, [kinds[3].placed("/a", 4)])
    newer = line.codec
    line.codec = _older()
    await line.count_all(figures)
    line.codec = newer


@pytest.mark.parametrize("archived", [True, False])
async def test_what_was_unknown_is_counted_after_the_upgrade_by_a_rebuild_whose_difference_is_accepted(
    line: Line, figures: ReadModel, tmp_path: Path, *, archived: bool
) -> None:
    await _counted_by_an_older_reader(line, figures)
    values = line.shown()
    unknown = [3, 4, 6]
    known = [value for offset, value in enumerate(values) if offset not in [*unknown, 8]]
    await assert_figures(figures, oracle_of(known))
    letters = await figures.dead_letters(1)
    assert sorted(letter.offset for letter in letters) == unknown
    assert {letter.reason for letter in letters} == {"UNKNOWN_TYPE"}
    if archived:
        await Archiver(line.history(tmp_path, _older()), Silence(), min_records=1).seal_all()
    rebuild = line.rebuild(line.history(tmp_path), figures)
    with pytest.raises(RebuildRefused, match="accept-differences") as refused:
        await rebuild.run("upgraded")
    assert {one.where for one in refused.value.comparison.differences} == {
        "interest",
        "returns",
        "sales",
        "dead letter",
    }
    assert await figures.serving() == 1
    await assert_figures(figures, oracle_of(known))
    rebuilt = await rebuild.run("upgraded", accept_differences="the reader knows likes and refunds now")
    assert await figures.serving() == rebuilt.generation
    await assert_figures(figures, oracle_of(values))
    assert not await figures.dead_letters(rebuilt.generation)
    notes = {one.number: one.note for one in await figures.generations()}
    assert notes[rebuilt.generation].endswith("differences accepted: the reader knows likes and refunds now")


async def test_refunds_that_an_older_consumer_counted_are_of_unknown_sales_until_a_rebuild_which_names_them(
    line: Line,
) -> None:
    """While consumers of two versions count, of which the older one reads over what a refund says of its sale."""
    kinds = events_of_every_kind()
    await line.append(CATALOG, [event.placed("/a", number) for number, event in enumerate(kinds, start=1)])
    older = [one for one in PROJECTIONS if one is not RETURNS]
    await Projector(line.read_model, 1, True, older, line.codec).apply(await line.log.read(CATALOG, 0))
    assert await _refunds(line.read_model) == (1, 1, 0)
    rebuild = line.rebuild()
    with pytest.raises(RebuildRefused) as refused:
        await rebuild.run("upgraded")
    assert {one.where for one in refused.value.comparison.differences} == {"returns"}
    await rebuild.run("upgraded", accept_differences="refunds say when their sale was")
    assert await _refunds(line.read_model) == (1, 0, 1)


async def _refunds(read_model: ReadModel) -> tuple[int, int, int]:
    """All, those of unknown sales, and those by the day of their sale."""
    (row,) = (await figures(read_model, Question(products=("lantern",)))).filter(currency="GBP").to_dicts()
    return row["refunds"], row["untraced_refunds"], row["sale_refunds"]


async def test_the_old_figures_serve_again_after_a_rollback_and_catch_up(line: Line, figures: ReadModel) -> None:
    await _counted_by_an_older_reader(line, figures)
    await line.rebuild(read_model=figures).run("upgraded", accept_differences="they are right")
    extra = events_of_every_kind()[1].placed("/a", 9)
    await line.append(CATALOG, [extra])
    back = await line.rebuild(read_model=figures).roll_back("they were not")
    assert (back.generation, await figures.serving()) == (1, 1)
    known = [value for offset, value in enumerate(line.shown()) if offset not in [3, 4, 6, 8]]
    await assert_figures(figures, oracle_of(known))
    again = await line.rebuild(read_model=figures).roll_back("they were, after all")
    await assert_figures(figures, line.oracle())
    assert await figures.serving() == again.generation


async def test_a_batch_made_for_a_generation_that_serves_no_more_is_refused_and_nothing_of_it_kept(
    line: Line, figures: ReadModel
) -> None:
    from event_store.errors import GenerationChanged

    kinds = events_of_every_kind()
    await line.append(CATALOG, [event.placed("/a", number) for number, event in enumerate(kinds, start=1)])
    await figures.serving()
    stale = Projector(figures, 1, True, PROJECTIONS, line.codec)
    await stale.apply((await line.log.read(CATALOG, 0)).slice(0, 4))
    await line.rebuild(read_model=figures).run("meanwhile")
    with pytest.raises(GenerationChanged):
        await stale.apply((await line.log.read(CATALOG, 0)).slice(4, 8))
    assert not stale._positions
    assert (await figures.position(1, CATALOG)).next_offset == 4
    await assert_figures(figures, line.oracle(), 2)
