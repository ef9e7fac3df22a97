"""Pieces of a few texts are the list of the values that they were made from."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from event_store.pieces import Pieces, joined
from event_store.record import RecordBatch, TopicPartition
from event_store.record import joined as joined_batches

VALUES = st.lists(st.none() | st.binary(max_size=5), max_size=12)
PARTS = st.lists(VALUES, max_size=4)
TP = TopicPartition("catalog-events", 0)


def pieces_of(parts: list[list[bytes | None]]) -> Pieces:
    return Pieces(part for values in parts for part in Pieces.of(values).parts)


@given(PARTS)
def test_pieces_are_their_values(parts: list[list[bytes | None]]) -> None:
    (pieces, values) = (pieces_of(parts), [value for values in parts for value in values])
    assert list(pieces) == values
    assert len(pieces) == len(values)
    assert [pieces[index] for index in range(-len(values), len(values))] == [*values, *values]
    assert pieces == values
    assert (None in pieces) == (None in values)


@given(PARTS, st.integers(-15, 50), st.integers(-15, 50))
def test_a_slice_of_pieces_is_that_of_their_values(parts: list[list[bytes | None]], start: int, stop: int) -> None:
    values = [value for values in parts for value in values]
    assert list(pieces_of(parts)[start:stop]) == values[start:stop]
    assert list(pieces_of(parts)[start:]) == values[start:]


@given(VALUES)
def test_a_piece_beyond_the_last_is_none(values: list[bytes | None]) -> None:
    for index in (len(values), -len(values) - 1):
        with pytest.raises(IndexError):
            Pieces.of(values)[index]


def test_pieces_are_sliced_without_gaps() -> None:
    with pytest.raises(ValueError, match="without gaps"):
        Pieces.of([b"a", b"b"])[::2]


@given(PARTS)
def test_columns_are_joined_whether_they_are_pieces_or_lists(parts: list[list[bytes | None]]) -> None:
    values = [value for values in parts for value in values]
    mixed = [Pieces.of(part) if index % 2 else part for index, part in enumerate(parts)]
    assert list(joined(mixed)) == values
    whole = joined([Pieces.of(part) for part in parts])
    assert isinstance(whole, Pieces)
    assert list(whole) == values


def test_batches_of_pieces_are_joined_without_cutting_them() -> None:
    parts = [RecordBatch(TP, at, Pieces.of([b"a", None]), Pieces.of([b"k", b"k"]), [1, 2]) for at in (4, 6)]
    whole = joined_batches(TP, 4, parts)
    assert (whole.values, whole.keys, whole.next_offset) == ([b"a", None, b"a", None], [b"k"] * 4, 8)
    assert isinstance(whole.values, Pieces)
