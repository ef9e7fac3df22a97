"""Kafka with certificates and passwords: the line over it, and every way of coming to it wrongly."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from uuid import uuid4

import pytest

from tests.servers.secured_kafka import PASSWORDS, SecuredKafka

from .shop import Shop, excerpt_oracle

pytestmark = [pytest.mark.processes, pytest.mark.timeout(300)]

OWNER = {"USERNAME": "owner", "PASSWORD": PASSWORDS["owner"]}
CANARY = "canary-in-the-coal-mine"


def _shop(folder: Path, address: str, **kafka: str) -> Shop:
    settings = {f"COUNTINGHOUSE_KAFKA_{name}": value for name, value in kafka.items()}
    return Shop(folder / "shop", {"COUNTINGHOUSE_LOG_URL": f"kafka://{address}/{uuid4().hex[:8]}.", **settings})


@asynccontextmanager
async def _counted(port: int) -> AsyncIterator[tuple[int, list[None]]]:
    """A port that leads to another, and a list that grows by one with each connection."""
    connections: list[None] = []

    async def serve(from_client: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        connections.append(None)
        (from_server, server) = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(_pump(from_client, server), _pump(from_server, client))

    proxy = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with proxy:
        yield proxy.sockets[0].getsockname()[1], connections


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


async def test_a_shop_counts_over_tls_with_a_password_from_a_file(tmp_path: Path, secured_kafka: SecuredKafka) -> None:
    (tmp_path / "password").write_text(f"{PASSWORDS['owner']}\n")
    files = {"PASSWORD_FILE": str(tmp_path / "password"), "CA_FILE": str(secured_kafka.ca_file)}
    shop = _shop(tmp_path, secured_kafka.address("BOTH"), SECURITY="sasl_ssl", USERNAME="owner", **files)
    shop.ok("topics", "apply")
    try:
        line = shop.start_line()
        assert (await shop.send()).delivery.failed == 0
        shop.ok("drain", "--timeout", "90")
        assert await shop.figures() == excerpt_oracle()
        shop.ok("rebuild")
        assert [one.stop() for one in line] == [0, 0, 0]
    finally:
        shop.close()
    assert shop.complaints() == []


@pytest.mark.parametrize(
    ("listener", "kafka"),
    [
        ("ENCRYPTED", {"SECURITY": "ssl"}),
        ("MUTUAL", {"SECURITY": "ssl", "CERT_FILE": "client.pem"}),
        ("PASSWORD", {"SECURITY": "sasl_plaintext", **OWNER}),
        ("BOTH", {"SECURITY": "sasl_ssl", **OWNER}),
    ],
)
def test_each_kind_of_listener_lets_us_in(
    tmp_path: Path, secured_kafka: SecuredKafka, listener: str, kafka: dict[str, str]
) -> None:
    files = {"CA_FILE": str(secured_kafka.ca_file)}
    if "CERT_FILE" in kafka:
        files["CERT_FILE"] = str(secured_kafka.client_file)
    shop = _shop(tmp_path, secured_kafka.address(listener), **{**kafka, **files})
    assert "order-events is missing" in shop.ok("topics", "plan")


HANGS_UP = "hangs up before it has answered. COUNTINGHOUSE_KAFKA_SECURITY is "
WRONG: dict[str, tuple[str, dict[str, str], str]] = {
    "password": ("BOTH", {"SECURITY": "sasl_ssl", **OWNER, "PASSWORD": CANARY}, "does not take user 'owner'"),
    "user": ("BOTH", {"SECURITY": "sasl_ssl", **OWNER, "USERNAME": "nobody"}, "does not take user 'nobody'"),
    "mechanism": ("BOTH", {"SECURITY": "sasl_ssl", "MECHANISM": "PLAIN", **OWNER}, "takes no password by PLAIN"),
    "authority": ("BOTH", {"SECURITY": "sasl_ssl", "CA_FILE": "other.pem", **OWNER}, "other.pem can't vouch for"),
    "authorities of the system": ("BOTH", {"SECURITY": "ssl", "CA_FILE": ""}, "the system's authorities can't vouch"),
    "plain text to an encrypted port": ("BOTH", {"SECURITY": "plaintext"}, HANGS_UP),
    "password in plain text to an encrypted port": ("BOTH", {"SECURITY": "sasl_plaintext", **OWNER}, HANGS_UP),
    "encryption to a plain port": ("PLAIN", {"SECURITY": "sasl_ssl", **OWNER}, HANGS_UP),
    "no password": ("BOTH", {"SECURITY": "ssl"}, HANGS_UP),
    "no password in plain text": ("PASSWORD", {"SECURITY": "plaintext"}, HANGS_UP),
    "password where none is asked for": (
        "PLAIN",
        {"SECURITY": "sasl_plaintext", **OWNER},
        "takes no password by SCRAM",
    ),
    "no certificate of ours": ("MUTUAL", {"SECURITY": "ssl"}, "set COUNTINGHOUSE_KAFKA_CERT_FILE"),
}
"""What is wrong → the listener, the settings, and what is said."""


@pytest.mark.parametrize("what", WRONG)
async def test_what_is_wrong_is_one_line_after_one_attempt_and_no_password_is_in_it(
    tmp_path: Path, secured_kafka: SecuredKafka, what: str
) -> None:
    (listener, kafka, said) = WRONG[what]
    ca_file = kafka.get("CA_FILE", "ca.pem")
    kafka = {**kafka, "CA_FILE": str(secured_kafka.folder / ca_file) if ca_file else ""}
    async with _counted(secured_kafka.ports[listener]) as (port, connections):
        shop = _shop(tmp_path, f"localhost:{port}", **kafka)
        done = await asyncio.to_thread(shop.run, "relay")
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"Kafka at localhost:{port} ")
    assert said in line
    assert "COUNTINGHOUSE_KAFKA_" in line
    assert len(connections) == 1
    for password in (CANARY, *PASSWORDS.values()):
        assert password not in done.stderr + done.stdout


async def test_a_certificate_for_another_name_is_refused(tmp_path: Path, secured_kafka: SecuredKafka) -> None:
    async with _counted(secured_kafka.ports["BOTH"]) as (port, connections):
        kafka = {"SECURITY": "sasl_ssl", "CA_FILE": str(secured_kafka.ca_file), **OWNER}
        done = await asyncio.to_thread(_shop(tmp_path, f"127.0.0.1:{port}", **kafka).run, "consumer")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"Kafka at 127.0.0.1:{port} has a certificate for another host")
    assert len(connections) == 1


def test_no_command_shows_the_password(tmp_path: Path, secured_kafka: SecuredKafka) -> None:
    shop = _shop(tmp_path, secured_kafka.address("BOTH"), SECURITY="sasl_ssl", USERNAME="owner", PASSWORD=CANARY)
    for command in (["config"], ["config", "--json"], ["topics", "plan"], ["up"]):
        done = shop.run(*command)
        assert CANARY not in done.stdout + done.stderr
    assert "COUNTINGHOUSE_KAFKA_PASSWORD=**********" in shop.ok("config")


RIGHTS = {
    "keeper": {"topics": ["Describe", "Create", "DescribeConfigs", "AlterConfigs"]},
    "relay": {"topics": ["Read", "Write"]},
    "consumer": {"topics": ["Read"], "groups": ["Read"]},
}
"""What docs/deploy.md says that each needs."""


async def test_each_process_works_with_no_more_rights_than_it_is_said_to_need(
    tmp_path: Path, secured_kafka: SecuredKafka
) -> None:
    kafka = {"SECURITY": "sasl_ssl", "CA_FILE": str(secured_kafka.ca_file)}
    shop = _shop(tmp_path, secured_kafka.address("BOTH"), **kafka, **OWNER)
    prefix = shop.settings["COUNTINGHOUSE_LOG_URL"].rpartition("/")[2]
    users = {
        user: {"COUNTINGHOUSE_KAFKA_USERNAME": user, "COUNTINGHOUSE_KAFKA_PASSWORD": PASSWORDS[user]} for user in RIGHTS
    }
    refused = shop.run("topics", "apply", **users["keeper"])
    assert refused.returncode == 2
    assert "AuthorizationFailed" in refused.stderr
    for user, rights in RIGHTS.items():
        for resource, operations in rights.items():
            await secured_kafka.allow(user, resource, prefix, operations)
    shop.ok("topics", "apply", **users["keeper"])
    shop.ok("topics", "check", **users["keeper"])
    try:
        line = [shop.start("api"), shop.start("relay", **users["relay"]), shop.start("consumer", **users["consumer"])]
        assert (await shop.send()).delivery.failed == 0
        shop.ok("drain", "--timeout", "90", **users["consumer"])
        assert await shop.figures() == excerpt_oracle()
        assert [one.stop() for one in line] == [0, 0, 0]
        assert not any("ailed" in one.said for one in line)
    finally:
        shop.close()
