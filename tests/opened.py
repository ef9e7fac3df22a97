"""Back ends that a test opens as often as it likes, closed at its end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import ParamSpec, Protocol, TypeVar


class Closable(Protocol):
    async def close(self) -> None: ...


C = TypeVar("C", bound=Closable)
P = ParamSpec("P")


@asynccontextmanager
async def closed_at_the_end(open_one: Callable[P, C]) -> AsyncIterator[Callable[P, C]]:
    """`open_one`, whose results are closed when the block ends."""
    opened: list[C] = []

    def opening(*arguments: P.args, **options: P.kwargs) -> C:
        opened.append(open_one(*arguments, **options))
        return opened[-1]

    yield opening
    for one in opened:
        await one.close()
