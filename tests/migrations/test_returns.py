"""Figures that an earlier version counted, which kept no refunds by the day of their sale."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path

from event_store.revisions import LEASES, Revisions
from projections.connect import open_read_model
from projections.figures import Question, figures
from projections.read_model import ReadModel
from projections.returns import RETURNS
from projections.revisions import FIGURES
from projections.sales import SALES
from tests.contracts.effects import NOON, Batch, commit, rows

from .places import Place

A_DAY = 86_400


def _before_returns(folder: Path) -> Revisions:
    newer = shutil.ignore_patterns("__pycache__", "figures_0004*", "figures_0005*")
    shutil.copytree(FIGURES.folder, folder, ignore=newer)
    return Revisions(FIGURES.name, folder)


async def _by_day(read_model: ReadModel) -> dict[date, tuple[int, ...]]:
    names = ("refunds", "untraced_refunds", "untraced_refunded_minor", "sale_refunds", "sale_refunded_minor")
    answer = await figures(read_model, Question(("day",)))
    return {row["day"]: tuple(row[name] for name in names) for row in answer.to_dicts()}


async def test_what_was_refunded_before_is_of_unknown_sales_and_what_comes_after_stands_by_its_sale(
    place: Place, tmp_path: Path
) -> None:
    await place.migrate(LEASES, _before_returns(tmp_path / "earlier"))
    await place.run(
        "INSERT INTO generation (state, created_at_us, served_at_us, note) VALUES ('serving', 1, 1, 'the first')",
        "INSERT INTO sales (generation, bucket, product_id, currency, orders, units_sold, gross_minor, "
        "refunds, units_refunded, refunded_minor) VALUES (1, 1299240000, 'a', 'GBP', 5, 5, 500, 2, 2, 150)",
    )
    await place.migrate(FIGURES)
    read_model = open_read_model(place.url)
    (march, after) = (date(2011, 3, 4), date(2011, 3, 5))
    assert await _by_day(read_model) == {march: (2, 2, 150, 0, 0)}
    later = {"product_id": "a", "bucket": NOON + A_DAY}
    increments = {
        **rows(SALES, {**later, "refunds": 1, "units_refunded": 1, "refunded_minor": 100}),
        **rows(
            RETURNS,
            {**later, "traced_refunds": 1, "traced_refunded_minor": 100},
            {"product_id": "a", "sale_refunds": 1, "sale_refunded_minor": 100},
        ),
    }
    await commit(read_model, 1, Batch(1, increments))
    assert await _by_day(read_model) == {march: (2, 2, 150, 1, 100), after: (1, 0, 0, 0, 0)}
    await read_model.close()
