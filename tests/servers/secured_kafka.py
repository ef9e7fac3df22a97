"""A real Kafka for tests that asks who comes: certificates, passwords and rights, each on a listener of its own."""

from __future__ import annotations

import base64
import os
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import trustme
from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.admin import CreateAclsRequest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from .kafka import START_TIMEOUT_S, _java

PASSWORDS = {"owner": "owner-secret", "relay": "relay-secret", "consumer": "consumer-secret", "keeper": "keeper-secret"}
"""User → password. The owner may do everything, the others what they are given."""
RESOURCES = {"topics": 2, "groups": 3}
OPERATIONS = {"Read": 3, "Write": 4, "Create": 5, "Describe": 8, "DescribeConfigs": 10, "AlterConfigs": 11}
"""Numbers of Kafka's protocol, as those that follow."""
PREFIXED = 4
ALLOWED = 3
LISTENERS = ("PLAIN", "PASSWORD", "ENCRYPTED", "MUTUAL", "BOTH")
"""Neither encrypted nor with a password, with one, encrypted, with a certificate of ours as well, and both."""
PROPERTIES = """
process.roles=broker,controller
node.id=1
listeners={listeners},CONTROLLER://127.0.0.1:{controller}
advertised.listeners={advertised},CONTROLLER://127.0.0.1:{controller}
controller.listener.names=CONTROLLER
controller.quorum.bootstrap.servers=127.0.0.1:{controller}
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAIN:PLAINTEXT,PASSWORD:SASL_PLAINTEXT,ENCRYPTED:SSL,MUTUAL:SSL,BOTH:SASL_SSL
inter.broker.listener.name=PLAIN
sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.password.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.both.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
ssl.keystore.type=PEM
ssl.keystore.location={folder}/broker.pem
listener.name.mutual.ssl.client.auth=required
listener.name.mutual.ssl.truststore.type=PEM
listener.name.mutual.ssl.truststore.location={folder}/ca.pem
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS;User:owner
log.dirs={folder}/data
offsets.topic.num.partitions=4
transaction.state.log.num.partitions=4
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
"""


@dataclass(slots=True)
class SecuredKafka:
    """Certificates are for `localhost`."""

    folder: Path
    ports: Mapping[str, int]
    """Of each listener."""
    process: subprocess.Popen[bytes] | None = None

    @property
    def ca_file(self) -> Path:
        return self.folder / "ca.pem"

    @property
    def other_ca_file(self) -> Path:
        """Of an authority that has signed nothing here."""
        return self.folder / "other.pem"

    @property
    def client_file(self) -> Path:
        """A certificate and key for us."""
        return self.folder / "client.pem"

    def address(self, listener: str) -> str:
        return f"localhost:{self.ports[listener]}"

    async def allow(self, user: str, resource: str, prefix: str, operations: Sequence[str]) -> None:
        """Gives a user rights to the topics or groups (`resource`) whose names begin with `prefix`."""
        client = AIOKafkaClient(bootstrap_servers=self.address("PLAIN"))
        await client.bootstrap()
        for operation in operations:
            right = (RESOURCES[resource], prefix, PREFIXED, f"User:{user}", "*", OPERATIONS[operation], ALLOWED)
            answer = await client.send(client.get_random_node(), CreateAclsRequest(*right))
            assert [code for code, _ in answer.creation_responses] == [0], answer
        await client.close()

    def start(self) -> None:
        with (self.folder / "broker.log").open("ab") as output:
            java = _java("-Xms128m", "-Xmx512m", "-XX:+UseSerialGC", "-Dlog4j2.level=INFO")
            command = [*java, "kafka.Kafka", str(self.folder / "properties")]
            self.process = subprocess.Popen(command, stdout=output, stderr=output, cwd=self.folder)
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while b"Kafka Server started" not in (said := (self.folder / "broker.log").read_bytes()):
            if self.process.poll() is not None or time.monotonic() > deadline_s:
                self.stop()
                raise RuntimeError(f"Kafka did not start:\n{said.decode()[-3000:]}")
            time.sleep(0.1)

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(START_TIMEOUT_S)


def new_secured_kafka(folder: Path) -> SecuredKafka:
    """Formats `folder` for a broker of its own, and starts it."""
    (controller, *ports) = _ports(1 + len(LISTENERS))
    kafka = SecuredKafka(folder, dict(zip(LISTENERS, ports, strict=True)))
    _write_certificates(kafka)
    properties = folder / "properties"
    properties.write_text(
        PROPERTIES.format(
            listeners=",".join(f"{name}://127.0.0.1:{port}" for name, port in kafka.ports.items()),
            advertised=",".join(f"{name}://localhost:{port}" for name, port in kafka.ports.items()),
            controller=controller,
            folder=folder,
        )
    )
    cluster = base64.urlsafe_b64encode(os.urandom(16)).decode().rstrip("=").replace("-", "a")
    users = [f"SCRAM-SHA-512=[name={name},password={password}]" for name, password in PASSWORDS.items()]
    command = [*_java(), "kafka.tools.StorageTool", "format", "--standalone", "-t", cluster, "-c", str(properties)]
    command += [word for user in users for word in ("--add-scram", user)]
    subprocess.run(command, check=True, capture_output=True, timeout=START_TIMEOUT_S, cwd=folder)
    kafka.start()
    return kafka


def _write_certificates(kafka: SecuredKafka) -> None:
    (ca, other) = (trustme.CA(), trustme.CA())
    ca.cert_pem.write_to_path(kafka.ca_file)
    other.cert_pem.write_to_path(kafka.other_ca_file)
    ca.issue_cert("shop@example.org").private_key_and_cert_chain_pem.write_to_path(kafka.client_file)
    brokers = ca.issue_cert("localhost")
    key = load_pem_private_key(brokers.private_key_pem.bytes(), None)  # Kafka reads keys as PKCS#8 alone.
    pem = [key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())]
    (kafka.folder / "broker.pem").write_bytes(b"".join([*pem, *(one.bytes() for one in brokers.cert_chain_pems)]))


def _ports(count: int) -> list[int]:
    with ExitStack() as bound:
        sockets = [bound.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
