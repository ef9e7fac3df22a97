"""The handled ranges are a set of sequences, whatever comes in whatever order."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from event_store.handled import HandledRanges

SEQUENCES = st.integers(1, 60)
CALLS = st.lists(st.lists(SEQUENCES, max_size=30), max_size=8)


def members(ranges: HandledRanges) -> set[int]:
    return {sequence for first, last in ranges.ranges for sequence in range(first, last + 1)}


def admitted(calls: list[list[int]]) -> HandledRanges:
    handled = HandledRanges()
    for sequences in calls:
        handled = handled.admit(sequences)[0]
    return handled


@given(CALLS)
def test_the_ranges_hold_exactly_what_was_admitted(calls: list[list[int]]) -> None:
    assert members(admitted(calls)) == {sequence for sequences in calls for sequence in sequences}


@given(CALLS)
def test_the_ranges_are_sorted_and_neither_touch_nor_overlap(calls: list[list[int]]) -> None:
    ranges = admitted(calls).ranges
    assert all(first <= last for first, last in ranges)
    assert all(last + 1 < first for (_, last), (first, _) in pairwise(ranges))


@given(CALLS, st.integers(-1, 62))
def test_a_sequence_is_in_the_ranges_when_it_was_admitted(calls: list[list[int]], sequence: int) -> None:
    handled = admitted(calls)
    assert (sequence in handled) == (sequence in members(handled))


@given(CALLS)
def test_the_top_is_the_highest_sequence(calls: list[list[int]]) -> None:
    handled = admitted(calls)
    assert handled.top == max(members(handled), default=0)


@given(CALLS)
def test_the_holes_are_what_is_missing_below_the_top(calls: list[list[int]]) -> None:
    handled = admitted(calls)
    holes = handled.holes()
    missing = {sequence for first, last in holes for sequence in range(first, last + 1)}
    assert missing == set(range(1, handled.top + 1)) - members(handled)
    assert all(last + 1 < first for (_, last), (first, _) in pairwise(holes))


@given(CALLS, st.lists(SEQUENCES, max_size=30))
def test_what_was_handled_or_came_before_in_the_same_call_is_repeated(
    calls: list[list[int]], sequences: list[int]
) -> None:
    handled = admitted(calls)
    seen = members(handled)
    expected = []
    for index, sequence in enumerate(sequences):
        if sequence in seen:
            expected.append(index)
        seen.add(sequence)
    assert handled.admit(sequences)[1] == expected


@given(CALLS, st.lists(SEQUENCES, max_size=30))
def test_admitting_changes_nothing_that_was_there(calls: list[list[int]], sequences: list[int]) -> None:
    handled = admitted(calls)
    before = handled.ranges
    handled.admit(sequences)
    assert handled.ranges == before


@given(CALLS, st.integers(1, 70), st.integers(0, 20), st.sampled_from([1, 2, -1]))
def test_a_range_is_admitted_as_the_list_of_its_sequences_is(
    calls: list[list[int]], first: int, length: int, step: int
) -> None:
    handled = admitted(calls)
    run = range(first, first + length * step, step)
    if min(run, default=1) >= 1:
        assert handled.admit(run) == handled.admit(list(run))


@given(st.permutations(range(1, 30)), st.integers(1, 28))
def test_any_order_and_split_of_a_lane_ends_in_one_range(order: list[int], cut: int) -> None:
    assert admitted([order[:cut], order[cut:], order[:cut]]).ranges == ((1, 29),)


def test_ten_million_sequences_in_order_are_one_range() -> None:
    handled = HandledRanges()
    for first in range(1, 10_000_001, 100_000):
        (handled, repeated) = handled.admit(range(first, first + 100_000))
        assert repeated == []
    assert handled.ranges == ((1, 10_000_000),)
