"""One Kafka broker and one PostgreSQL as they serve: with all of Java's compilers, and with synchronous writes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.servers.kafka import Broker, new_broker
from tests.servers.postgres import NEWEST, PostgresServer, running_postgres

DURABLE = {"fsync": "on", "full_page_writes": "on", "shared_buffers": "128MB"}


@dataclass(frozen=True, slots=True)
class Servers:
    folder: Path
    broker: Broker
    postgres: PostgresServer

    async def new_database(self) -> str:
        """Its address, with every table of ours."""
        return self.postgres.url(await self.postgres.create_migrated_database())

    def new_folder(self, name: str) -> Path:
        found = self.folder / name
        found.mkdir()
        return found


@contextmanager
def running_servers(folder: Path) -> Iterator[Servers]:
    (folder / "kafka").mkdir()
    broker = new_broker(folder / "kafka", ())
    try:
        with running_postgres(NEWEST, **DURABLE) as postgres:
            yield Servers(folder, broker, postgres)
    finally:
        broker.stop()
