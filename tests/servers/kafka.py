"""A real Apache Kafka for tests: brokers in KRaft mode on ports of 127.0.0.1, from the jars of pom.xml."""

from __future__ import annotations

import asyncio
import base64
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .ports import free_ports
from .process import end, ends_with_parent

JARS = Path(os.environ.get("COUNTINGHOUSE_TEST_KAFKA_JARS", Path(sys.prefix) / "kafka"))
"""Where `make test` put them."""
START_TIMEOUT_S = 90.0
TOOL_TIMEOUT_S = 60.0
QUICK = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
"""For what runs seconds or minutes: the virtual machine spends less on making its code fast."""
PROPERTIES = """
process.roles=broker,controller
node.id={node}
listeners=PLAINTEXT://127.0.0.1:{port},PROXIED://127.0.0.1:{behind_proxy},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port},PROXIED://127.0.0.1:{proxy},CONTROLLER://127.0.0.1:{controller}
controller.listener.names=CONTROLLER
controller.quorum.voters={voters}
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
log.dirs={data}
offsets.topic.num.partitions=4
transaction.state.log.num.partitions=4
offsets.topic.replication.factor={replicas}
transaction.state.log.replication.factor={replicas}
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
replica.lag.time.max.ms=5000
"""
"""A broker that dies is seen to be dead within three seconds, not nine."""


@dataclass(slots=True)
class Broker:
    """Started where it stopped; what it stores stays in `folder`."""

    folder: Path
    node: int
    port: int
    controller: int
    """The port at which it takes part in the election of the cluster's controller."""
    behind_proxy: int
    """A second port, for a proxy to speak to."""
    proxy: int
    """Where that proxy is to listen, and where clients that come through it are told to go."""
    options: Sequence[str] = QUICK
    """The virtual machine's."""
    process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        self.launch()
        self.wait_until_ready()

    async def start_again(self) -> None:
        self.launch()
        await asyncio.to_thread(self.wait_until_ready)

    def launch(self) -> None:
        command = [*_java("-Xms128m", "-Xmx512m", *self.options, "-Dlog4j2.level=INFO"), "kafka.Kafka"]
        with self._log.open("wb") as output:
            self.process = subprocess.Popen(
                [*command, str(self._properties)],
                stdout=output,
                stderr=output,
                cwd=self.folder,
                preexec_fn=ends_with_parent(signal.SIGKILL),  # noqa: PLW1509
            )

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        if self.process is not None:
            end(self.process, how, signal.SIGKILL)
        self.process = None

    def wait_until_ready(self) -> None:
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while not self._answers():
            if self.process is None or self.process.poll() is not None or time.monotonic() > deadline_s:
                raise RuntimeError(f"Kafka did not start:\n{self._log.read_text()[-3000:]}")
            time.sleep(0.1)

    @property
    def _properties(self) -> Path:
        return self.folder / "properties"

    @property
    def _log(self) -> Path:
        """What it says since its last start."""
        return self.folder / "broker.log"

    def _answers(self) -> bool:
        if b"Kafka Server started" not in self._log.read_bytes():
            return False
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


def new_broker(folder: Path, options: Sequence[str] = QUICK) -> Broker:
    """Formats `folder` for a broker of its own, and starts it."""
    [broker] = new_cluster(folder, 1, options)
    return broker


def new_cluster(folder: Path, size: int, options: Sequence[str] = QUICK) -> Sequence[Broker]:
    """Brokers that replicate each other's topics, each with a folder of its own below `folder`; all are started."""
    ports = iter(free_ports(4 * size))
    brokers = [
        Broker(folder / f"broker-{node}", node, next(ports), next(ports), next(ports), next(ports), options)
        for node in range(size)
    ]
    name = base64.urlsafe_b64encode(os.urandom(16)).decode().rstrip("=").replace("-", "a")
    formatting = [_formatting(broker, brokers, name) for broker in brokers]
    for process in formatting:
        (said, _) = process.communicate(timeout=START_TIMEOUT_S)
        if process.returncode:
            raise RuntimeError(f"Kafka's folder could not be formatted:\n{said.decode()}")
    for broker in brokers:
        broker.launch()
    for broker in brokers:
        broker.wait_until_ready()
    return brokers


def tool(name: str, *arguments: str, given: str = "") -> str:
    """What one of Kafka's own tools prints: a class of org.apache.kafka.tools."""
    ended = subprocess.run(
        [*_java("-Xmx128m", *QUICK), f"org.apache.kafka.tools.{name}", *arguments],
        input=given,
        capture_output=True,
        text=True,
        check=False,
        timeout=TOOL_TIMEOUT_S,
    )
    if ended.returncode:
        raise RuntimeError(f"{name} ended with {ended.returncode}: {ended.stdout}{ended.stderr}")
    return ended.stdout


def _formatting(broker: Broker, brokers: Sequence[Broker], cluster: str) -> subprocess.Popen[bytes]:
    broker.folder.mkdir(parents=True)
    broker._properties.write_text(
        PROPERTIES.format(
            node=broker.node,
            port=broker.port,
            behind_proxy=broker.behind_proxy,
            proxy=broker.proxy,
            controller=broker.controller,
            voters=",".join(f"{one.node}@127.0.0.1:{one.controller}" for one in brokers),
            data=broker.folder / "data",
            replicas=min(len(brokers), 3),
        )
    )
    command = [*_java(*QUICK), "kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(broker._properties)]
    return subprocess.Popen(command, cwd=broker.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def _java(*options: str) -> list[str]:
    java = shutil.which("java")
    if java is None or not any(JARS.glob("kafka_*.jar")):
        raise RuntimeError(f"the tests need Java 17 or newer, and Kafka's jars in {JARS}: run `make test`")
    return [java, *options, "-cp", str(JARS / "*")]
