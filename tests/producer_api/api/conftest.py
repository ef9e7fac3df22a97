from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from .counter import Counterside, open_counter


@pytest.fixture
async def counter(tmp_path: Path) -> AsyncIterator[Counterside]:
    """An open shop with two products listed; its books are checked at the end of every test."""
    async with open_counter(tmp_path) as counter:
        await counter.list_product("85123A")
        await counter.list_product("71053", name="White metal lantern", price_minor=339)
        yield counter
        counter.check_books()
