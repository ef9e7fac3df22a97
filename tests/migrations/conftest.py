from __future__ import annotations

from pathlib import Path

import pytest

from .places import Place


def _sqlite_url(file: Path) -> str:
    return f"sqlite+aiosqlite:///{file}"


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """An empty database of either kind."""
    if request.param == "sqlite":
        return Place(_sqlite_url(tmp_path / "shop.db"))
    return Place(request.getfixturevalue("empty_postgres_url"))
