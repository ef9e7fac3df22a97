from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.servers.commerce import EITHER, ShopDatabase

from .counter import Counterside, open_counter


def pytest_generate_tests(metafunc: Any) -> None:
    """Every test of the API is held over the databases that it or its module names, or over one of either kind."""
    named = any(mark.args[:1] == ("database",) for mark in metafunc.definition.iter_markers("parametrize"))
    if "database" in metafunc.fixturenames and not named:
        metafunc.parametrize("database", getattr(metafunc.module, "DATABASES", EITHER), indirect=True)


@pytest.fixture
async def counter(database: ShopDatabase) -> AsyncIterator[Counterside]:
    """An open shop with two products listed; its books are checked at the end of every test."""
    async with open_counter(database) as counter:
        await counter.list_product("85123A")
        await counter.list_product("71053", name="White metal lantern", price_minor=339)
        yield counter
        counter.check_books()
