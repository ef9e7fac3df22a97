"""Records that decode and still can't be counted: found, kept as dead letters, and nothing beside them lost."""

from __future__ import annotations

import pytest

from event_store.envelope import stamp
from event_store.events import Line as OrderLine
from event_store.events import PaymentCompleted, ProductView
from event_store.record import TopicPartition
from projections.catalogue import PROJECTIONS
from projections.explain import Explainer
from projections.explained import one_cell
from projections.projector import Projector
from projections.read_model import Period, ReadModel
from projections.sqlite_read_model import SqliteReadModel
from tests.simulation.oracle import oracle_of

from .line import CATALOG, NOON, Line, assert_figures

ORDERS = TopicPartition("order-events", 0)
SOURCE = "/countinghouse/commerce/1"
HUGE = 2000 * 10**15
"""The gross of one huge order: four of them fit into 64 bits, five don't."""


def _orders(line: Line) -> list[bytes]:
    """Small ones, and the five that don't fit; the fifth stands at offset 7."""
    small = [OrderLine("lantern", 1, 5)]
    huge = [OrderLine("lantern", 1, 10**15)] * 2000
    lines = [small, huge, huge, small, huge, small, huge, huge, small, small]
    return [
        stamp(line.codec.draft(PaymentCompleted(f"o{n}", f"p{n}", "GBP", one), NOON).payload, SOURCE, n + 1)
        for n, one in enumerate(lines)
    ]


async def _live(line: Line, figures: ReadModel, max_records: int) -> list[bytes]:
    values = _orders(line)
    await line.append(ORDERS, values)
    projector = Projector(figures, await figures.serving(), True, PROJECTIONS, line.codec)
    await line.count_live(ORDERS, projector, max_records)
    return values


@pytest.mark.parametrize("max_records", [1, 3, 3000])
async def test_an_order_that_would_overflow_a_figure_is_buried_alone(
    line: Line, figures: ReadModel, max_records: int
) -> None:
    values = await _live(line, figures, max_records)
    (letter,) = await figures.dead_letters(1)
    assert (letter.offset, letter.reason, letter.raw) == (7, "UNCOUNTABLE", values[7])
    await assert_figures(figures, oracle_of([*values[:7], *values[8:]]))
    (progress,) = await figures.progress(1)
    assert (progress.next_offset, progress.holes) == (10, {})


async def test_the_largest_figure_that_fits_is_counted(line: Line, sqlite_figures: SqliteReadModel) -> None:
    rest = 2**63 - 1 - 4 * HUGE
    lines = [OrderLine("lantern", 1, 10**15)] * (rest // 10**15) + [OrderLine("lantern", 1, rest % 10**15)]
    orders = [[OrderLine("lantern", 1, 10**15)] * 2000] * 4 + [lines]
    drafts = [line.codec.draft(PaymentCompleted(f"o{n}", f"p{n}", "GBP", one), NOON) for n, one in enumerate(orders)]
    await line.append(ORDERS, [stamp(draft.payload, SOURCE, n + 1) for n, draft in enumerate(drafts)])
    projector = Projector(sqlite_figures, 1, True, PROJECTIONS, line.codec)
    await sqlite_figures.serving()
    await line.count_live(ORDERS, projector)
    assert (await sqlite_figures.rows(1, "sales"))["gross_minor"].to_list() == [2**63 - 1]
    assert not await sqlite_figures.dead_letters(1)


async def test_a_rebuild_buries_the_same_record_and_comes_out_equal(
    line: Line, sqlite_figures: SqliteReadModel
) -> None:
    await _live(line, sqlite_figures, 4)
    rebuilt = await line.rebuild(read_model=sqlite_figures).run("prove it")
    assert rebuilt.comparison is not None
    assert rebuilt.comparison.equal
    assert await sqlite_figures.serving() == 2
    assert [letter.offset for letter in await sqlite_figures.dead_letters(2)] == [7]


@pytest.mark.parametrize("product", ["lantern", "teapot"])
async def test_the_figure_without_it_is_explained_without_it(
    line: Line, sqlite_figures: SqliteReadModel, product: str
) -> None:
    await _live(line, sqlite_figures, 3000)
    explainer = Explainer(sqlite_figures, line.history(), PROJECTIONS)
    for one in await explainer.explain(one_cell("gross_minor", product, Period("ever", 0, 2**40))):
        assert one.adds_up
        assert 7 not in [part.offset for part in await explainer.contributions(one)]


async def test_an_event_refused_for_its_time_stays_uncounted_when_it_comes_again_later(line: Line) -> None:
    """Its sequence was handled: the second record is a duplicate, though it could be read now."""
    value = stamp(line.codec.draft(ProductView("lantern", "v", "GBP"), NOON).payload, SOURCE, 1)
    await line.append(CATALOG, [value, value])
    line.log._partitions[CATALOG].appended_at_us[0] = int(NOON.timestamp() * 1e6) - 10**9
    await line.count_all()
    (letter,) = await line.read_model.dead_letters(1)
    assert (letter.reason, letter.offset) == ("FUTURE_TIME", 0)
    explanations = await Explainer(line.read_model, line.history(), PROJECTIONS).explain(
        one_cell("views", "lantern", Period("ever", 0, 2**40))
    )
    assert all(one.adds_up for one in explanations)
    rebuilt = await line.rebuild().run("prove it")
    assert rebuilt.comparison is not None
    assert rebuilt.comparison.equal
