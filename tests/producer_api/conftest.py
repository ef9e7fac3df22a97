from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from .bare_shop import BareShop
from .real_shop import RealShop


@pytest.fixture
async def shop() -> AsyncIterator[BareShop]:
    shop = BareShop()
    await shop.open()
    yield shop
    await shop.die()


@pytest.fixture
async def real_shop(tmp_path: Path) -> AsyncIterator[RealShop]:
    shop = RealShop(tmp_path)
    await shop.open()
    yield shop
    await shop.die()
