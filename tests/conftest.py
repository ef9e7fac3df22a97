"""What every test begins with: none of the developer's own settings, and no time limit for a single example."""

import os
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from hypothesis import settings

from tests.servers.kafka import Broker, new_broker
from tests.servers.postgres import PostgresServer, running_postgres

if "COUNTINGHOUSE_RETAIL_FILE" in os.environ:
    os.environ["RETAIL_FILE"] = os.environ["COUNTINGHOUSE_RETAIL_FILE"]  # see tests/retail_oracle.py
for _name in [name for name in os.environ if name.startswith("COUNTINGHOUSE_")]:
    del os.environ[_name]

settings.register_profile("suite", deadline=None, print_blob=True)
settings.load_profile("suite")

TOGETHER = ("tests/scenarios/test_the_half_year.py",)
"""Files whose tests share something that costs minutes to make, so that one worker runs them all, and first."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: Any, log: Any) -> Any:
    """(Marks for groups do the same, but not in every pair of pytest and xdist.)"""
    from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

    class Scheduling(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            return file if file in TOGETHER else nodeid

    return Scheduling(config, log)


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A real Kafka, started by the first test of this worker that needs it. Where none can be had, tests fail."""
    broker = new_broker(tmp_path_factory.mktemp("kafka"))
    yield broker
    broker.stop()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A real PostgreSQL, started by the first test of this worker that needs it. Where none can be had, tests fail."""
    with running_postgres() as server:
        yield server


@pytest.fixture
async def postgres_url(postgres: PostgresServer) -> AsyncIterator[str]:
    """The address of an empty database for one test."""
    name = await postgres.create_database()
    yield postgres.url(name)
    await postgres.drop_database(name)
