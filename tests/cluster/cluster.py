"""The shop of compose.yaml without containers: real servers from jars and wheels, and our processes beside them.

Commands and settings are compose.yaml's own. Only what belongs to a container is another: the addresses, the data
folder, and the ports of several copies of one process on one machine.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg

from tests.faults.shop import ROOT
from tests.servers.kafka import Broker, new_broker
from tests.servers.ports import free_port
from tests.servers.postgres import PostgresServer, running_postgres
from tests.servers.valkey import new_valkey

from .compose import Service, our_services

PASSWORD = "of one run"  # noqa: S105 - of servers that live for one run
USER = "countinghouse"
DATABASES = ("commerce", "backoffice")
PORT = "_PORT"
HOST = "_HOST"


@dataclass(frozen=True, slots=True)
class Member:
    """One process of the cluster; `port` is where it answers `/livez`, 0 where it doesn't."""

    name: str
    service: Service
    environment: Mapping[str, str]
    port: int

    @property
    def command(self) -> tuple[str, ...]:
        return (sys.executable, "-m", "backoffice", *self.service.command)


@dataclass(slots=True)
class Cluster:
    """Servers that are up. `addresses` is what compose.yaml calls something → where it is here."""

    folder: Path
    broker: Broker
    postgres: PostgresServer
    addresses: dict[str, str]
    published: Mapping[str, int] = field(default_factory=dict)
    """Service → the port of its first copy, where it must be a certain one."""

    def members(self, *profiles: str) -> list[Member]:
        """Every process but the tasks, with those of the profiles."""
        return [
            self._member(service, number)
            for service in self._services()
            if not service.is_task and set(service.profiles) <= set(profiles)
            for number in range(1, service.replicas + 1)
        ]

    def prepare(self) -> None:
        """Runs the tasks that must end before the rest begins. Raises CalledProcessError."""
        for service in self._services():
            if service.is_task:
                member = self._member(service, 1)
                subprocess.run(member.command, env=self.full(member), cwd=self.folder, check=True, timeout=120)

    def full(self, member: Member) -> dict[str, str]:
        """Its whole environment: this process's, less settings of ours, and its own."""
        outer = {name: value for name, value in os.environ.items() if not name.startswith("COUNTINGHOUSE_")}
        return {**outer, "PYTHONPATH": str(ROOT), **member.environment}

    @property
    def settings(self) -> dict[str, str]:
        """What every process is given."""
        (relay,) = (service for service in self._services() if service.name == "relay")
        return {name: value for name, value in self._environment(relay).items() if not name.endswith(PORT)}

    def _services(self) -> list[Service]:
        return our_services({"POSTGRES_PASSWORD": PASSWORD})

    def _member(self, service: Service, number: int) -> Member:
        environment = self._environment(service)
        name = service.name if service.replicas == 1 else f"{service.name}-{number}"
        port = 0
        for variable in [one for one in environment if one.endswith(PORT)]:
            port = self.published[service.name] + number - 1 if service.name in self.published else free_port()
            environment[variable] = str(port)
        if service.name in ("relay", "consumer"):
            # A container keeps its host's name when it starts again, and so its leases; so does this.
            environment[f"COUNTINGHOUSE_{service.name.upper()}_NAME"] = name
        if service.name == "api" and number == 1:
            self.addresses["api:8000"] = f"127.0.0.1:{port}"
        command = tuple(self._placed(word) for word in service.command)
        placed = Service(service.name, command, environment, service.replicas, service.profiles, service.after)
        return Member(name, placed, environment, port)

    def _environment(self, service: Service) -> dict[str, str]:
        own = {name: self._placed(value) for name, value in service.environment.items()}
        hosts = {name: "127.0.0.1" for name in own if name.endswith(HOST)}
        return {**own, **hosts, "COUNTINGHOUSE_DATA_DIR": str(self.folder / "data")}

    def _placed(self, text: str) -> str:
        for name, address in self.addresses.items():
            text = text.replace(name, address)
        return text


@contextmanager
def running_cluster(folder: Path, published: Mapping[str, int] | None = None) -> Iterator[Cluster]:
    """Starts Kafka, PostgreSQL and Valkey, and stops them at the end."""
    with ExitStack() as servers:
        broker_folder = folder / "kafka"
        broker_folder.mkdir(parents=True)
        broker = new_broker(broker_folder)
        servers.callback(broker.stop)
        postgres = servers.enter_context(running_postgres())
        asyncio.run(_make_databases(postgres))
        valkey_folder = folder / "valkey"
        valkey_folder.mkdir()
        valkey = new_valkey(valkey_folder)
        servers.callback(valkey.stop)
        addresses = {
            "kafka:19092": broker.address,
            "postgres:5432": f"127.0.0.1:{postgres.port}",
            "valkey:6379": f"127.0.0.1:{valkey.port}",
        }
        yield Cluster(folder, broker, postgres, addresses, published or {})


async def _make_databases(postgres: PostgresServer) -> None:
    """What the image of PostgreSQL makes from its environment and its first script."""
    connection = await asyncpg.connect(postgres.url("postgres", "postgresql"))
    try:
        await connection.execute(f"CREATE ROLE {USER} LOGIN PASSWORD '{PASSWORD}'")
        for name in DATABASES:
            await connection.execute(f"CREATE DATABASE {name} OWNER {USER}")
    finally:
        await connection.close()
