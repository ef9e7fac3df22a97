from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from .bare_shop import BareShop


@pytest.fixture
async def shop() -> AsyncIterator[BareShop]:
    shop = BareShop()
    await shop.open()
    yield shop
    await shop.die()
