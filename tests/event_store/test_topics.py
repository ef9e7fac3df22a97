"""A key's partition is the one Kafka's own clients choose."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from event_store.events import EVENT_TYPES
from event_store.topics import TOPICS, murmur2, partition_for

JAVA = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}
"""Key → hash as a signed integer, from Apache Kafka's UtilsTest.testMurmur2."""


@pytest.mark.parametrize(("key", "signed"), JAVA.items())
def test_the_hash_is_the_one_of_kafkas_java_client(key: bytes, signed: int) -> None:
    assert murmur2(key) == signed & 0xFFFFFFFF


@pytest.mark.parametrize(("key", "signed"), JAVA.items())
def test_a_negative_hash_gives_a_partition_as_javas_sign_mask_does(key: bytes, signed: int) -> None:
    positive = signed if signed >= 0 else signed + 2**31
    assert partition_for(key, 6) == positive % 6


@given(st.binary(max_size=64), st.integers(1, 64))
def test_every_key_has_a_partition_among_those_there_are(key: bytes, partitions: int) -> None:
    assert 0 <= partition_for(key, partitions) < partitions
    assert partition_for(key, partitions) == partition_for(bytes(key), partitions)


@given(st.binary(max_size=64))
def test_the_hash_has_32_bits(key: bytes) -> None:
    assert 0 <= murmur2(key) < 2**32


def test_many_keys_spread_over_all_partitions() -> None:
    counts = [0] * 6
    for number in range(6000):
        counts[partition_for(f"product {number}".encode(), 6)] += 1
    assert min(counts) > 800


def test_every_topic_of_an_event_type_is_among_the_topics() -> None:
    assert {kind.topic for kind in EVENT_TYPES if kind.topic is not None} == set(TOPICS)
    assert len({topic.name for topic in TOPICS}) == len(TOPICS)
