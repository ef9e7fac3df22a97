"""A line on the real loop, and the figures' back ends it is tried over."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from projections.catalogue import PROJECTIONS
from projections.read_model import ReadModel
from projections.sqlite_read_model import SqliteReadModel

from .line import Line


@pytest.fixture
async def line() -> Line:
    made = Line(lambda: time.time_ns() // 1000, time.monotonic)
    await made.prepare()
    return made


@pytest.fixture
async def sqlite_figures(tmp_path: Path) -> AsyncIterator[SqliteReadModel]:
    figures = SqliteReadModel(tmp_path / "backoffice.db", PROJECTIONS)
    yield figures
    await figures.close()


@pytest.fixture(params=["memory", "sqlite"])
async def figures(request: pytest.FixtureRequest, line: Line, sqlite_figures: SqliteReadModel) -> ReadModel:
    return line.read_model if request.param == "memory" else sqlite_figures
