"""The first word with Kafka: what is wrong is one line with the address, the setting and the next step."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress

import pytest
from aiokafka.protocol.admin import ApiVersionResponse_v0
from aiokafka.protocol.metadata import MetadataResponse_v1

from event_store.errors import LogUnavailable
from event_store.kafka_cluster import KafkaCluster
from event_store.kafka_contact import BROUGHT_BY_3_0, make_contact
from event_store.kafka_options import KafkaSecurity
from tests.servers.kafka import Broker

API_VERSIONS, METADATA = 18, 3
OLD = {2: 6, 3: 1, 9: 7, 10: 3, 18: 0}
"""Of what 2.8 understands, the requests that 3.0 understands in a newer version, and those that are answered here."""
RECENT = {**OLD, 10: 4}


@asynccontextmanager
async def _standing_in(newest: Mapping[int, int], sends_to: Sequence[str] = ()) -> AsyncIterator[str]:
    """Answers as a broker would that understands these requests up to these versions; gives its address."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                frame = await reader.readexactly(struct.unpack(">i", await reader.readexactly(4))[0])
                (key, _, correlation) = struct.unpack(">hhi", frame[:8])
                body = struct.pack(">i", correlation) + _answer_to(key, newest, sends_to)
                writer.write(struct.pack(">i", len(body)) + body)
        except asyncio.IncompleteReadError:
            writer.close()
            await writer.wait_closed()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


def _answer_to(key: int, newest: Mapping[int, int], sends_to: Sequence[str]) -> bytes:
    if key == API_VERSIONS:
        table = [(api, 0, version) for api, version in newest.items()]
        return bytes(ApiVersionResponse_v0(0, table).encode())
    brokers = [(number, host, 9092, None) for number, host in enumerate(sends_to)]
    return bytes(MetadataResponse_v1(brokers, 0, []).encode())


async def _said(bootstrap: str, security: KafkaSecurity = KafkaSecurity()) -> str:  # noqa: B008 - frozen
    """Why contact fails."""
    with pytest.raises(LogUnavailable) as refusal:
        await make_contact(bootstrap, security)
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


async def test_a_broker_that_we_can_work_with_is_taken() -> None:
    async with _standing_in(RECENT) as address:
        await make_contact(address, KafkaSecurity())


async def test_a_real_broker_is_recent_by_every_sign(kafka: Broker) -> None:
    """So that a sign which Kafka gives up is noticed."""
    from aiokafka.conn import create_conn
    from aiokafka.protocol.admin import ApiVersionRequest

    connection = await create_conn("127.0.0.1", kafka.port)
    versions = {key: highest for key, _, highest in (await connection.send(ApiVersionRequest())).api_versions}
    connection.close()
    assert {key: versions[key] >= version for key, version in BROUGHT_BY_3_0.items()} == dict.fromkeys(
        BROUGHT_BY_3_0, True
    )


async def test_a_kafka_older_than_3_is_refused() -> None:
    async with _standing_in(OLD) as address:
        assert await _said(address) == (
            f"Kafka at {address} is older than 3.0, the oldest Kafka that this version works with. Upgrade it."
        )


async def test_where_nobody_listens_it_says_so() -> None:
    assert await _said("127.0.0.1:1") == (
        "Kafka at 127.0.0.1:1 can't be reached (Connect call failed ('127.0.0.1', 1)). "
        "Start it, or correct COUNTINGHOUSE_LOG_URL."
    )


async def test_a_misspelt_name_is_said_to_be_unknown() -> None:
    said = await _said("kafka.invalid:9092", KafkaSecurity(insecure_plaintext=True))
    assert (
        said == "Kafka at kafka.invalid:9092 is a name that nobody knows. Start it, or correct COUNTINGHOUSE_LOG_URL."
    )


async def test_brokers_that_are_away_are_passed_over_and_all_are_named_where_none_is_there() -> None:
    async with _standing_in(RECENT) as address:
        await make_contact(f"127.0.0.1:1,{address}", KafkaSecurity())
    said = await _said("127.0.0.1:1,127.0.0.1:2")
    assert "127.0.0.1:1 can't" in said
    assert "127.0.0.1:2 can't" in said


async def test_a_broker_that_sends_its_clients_elsewhere_in_plain_text_is_refused_unless_that_is_meant() -> None:
    async with _standing_in(RECENT, ["127.0.0.1", "kafka-1.example"]) as address:
        said = await _said(address)
        assert f"Kafka at {address} sends its clients to kafka-1.example" in said
        assert "COUNTINGHOUSE_ALLOW_PLAINTEXT=true" in said
        meant = KafkaSecurity(insecure_plaintext=True)
        await make_contact(address, meant)


async def test_a_server_that_hangs_up_at_our_first_word_leads_to_the_setting_that_may_be_wrong() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    async with server:
        said = await _said(f"127.0.0.1:{server.sockets[0].getsockname()[1]}")
    assert "hangs up before it has answered" in said
    assert "COUNTINGHOUSE_KAFKA_SECURITY is plaintext" in said


@pytest.mark.parametrize("setting", ["ca_file", "cert_file"])
async def test_a_file_that_is_no_certificate_is_named(tmp_path: object, setting: str) -> None:
    security = KafkaSecurity("ssl", **{setting: f"{tmp_path}/missing.pem"})  # type: ignore[arg-type]
    with pytest.raises(LogUnavailable, match=rf"COUNTINGHOUSE_KAFKA_{setting.upper()}.*missing.pem can't be read"):
        _ = KafkaCluster("127.0.0.1:1", security=security).options
