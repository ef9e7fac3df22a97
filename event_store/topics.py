"""The topics, their versions, and which partition a key belongs to.

A topic's number of partitions never changes: with more of them keys would move. A topic is given another number by a
new version of it, `catalog-events.v2` beside `catalog-events`: new events go to the newest, and all are read for ever.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from .record import TopicPartition


@dataclass(frozen=True, slots=True)
class Topic:
    name: str
    key: str
    """What the partition key is, in words."""
    partitions: int = 6


CATALOG_EVENTS = Topic("catalog-events", key="product id")
ORDER_EVENTS = Topic("order-events", key="order id")

TOPICS: tuple[Topic, ...] = (CATALOG_EVENTS, ORDER_EVENTS)
PARTITIONS: Mapping[str, int] = {topic.name: topic.partitions for topic in TOPICS}
"""Topic → the number of partitions of its first version."""
VERSION_SUFFIX = r"\.v([2-9]|[1-9][0-9]+)"
"""What a version's name has after the topic's; the first version has nothing."""
_VERSION = re.compile(f"(.+){VERSION_SUFFIX}")


def partitions_of(topics: Mapping[str, int]) -> list[TopicPartition]:
    """Every partition of `topics` (name → partitions), in their order."""
    return [TopicPartition(topic, number) for topic, partitions in topics.items() for number in range(partitions)]


@lru_cache(65_536)
def remembered_partition_for(key: str, partitions: int) -> int:
    """`partition_for` of a key that is likely to come again: hashing one takes a Python loop over its bytes."""
    return partition_for(key.encode(), partitions)


def version_of(name: str) -> tuple[str, int]:
    """The topic that a name is a version of, and which: 1 for the topic's own name."""
    found = _VERSION.fullmatch(name)
    return (found[1], int(found[2])) if found else (name, 1)


def version_named(topic: str, version: int) -> str:
    return topic if version == 1 else f"{topic}.v{version}"


def versions(topics: Iterable[str], names: Mapping[str, int]) -> dict[str, int]:
    """Those of `names` (topic → partitions) that are versions of one of `topics`, older ones first."""
    known = set(topics)
    found = {name: version_of(name) for name in names}
    return {name: names[name] for name in sorted(found, key=found.__getitem__) if found[name][0] in known}


def newest_versions(names: Iterable[str]) -> dict[str, str]:
    """Topic → the name of the newest version of it."""
    return {version_of(name)[0]: name for name in sorted(names, key=version_of)}


def partition_for(key: bytes, partitions: int) -> int:
    """The partition of `key`, as Kafka's own clients choose it: murmur2, sign bit cleared, modulo."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions


def murmur2(data: bytes) -> int:
    """MurmurHash2, 32 bits, with the seed of Kafka's Java client (org.apache.kafka.common.utils.Utils)."""
    m = 0x5BD1E995
    mask = 0xFFFFFFFF
    length = len(data)
    h = 0x9747B28C ^ length
    whole = length & ~3
    for i in range(0, whole, 4):
        k = int.from_bytes(data[i : i + 4], "little")
        k = (k * m) & mask
        k ^= k >> 24
        k = (k * m) & mask
        h = ((h * m) & mask) ^ k
    if length > whole:
        h ^= int.from_bytes(data[whole:], "little")
        h = (h * m) & mask
    h ^= h >> 13
    h = (h * m) & mask
    return h ^ (h >> 15)
