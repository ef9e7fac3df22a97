"""The topics, and which partition a key belongs to."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Topic:
    name: str
    key: str
    """What the partition key is, in words."""
    partitions: int = 6


CATALOG_EVENTS = Topic("catalog-events", key="product id")
ORDER_EVENTS = Topic("order-events", key="order id")

TOPICS: tuple[Topic, ...] = (CATALOG_EVENTS, ORDER_EVENTS)


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
