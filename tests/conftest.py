"""What every test begins with: none of the developer's own settings, and no time limit for a single example."""

import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, closing
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from event_store.interpreter import made_for_small_frames
from tests.servers.commerce import SQLITE, PostgresShop, ShopDatabase, SqliteShop, version_of
from tests.servers.kafka import Broker, new_broker
from tests.servers.pgbouncer import POOLED, pooled
from tests.servers.postgres import NEWEST, PostgresServer, running_postgres
from tests.servers.secured_kafka import SecuredKafka, new_secured_kafka
from tests.servers.valkey import Valkey, new_valkey

if "COUNTINGHOUSE_RETAIL_FILE" in os.environ:
    os.environ["RETAIL_FILE"] = os.environ["COUNTINGHOUSE_RETAIL_FILE"]  # see tests/retail_oracle.py
for _name in [name for name in os.environ if name.startswith("COUNTINGHOUSE_")]:
    del os.environ[_name]

made_for_small_frames()  # As the processes are, before any test imports what they use.

settings.register_profile("suite", deadline=None, print_blob=True)
settings.load_profile("suite")

TOGETHER = (
    "tests/scenarios/test_the_half_year.py",
    "tests/scenarios/test_the_cluster.py",
    "tests/engines/test_three_brokers.py",
    "tests/browser/",
)
"""Files and folders whose tests share something that is costly to make, so that one worker runs them all, and first."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: Any, log: Any) -> Any:
    """(Marks for groups do the same, but not in every pair of pytest and xdist.)"""
    from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

    class Scheduling(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            return next((shared for shared in TOGETHER if nodeid.startswith(shared)), nodeid)

    return Scheduling(config, log)


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A real Kafka, started by the first test of this worker that needs it. Where none can be had, tests fail."""
    broker = new_broker(tmp_path_factory.mktemp("kafka"))
    yield broker
    broker.stop()


@pytest.fixture(scope="session")
def secured_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredKafka]:
    """The same for a Kafka that asks who comes."""
    server = new_secured_kafka(tmp_path_factory.mktemp("secured-kafka"))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def postgres_of() -> Iterator[Callable[[int], PostgresServer]]:
    """A real PostgreSQL of each version, started by the first test of this worker that asks for it."""
    with ExitStack() as stack:

        @cache
        def of(version: int) -> PostgresServer:
            return stack.enter_context(pooled(of(NEWEST)) if version == POOLED else running_postgres(version))

        yield of


@pytest.fixture(scope="session")
def postgres(postgres_of: Callable[[int], PostgresServer]) -> PostgresServer:
    """Where none can be had, tests fail."""
    return postgres_of(NEWEST)


@pytest.fixture(scope="session")
def shared_valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    """A real Valkey, started by the first test of this worker that needs it. Where none can be had, tests fail."""
    server = new_valkey(tmp_path_factory.mktemp("valkey"))
    yield server
    server.stop()


@pytest.fixture
def valkey(shared_valkey: Valkey) -> Valkey:
    """The same, empty, for a test that stops or pauses nothing."""
    shared_valkey.command("FLUSHALL")
    return shared_valkey


@pytest.fixture
async def postgres_url(postgres: PostgresServer) -> AsyncIterator[str]:
    """The address of a database for one test, with every table of ours and nothing in them."""
    name = await postgres.create_migrated_database()
    yield postgres.url(name)
    await postgres.drop_database(name)


@pytest.fixture
async def empty_postgres_url(postgres: PostgresServer) -> AsyncIterator[str]:
    """The address of a database without any table for one test."""
    name = await postgres.create_database()
    yield postgres.url(name)
    await postgres.drop_database(name)


@pytest.fixture(scope="session")
def postgres_shop(postgres_of: Callable[[int], PostgresServer]) -> Iterator[Callable[[int], PostgresShop]]:
    """One commerce database for all tests on a server of that version."""
    with ExitStack() as stack:
        yield cache(lambda version: stack.enter_context(closing(PostgresShop(postgres_of(version)))))


@pytest.fixture
def database(request: pytest.FixtureRequest, tmp_path: Path) -> ShopDatabase:
    """An empty commerce database of the kind that is asked for."""
    if request.param == SQLITE:
        return SqliteShop(tmp_path)
    shop: PostgresShop = request.getfixturevalue("postgres_shop")(version_of(request.param))
    shop.empty()
    return shop
