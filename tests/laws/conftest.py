"""A line on the real loop, and the figures' back ends it is tried over."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from projections.catalogue import PROJECTIONS
from projections.postgres_read_model import PostgresReadModel
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


@pytest.fixture
async def postgres_figures(postgres_url: str) -> AsyncIterator[PostgresReadModel]:
    figures = PostgresReadModel(postgres_url, PROJECTIONS)
    yield figures
    await figures.close()


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def figures(request: pytest.FixtureRequest, line: Line) -> ReadModel:
    made: ReadModel = line.read_model
    return made if request.param == "memory" else request.getfixturevalue(f"{request.param}_figures")
