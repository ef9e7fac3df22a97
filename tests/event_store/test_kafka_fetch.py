"""How long a fetch of one record is patient, with answers that come as they are written here."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import (
    KafkaConnectionError,
    KafkaError,
    NoError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
)

from event_store import kafka_fetch
from event_store.kafka_cluster import KafkaCluster
from event_store.kafka_fetch import UNKNOWN_FOR_S, Fetched, KafkaFetch
from event_store.record import TopicPartition

TP = TopicPartition("order-events", 2)
ANSWER = Fetched(7, 8, memoryview(b"records"), NoError)

Answers = list[tuple[float, type[KafkaError] | None]]
"""When an answer comes, in seconds, and which; None for the record."""


class _Scripted(KafkaFetch):
    """Its answers, its clock and its client are written down."""

    def __init__(self, answers: Answers) -> None:
        super().__init__(KafkaCluster("127.0.0.1:1"), lambda: self.now_s)
        self.now_s = 0.0
        self.refreshed = 0
        self._answers: Iterator[tuple[float, type[KafkaError] | None]] = iter(answers)
        self._client: Any = SimpleNamespace(get=self._standing_in, drop=lambda _: None)

    async def _standing_in(self) -> Any:
        return SimpleNamespace(force_metadata_update=self._refresh)

    async def _refresh(self) -> None:
        self.refreshed += 1

    async def _once(self, client: Any, tp: TopicPartition, offset: int, most_bytes: int) -> Fetched:
        (self.now_s, error) = next(self._answers)
        if error is not None:
            raise error(f"{tp}, offset {offset}")
        return ANSWER


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka_fetch, "RETRY_S", 0.0)


async def test_a_topic_may_be_unknown_for_a_while() -> None:
    fetch = _Scripted(
        [(0.1, UnknownTopicOrPartitionError), (UNKNOWN_FOR_S, UnknownTopicOrPartitionError), (11.0, None)]
    )
    assert await fetch.one(TP, 7, 1000) == ANSWER
    assert fetch.refreshed == 2


async def test_a_topic_that_stays_unknown_is_reported() -> None:
    fetch = _Scripted([(0.1, UnknownTopicOrPartitionError), (UNKNOWN_FOR_S + 0.1, UnknownTopicOrPartitionError)])
    with pytest.raises(UnknownTopicOrPartitionError):
        await fetch.one(TP, 7, 1000)


async def test_the_time_in_which_a_broker_was_away_does_not_count_against_a_topic() -> None:
    away_until_s = UNKNOWN_FOR_S + 2
    fetch = _Scripted(
        [
            (0.1, KafkaConnectionError),
            (away_until_s, KafkaConnectionError),
            (away_until_s + 1, UnknownTopicOrPartitionError),
            (away_until_s + UNKNOWN_FOR_S, UnknownTopicOrPartitionError),
            (away_until_s + UNKNOWN_FOR_S + 1, None),
        ]
    )
    assert await fetch.one(TP, 7, 1000) == ANSWER


async def test_what_cannot_pass_is_reported_at_once() -> None:
    fetch = _Scripted([(0.1, TopicAuthorizationFailedError)])
    with pytest.raises(TopicAuthorizationFailedError):
        await fetch.one(TP, 7, 1000)
    assert fetch.refreshed == 0
