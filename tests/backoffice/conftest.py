"""A shop that is open, for every test of the pages."""

from __future__ import annotations

import pytest

from tests.web.shop import Shop


@pytest.fixture
async def shop() -> Shop:
    opened = Shop()
    await opened.open()
    return opened
