"""librdkafka's mock cluster: brokers in this process that report whatever error they are told to.

It comes inside the wheel `confluent-kafka` and is reached through its C interface (rdkafka_mock.h). It stores nothing
on disk, and keeps only the newest 5 MiB of a partition.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

PRODUCE = 0
FETCH = 1
LIST_OFFSETS = 2
METADATA = 3
OFFSET_COMMIT = 8
OFFSET_FETCH = 9
FIND_COORDINATOR = 10
INIT_PRODUCER_ID = 22
"""Kinds of requests, as Kafka's protocol numbers them."""

_RD_KAFKA_PRODUCER = 0
_SAID_BYTES = 512


@dataclass(frozen=True, slots=True)
class MockKafka:
    _cluster: int
    address: str

    def create_topic(self, name: str, partitions: int) -> None:
        self._check(_library().rd_kafka_mock_topic_create(self._cluster, name.encode(), partitions, 1))

    def fail(self, kind: int, *codes: int) -> None:
        """The next requests of a kind are answered with these errors, one each."""
        errors = (ctypes.c_int * len(codes))(*codes)
        _library().rd_kafka_mock_push_request_errors_array(self._cluster, kind, len(codes), errors)

    def move_coordinator(self, group: str, broker: int) -> None:
        self._check(_library().rd_kafka_mock_coordinator_set(self._cluster, b"group", group.encode(), broker))

    def move_leader(self, topic: str, partition: int, broker: int) -> None:
        self._check(_library().rd_kafka_mock_partition_set_leader(self._cluster, topic.encode(), partition, broker))

    def down(self, broker: int) -> None:
        self._check(_library().rd_kafka_mock_broker_set_down(self._cluster, broker))

    def up(self, broker: int) -> None:
        self._check(_library().rd_kafka_mock_broker_set_up(self._cluster, broker))

    @staticmethod
    def _check(code: int) -> None:
        if code:
            raise RuntimeError(f"the mock cluster refused: {_library().rd_kafka_err2str(code).decode()}")


@contextmanager
def mock_kafka(brokers: int) -> Iterator[MockKafka]:
    library = _library()
    client = _client(library, {"test.mock.num.brokers": str(brokers), "log_level": "0"})
    try:
        cluster = library.rd_kafka_handle_mock_cluster(client)
        yield MockKafka(cluster, library.rd_kafka_mock_cluster_bootstraps(cluster).decode())
    finally:
        library.rd_kafka_destroy(client)


def _client(library: Any, settings: Mapping[str, str]) -> int:
    said = ctypes.create_string_buffer(_SAID_BYTES)
    configured = library.rd_kafka_conf_new()
    for name, value in settings.items():
        library.rd_kafka_conf_set(configured, name.encode(), value.encode(), said, _SAID_BYTES)
    client: int | None = library.rd_kafka_new(_RD_KAFKA_PRODUCER, configured, said, _SAID_BYTES)
    if client is None:
        raise RuntimeError(f"no client of librdkafka: {said.value.decode()}")
    return client


@cache
def _library() -> Any:
    found = find_spec("confluent_kafka")
    if found is None or found.origin is None:
        raise RuntimeError("confluent-kafka is not installed: install requirements-test.lock")
    [path] = (Path(found.origin).parents[1] / "confluent_kafka.libs").glob("librdkafka*.so*")
    library = ctypes.CDLL(str(path))
    pointer = ctypes.c_void_p
    (text, number) = (ctypes.c_char_p, ctypes.c_int)
    for name, result, arguments in (
        ("rd_kafka_new", pointer, [number, pointer, text, ctypes.c_size_t]),
        ("rd_kafka_destroy", None, [pointer]),
        ("rd_kafka_err2str", text, [number]),
        ("rd_kafka_conf_new", pointer, []),
        ("rd_kafka_conf_set", number, [pointer, text, text, text, ctypes.c_size_t]),
        ("rd_kafka_handle_mock_cluster", pointer, [pointer]),
        ("rd_kafka_mock_cluster_bootstraps", text, [pointer]),
        ("rd_kafka_mock_topic_create", number, [pointer, text, number, number]),
        ("rd_kafka_mock_push_request_errors_array", None, [pointer, ctypes.c_int16, ctypes.c_size_t, pointer]),
        ("rd_kafka_mock_coordinator_set", number, [pointer, text, text, ctypes.c_int32]),
        ("rd_kafka_mock_partition_set_leader", number, [pointer, text, ctypes.c_int32, ctypes.c_int32]),
        ("rd_kafka_mock_broker_set_down", number, [pointer, ctypes.c_int32]),
        ("rd_kafka_mock_broker_set_up", number, [pointer, ctypes.c_int32]),
    ):
        function = getattr(library, name)
        (function.restype, function.argtypes) = (result, arguments)
    return library
