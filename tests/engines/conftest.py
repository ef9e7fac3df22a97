"""Engines that tests share, and lines over them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from event_store import kafka_appender, kafka_cluster, kafka_fetch, kafka_log, kafka_reader, kafka_streams
from event_store.kafka_cluster import KafkaCluster
from tests.servers.kafka import Broker
from tests.servers.mock_kafka import MockKafka, mock_kafka

from .line import TOPICS, Engines, Line, open_line

HASTY_S = 4.0
BROKERS = 3
"""Of the mock cluster."""
either_fetch = pytest.mark.parametrize(
    "fast_fetch", [True, False], indirect=True, ids=["fast fetch", "aiokafka's own fetch"]
)
"""Marks tests whose faults meet the way in which records are read."""


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> float:
    """Calls to Kafka are given up after so many seconds, so that a test need not wait for what is a quarter minute."""
    for module in (kafka_cluster, kafka_appender, kafka_fetch, kafka_log, kafka_reader, kafka_streams):
        monkeypatch.setattr(module, "TIMEOUT_S", HASTY_S)
    return HASTY_S


@pytest.fixture
def fast_fetch(request: pytest.FixtureRequest) -> bool:
    return getattr(request, "param", True)


@pytest.fixture
def mock() -> Iterator[MockKafka]:
    """With the line's topics, since it makes none when it is asked to."""
    with mock_kafka(BROKERS) as one:
        for topic, partitions in TOPICS.items():
            one.create_topic(topic, partitions)
        yield one


@pytest.fixture
def engines(tmp_path: Path, kafka: Broker, fast_fetch: bool) -> Engines:
    """Topics of the test's own in the shared Kafka, and two files."""
    return Engines(KafkaCluster(kafka.address, f"{uuid4().hex[:8]}.", fast_fetch=fast_fetch), *files(tmp_path))


@pytest.fixture
async def line(engines: Engines) -> AsyncIterator[Line]:
    async with open_line(engines) as one:
        yield one


def files(folder: Path) -> tuple[str, str]:
    """A commerce database and one of figures, in files."""
    return f"sqlite+aiosqlite:///{folder}/commerce.db", f"sqlite+aiosqlite:///{folder}/backoffice.db"
