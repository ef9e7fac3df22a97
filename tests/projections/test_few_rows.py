"""Few facts are added up without polars' own grouping, and never to another figure."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from event_store.events import LikeChanged, Payload, PaymentCompleted, PaymentRefunded, ProductListed, ProductView
from event_store.facts import FACTS, Facts
from projections import projection
from projections.catalogue import PROJECTIONS
from projections.projection import Projection

EVENTS: tuple[type[Payload], ...] = (ProductListed, ProductView, LikeChanged, PaymentCompleted, PaymentRefunded)
LARGEST = 2**63 - 1
TEXTS = st.sampled_from(["A", "a", "é", "\U0001f600", "\uffff"])
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "offset": st.integers(0, 9),
    "bucket": st.integers(0, 3).map(lambda number: 900 * number),
    "sale_bucket": st.none() | st.integers(0, 3).map(lambda number: 900 * number),
    "product_id": TEXTS,
    "currency": st.sampled_from(["GBP", "EUR"]),
    "name": TEXTS,
    "delta": st.sampled_from([1, -1]),
    "amount_minor": st.integers(0, 10**15) | st.just(LARGEST),
}


@st.composite
def facts(draw: st.DrawFn) -> Facts:
    found = {}
    for event in EVENTS:
        columns = FACTS[event]
        row = st.tuples(*(VALUES.get(name, st.integers(0, 5)) for name in columns))
        rows = draw(st.lists(row, max_size=6))
        if rows:
            found[event.__name__] = pl.DataFrame(rows, schema=columns, orient="row")
    return found


def added_up(one: Projection, of: Facts, few_rows: int, monkeypatch: pytest.MonkeyPatch) -> pl.DataFrame | str | None:
    with monkeypatch.context() as patch:
        patch.setattr(projection, "FEW_ROWS", few_rows)
        try:
            return one.increments(of)
        except OverflowError as error:
            return str(error)


@given(of=facts())
def test_few_facts_add_up_to_what_many_would(of: Facts) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        for one in PROJECTIONS:
            (few, many) = (added_up(one, of, few_rows, monkeypatch) for few_rows in (100, -1))
            if isinstance(few, pl.DataFrame) and isinstance(many, pl.DataFrame):
                assert few.schema == many.schema
                assert few.equals(many)
            else:
                assert few is many or few == many
