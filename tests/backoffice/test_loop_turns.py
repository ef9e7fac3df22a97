"""A turn of the event loop that takes too long is seen, in a loop that is otherwise left alone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from backoffice.loop_turns import BLOCKED_S, WINDOW_S, LoopTurns

LAG = "countinghouse_event_loop_lag_seconds"
BLOCKED = "countinghouse_event_loop_blocked_total"


def measured(turns: LoopTurns) -> tuple[float, float]:
    registry = CollectorRegistry()
    registry.register(turns)
    (lag, blocked) = (registry.get_sample_value(LAG), registry.get_sample_value(BLOCKED))
    assert lag is not None
    assert blocked is not None
    return lag, blocked


def run(turns: LoopTurns, work: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=turns.new_loop) as runner:
        runner.run(work)


def test_a_blocked_loop_shows_how_long_it_was_blocked() -> None:
    turns = LoopTurns()

    async def block() -> None:
        await asyncio.sleep(0.01)
        time.sleep(2 * BLOCKED_S)  # noqa: ASYNC251 - this is what must not happen, and must be seen
        await asyncio.sleep(0.01)

    run(turns, block())
    (lag, blocked) = measured(turns)
    assert lag >= 2 * BLOCKED_S
    assert blocked >= 1


def test_a_loop_that_waits_is_not_blocked() -> None:
    now = [0.0]
    turns = LoopTurns(lambda: now[0])

    async def wait() -> None:
        now[0] += 0.002
        await asyncio.sleep(0.05)

    run(turns, wait())
    (lag, blocked) = measured(turns)
    assert lag == pytest.approx(0.002)
    assert blocked == 0


def test_the_turn_under_way_counts_before_it_ends() -> None:
    now = [0.0]
    turns = LoopTurns(lambda: now[0])
    turns.begin()
    now[0] = 7.0
    assert (turns.turning_s, turns.longest_s) == (7.0, 7.0)
    turns.end()
    assert (turns.turning_s, turns.longest_s) == (0.0, 7.0)


def test_the_longest_turn_is_remembered_for_a_window_and_forgotten_after_two() -> None:
    now = [0.0]
    turns = LoopTurns(lambda: now[0])
    turns.begin()
    now[0] += 3.0
    turns.end()
    now[0] = WINDOW_S + 1
    assert turns.longest_s == 3.0
    now[0] = 2 * WINDOW_S + 2
    assert turns.longest_s == 0.0
    assert measured(turns) == (0.0, 1.0)
