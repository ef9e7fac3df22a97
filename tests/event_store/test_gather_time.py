from __future__ import annotations

import pytest

from event_store.gather_time import LEAST_S, MOST_S, GatherTime


@pytest.mark.parametrize(
    ("took_s", "next_s"), [(0.0, LEAST_S), (0.009, 0.009), (MOST_S, MOST_S), (float("inf"), MOST_S)]
)
def test_work_gathers_as_long_as_the_last_piece_took_within_bounds(took_s: float, next_s: float) -> None:
    gather = GatherTime()
    assert gather.seconds == LEAST_S
    gather.took(took_s)
    assert gather.seconds == next_s
