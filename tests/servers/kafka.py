"""A real Apache Kafka for tests: one broker in KRaft mode on free ports of 127.0.0.1, from the jars of pom.xml."""

from __future__ import annotations

import base64
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from .ports import free_ports

JARS = Path(os.environ.get("COUNTINGHOUSE_TEST_KAFKA_JARS", Path(sys.prefix) / "kafka"))
"""Where `make test` put them."""
START_TIMEOUT_S = 90.0
PROPERTIES = """
process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
controller.listener.names=CONTROLLER
controller.quorum.bootstrap.servers=127.0.0.1:{controller}
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
log.dirs={data}
offsets.topic.num.partitions=4
transaction.state.log.num.partitions=4
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
"""


@dataclass(slots=True)
class Broker:
    """Started where it stopped; what it stores stays in `folder`."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        with (self.folder / "broker.log").open("ab") as output:
            self.process = subprocess.Popen(
                [
                    *_java("-Xms256m", "-Xmx512m", "-XX:+UseSerialGC", "-Dlog4j2.level=INFO"),
                    "kafka.Kafka",
                    str(self.folder / "properties"),
                ],
                stdout=output,
                stderr=output,
                cwd=self.folder,
            )
        self._wait_until_ready()

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        if self.process is not None:
            self.process.send_signal(how)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(30)
        self.process = None

    def _wait_until_ready(self) -> None:
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while not self._answers():
            if self.process is None or self.process.poll() is not None or time.monotonic() > deadline_s:
                raise RuntimeError(f"Kafka did not start:\n{(self.folder / 'broker.log').read_text()[-3000:]}")
            time.sleep(0.1)

    def _answers(self) -> bool:
        if b"Kafka Server started" not in (self.folder / "broker.log").read_bytes():
            return False
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


def new_broker(folder: Path) -> Broker:
    """Formats `folder` for a broker of its own, and starts it."""
    (port, controller) = free_ports(2)
    properties = folder / "properties"
    properties.write_text(PROPERTIES.format(port=port, controller=controller, data=folder / "data"))
    name = base64.urlsafe_b64encode(os.urandom(16)).decode().rstrip("=").replace("-", "a")
    subprocess.run(
        [*_java(), "kafka.tools.StorageTool", "format", "--standalone", "-t", name, "-c", str(properties)],
        check=True,
        capture_output=True,
        timeout=START_TIMEOUT_S,
        cwd=folder,
    )
    broker = Broker(folder, port)
    broker.start()
    return broker


def _java(*options: str) -> list[str]:
    java = shutil.which("java")
    if java is None or not any(JARS.glob("kafka_*.jar")):
        raise RuntimeError(f"the tests need Java 17 or newer, and Kafka's jars in {JARS}: run `make test`")
    return [java, *options, "-cp", str(JARS / "*")]
