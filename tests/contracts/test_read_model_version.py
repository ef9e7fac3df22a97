"""What every read model promises of its version: it changes with the figures, goes forward, and is the same for all."""

from __future__ import annotations

from backoffice.cached_figures import rank_of, tag_of
from projections.read_model import ReadModel

from .conftest import Elapse, Open
from .effects import OTHER, TP, Batch, commit, sold


async def test_nothing_counted_is_a_version_too(read_model: ReadModel, open_read_model: Open[ReadModel]) -> None:
    version = await read_model.version()
    assert version.generation == await read_model.serving()
    assert (version.offset, version.positions) == (0, ())
    assert await (await open_read_model()).version() == version


async def test_every_batch_makes_a_newer_version(read_model: ReadModel, open_read_model: Open[ReadModel]) -> None:
    number = await read_model.serving()
    seen = [await read_model.version()]
    for tp in (TP, OTHER, TP):
        await commit(read_model, number, Batch(2, sold("a", 1), tp=tp))
        seen.append(await read_model.version())
    assert [one.offset for one in seen] == [0, 2, 4, 6]
    assert seen[-1].positions == ((OTHER, 2, 14), (TP, 4, 28))
    assert len({tag_of(one) for one in seen}) == 4
    assert [rank_of(one) for one in seen] == sorted({rank_of(one) for one in seen})
    assert await (await open_read_model()).version() == seen[-1]


async def test_what_changes_no_figure_leaves_the_version(read_model: ReadModel) -> None:
    number = await read_model.serving()
    await commit(read_model, number, Batch(2, sold("a", 1)))
    before = await read_model.version()
    await read_model.note_stop(number, TP, "looked at")
    await read_model.note_stop(number, OTHER, None)
    second = await read_model.begin_generation("rebuild")
    await commit(read_model, second, Batch(1, sold("a", 1)), serving=False)
    assert await read_model.version() == before


async def test_a_switch_makes_a_newer_version_whichever_generation_serves(
    read_model: ReadModel, elapse: Elapse
) -> None:
    first = await read_model.serving()
    await commit(read_model, first, Batch(2, sold("a", 1)))
    second = await read_model.begin_generation("rebuild")
    await commit(read_model, second, Batch(2, sold("a", 1)), serving=False)
    seen = [await read_model.version()]
    for number in (second, first, second):
        await elapse(0.01)
        await read_model.switch(number, "and back")
        seen.append(await read_model.version())
    assert [one.generation for one in seen] == [first, second, first, second]
    assert [rank_of(one) for one in seen] == sorted({rank_of(one) for one in seen})
    assert len({tag_of(one) for one in seen}) == 4


async def test_the_signing_key_is_one_for_all_who_read_the_database(
    read_model: ReadModel, open_read_model: Open[ReadModel]
) -> None:
    key = await read_model.signing_key()
    assert len(key) == 32
    assert len(set(key)) > 8
    assert await (await open_read_model()).signing_key() == key
