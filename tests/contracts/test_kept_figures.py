"""Figures that are kept in memory are the database's, over every read model, and whatever has changed meanwhile."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from projections.kept_figures import KeptFigures
from projections.memory_read_model import MemoryReadModel
from projections.read_model import ReadModel

from .changing_figures import ChangingFigures, outcome, same
from .conftest import Elapse, Open

STEPS = 30


async def lived(kept: KeptFigures, shop: ChangingFigures, elapse: Elapse) -> Counter[str]:
    """How often an answer came from memory, from the database, or was none."""
    tally: Counter[str] = Counter()
    for _ in range(STEPS):
        for _ in range(shop.chance.choice((0, 1, 1, 3))):
            await elapse(0.000002)
            await shop.change()
        question = shop.question()
        (found, expected) = (await outcome(kept, question), await outcome(shop.read_model, question))
        assert same(found, expected), (question, found, expected)
        current = await shop.read_model.version()
        assert kept.keeps in (None, current)
        tally["refused" if isinstance(found, str) else "kept" if kept.keeps else "asked"] += 1
        await kept.read_everything()
    return tally


@pytest.mark.parametrize("seed", range(3))
async def test_kept_figures_are_those_of_the_database(
    open_read_model: Open[ReadModel], elapse: Elapse, seed: int
) -> None:
    shop = ChangingFigures(await open_read_model(), random.Random(seed), huge=seed == 2)
    kept = KeptFigures(await open_read_model(), clock=lambda: 0.0)
    tally = await lived(kept, shop, elapse)
    assert tally["kept"] > tally["asked"] > 0
    assert bool(tally["refused"]) == shop.huge


async def test_more_rows_than_may_be_kept_are_the_databases_to_answer_for(
    open_read_model: Open[ReadModel], elapse: Elapse
) -> None:
    shop = ChangingFigures(await open_read_model(), random.Random(4))
    kept = KeptFigures(await open_read_model(), most_rows=60, clock=lambda: 0.0)
    tally = await lived(kept, shop, elapse)
    assert tally["kept"] > 0
    assert kept.keeps is None
    await kept.read_everything()
    assert kept.keeps is None


async def test_a_batch_of_which_nobody_took_note_is_seen_all_the_same(
    open_read_model: Open[ReadModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A version of the program counted it that knows nothing of touched days."""
    shop = ChangingFigures(await open_read_model(), random.Random(5))
    if isinstance(shop.read_model, MemoryReadModel):
        return
    kept = KeptFigures(await open_read_model(), clock=lambda: 0.0)
    for is_noted in (True, False, True, True, False, False, True):
        await kept.read_everything()
        with monkeypatch.context() as patched:
            if not is_noted:
                patched.setattr("projections.sqlite_touched_days.note", lambda *_: None)
                patched.setattr("projections.postgres_touched_days.note", _nothing)
            for _ in range(3):
                await shop.change()
        question = shop.question()
        assert same(await outcome(kept, question), await outcome(shop.read_model, question))


async def _nothing(*_: object) -> None:
    return
