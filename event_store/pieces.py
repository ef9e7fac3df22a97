"""Keys or values of many records, as they lie in a few larger texts: each is cut out only when somebody looks at it."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import NamedTuple, overload

NONE = -1
"""The size of a piece that is None."""


class Part(NamedTuple):
    """Pieces of one text, in the order of records."""

    text: bytes
    starts: array[int]
    """64-bit, as the sizes."""
    sizes: array[int]

    def slice(self, start: int, stop: int) -> Part:
        return Part(self.text, self.starts[start:stop], self.sizes[start:stop])

    def piece(self, index: int) -> bytes | None:
        (start, size) = (self.starts[index], self.sizes[index])
        return None if size == NONE else self.text[start : start + size]

    def pieces(self) -> Iterator[bytes | None]:
        text = self.text
        for start, size in zip(self.starts, self.sizes, strict=True):
            yield None if size == NONE else text[start : start + size]


class Pieces(Sequence[bytes | None]):
    def __init__(self, parts: Iterable[Part]) -> None:
        self.parts = [part for part in parts if part.sizes]

    @classmethod
    def of(cls, values: Sequence[bytes | None]) -> Pieces:
        if isinstance(values, Pieces):
            return values
        return cls([neighbours(*laid_out(values))])

    def __len__(self) -> int:
        return sum(len(part.sizes) for part in self.parts)

    def __iter__(self) -> Iterator[bytes | None]:
        for part in self.parts:
            yield from part.pieces()

    @overload
    def __getitem__(self, index: int) -> bytes | None: ...

    @overload
    def __getitem__(self, index: slice) -> Pieces: ...

    def __getitem__(self, index: int | slice) -> bytes | Pieces | None:
        if isinstance(index, slice):
            return self._slice(*index.indices(len(self)))
        left = index + len(self) if index < 0 else index
        if left >= 0:
            for part in self.parts:
                if left < len(part.sizes):
                    return part.piece(left)
                left -= len(part.sizes)
        raise IndexError(index)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def _slice(self, start: int, stop: int, step: int) -> Pieces:
        if step != 1:
            raise ValueError("pieces are sliced without gaps")
        found: list[Part] = []
        for part in self.parts:
            found.append(part.slice(max(start, 0), max(stop, 0)))
            (start, stop) = (start - len(part.sizes), stop - len(part.sizes))
        return Pieces(found)


def laid_out(pieces: Sequence[bytes | None]) -> tuple[bytes, list[int]]:
    """The pieces one behind the other, and their sizes: what `neighbours` takes."""
    if None in pieces:
        return b"".join([piece or b"" for piece in pieces]), [NONE if piece is None else len(piece) for piece in pieces]
    return b"".join(pieces), list(map(len, pieces))  # type: ignore[arg-type]


def neighbours(text: bytes, sizes: Iterable[int]) -> Part:
    """A text that is nothing but its pieces, one behind the other."""
    lengths = array("q", sizes)
    ends = accumulate(lengths if NONE not in lengths else [max(size, 0) for size in lengths], initial=0)
    starts = array("q", ends)
    starts.pop()
    return Part(text, starts, lengths)


def joined(columns: Sequence[Sequence[bytes | None]]) -> Sequence[bytes | None]:
    pieces = [column for column in columns if isinstance(column, Pieces)]
    if len(pieces) == len(columns):
        return Pieces(part for column in pieces for part in column.parts)
    return [value for column in columns for value in column]
