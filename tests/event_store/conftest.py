from __future__ import annotations

from uuid import uuid4

import pytest

from event_store.kafka_cluster import KafkaCluster
from tests.servers.kafka import Broker


@pytest.fixture
def cluster(kafka: Broker) -> KafkaCluster:
    """With topics of one test's own."""
    return KafkaCluster(kafka.address, f"{uuid4().hex[:8]}.")
