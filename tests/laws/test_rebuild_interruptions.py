"""A rebuild broken off at every await and failing at every call: it is done, or the serving figures are as before."""

from __future__ import annotations

import pytest

from event_store.backoff import Backoff
from event_store.errors import LogUnavailable, StorageUnavailable, TransientError
from event_store.history import History
from projections.catalogue import PROJECTIONS
from projections.projector import Projector
from projections.read_model import State
from projections.rebuild import Rebuild

from .histories import events_of_every_kind
from .line import Line, assert_figures, in_virtual_time
from .test_interruptions import MOST, Calls, broken_off


async def _counted(line: Line) -> None:
    line.write([event.payload for event in events_of_every_kind()])
    await line.relay_all()
    await line.count_all()


def _rebuild(line: Line, calls: Calls) -> Rebuild:
    figures = calls.of(line.read_model, StorageUnavailable)
    ours = line.history()
    return Rebuild(
        figures,
        History(calls.of(line.log, LogUnavailable), ours.archive, ours.codec),
        calls.of(line.leases, StorageUnavailable),
        PROJECTIONS,
        lambda generation: Projector(figures, generation, False, PROJECTIONS, line.codec, dead_letter_limit=None),
        line.observed,
        "rebuild",
        backoff=Backoff(0.01, 0.02),
    )


async def _sound(line: Line) -> None:
    """One generation serves, and its figures are exact; none but the newest is half built."""
    await assert_figures(line.read_model, line.oracle())
    states = [one.state for one in await line.read_model.generations()]
    assert states.count(State.SERVING) == 1
    assert State.BUILDING not in states[:-1]


@pytest.mark.parametrize("acted", [False, True], ids=["before it acts", "after it acted"])
def test_a_rebuild_in_which_any_one_call_fails_is_done_or_changes_nothing(*, acted: bool) -> None:
    failed: set[str] = set()
    for failing in range(1, 500):
        calls = Calls(failing, acted)

        async def course(line: Line, calls: Calls = calls) -> None:
            await _counted(line)
            try:
                await _rebuild(line, calls).run("prove it")
            except TransientError:
                assert await line.read_model.serving() == 1
            else:
                assert await line.read_model.serving() == 2
                assert line.observed.comparisons[-1].equal
            await _sound(line)
            await line.rebuild().run("once more")
            await _sound(line)

        in_virtual_time(course)
        failed |= set(calls.failed)
        if not calls.failed:
            break
    assert 20 < failing < 499
    assert {"serving", "begin_generation", "commit", "snapshot", "switch", "take", "read", "topics"} <= failed


def test_a_rebuild_broken_off_at_every_await_leaves_the_figures_as_they_are_and_can_be_made_again() -> None:
    async def break_off(line: Line) -> None:
        await _counted(line)
        for after in range(10 * MOST):
            running = await broken_off(line.rebuild().run(f"attempt {after}"), after)
            await _sound(line)
            if not running:
                break
        assert 20 < after < 10 * MOST - 1
        assert await line.read_model.serving() > 1
        await line.rebuild().run("the last one")
        await _sound(line)

    in_virtual_time(break_off)
