"""A key's partition is the one Kafka's own clients choose."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from event_store.events import EVENT_TYPES
from event_store.topics import (
    TOPICS,
    murmur2,
    newest_versions,
    partition_for,
    version_named,
    version_of,
    versions,
)

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


@given(st.sampled_from(["catalog-events", "a.v2.b", "v2"]), st.integers(1, 10_000))
def test_a_versions_name_says_which_it_is(topic: str, version: int) -> None:
    assert version_of(version_named(topic, version)) == (topic, version)


@pytest.mark.parametrize(
    "name", ["catalog-events", "catalog-events.v1", "catalog-events.v01", "catalog-events.v", ".v2"]
)
def test_what_is_no_version_is_a_topic_of_its_own(name: str) -> None:
    assert version_of(name) == (name, 1)


def test_versions_are_in_order_and_those_of_other_topics_are_left_out() -> None:
    names = {"orders.v10": 3, "orders": 1, "orders.v2": 2, "others": 4, "likes.v2": 5}
    assert list(versions(["orders"], names).items()) == [("orders", 1), ("orders.v2", 2), ("orders.v10", 3)]
    assert newest_versions(names) == {
        "orders": "orders.v10",
        "others": "others",
        "likes": "likes.v2",
    }
