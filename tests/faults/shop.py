"""A shop of real processes in a folder of a test's own, each stopped by its own number."""

from __future__ import annotations

import asyncio
import csv
import io
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import asyncpg
import httpx

from backoffice.pipeline_status import PipelineStatus
from backoffice.settings import Settings, variable
from backoffice.stores import Stores
from event_store.connect import file_of
from producer_api.online_retail_import import Account, import_online_retail
from tests import retail_oracle
from tests.servers.ports import free_port

ROOT = Path(__file__).parents[2]
EXCERPT = retail_oracle.EXCERPT
WAIT_S = 90.0
"""Long enough for a machine that is busy with something else."""
LINE = ("api", "relay", "consumer")

Row = tuple[str | int, ...]
Database = Literal["commerce", "backoffice"]


@dataclass
class Running:
    """One process of ours."""

    role: str
    process: subprocess.Popen[str]
    errors: Path
    port: int
    """Where it answers `/livez`."""

    @property
    def said(self) -> str:
        """Its standard error."""
        return self.errors.read_text(errors="replace")

    @property
    def last_words(self) -> str:
        return f"{self.role}: {self.said[-3000:]}"

    @property
    def is_alive(self) -> bool:
        return self.process.poll() is None

    def kill(self) -> None:
        """As a power cut would; fails where there was nothing left to kill."""
        assert self.is_alive, f"{self.role} had ended with {self.process.returncode}: {self.said}"
        self.process.kill()
        assert self.process.wait(WAIT_S) == -signal.SIGKILL

    def stop(self) -> int:
        """Its exit code after SIGTERM."""
        assert self.is_alive, f"{self.role} had ended with {self.process.returncode}: {self.said}"
        self.process.terminate()
        return self.process.wait(WAIT_S)

    def pause(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def wake(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    @property
    def is_paused(self) -> bool:
        """Whether a SIGSTOP holds it, from the state the system shows."""
        stat = Path(f"/proc/{self.process.pid}/stat").read_text()
        return stat.rpartition(")")[2].split()[0] == "T"

    async def answers(self) -> bool:
        """Whether it does its work and hears signals."""
        try:
            async with httpx.AsyncClient(timeout=5) as client:
                return (await client.get(f"http://127.0.0.1:{self.port}/livez")).is_success
        except httpx.HTTPError:
            return False

    async def is_up(self) -> None:
        await until(self.answers, self)

    async def died_at_its_crash_point(self) -> None:
        await until(lambda: not self.is_alive, self)
        assert self.process.returncode == -signal.SIGKILL, self.said


@dataclass
class Shop:
    """`settings` are those of every process; what `start` is given more is of that one."""

    folder: Path
    settings: Mapping[str, str] = field(default_factory=dict)
    started: list[Running] = field(default_factory=list)
    api_port: int = 0

    def __post_init__(self) -> None:
        self.api_port = self.api_port or free_port()
        self.dashboard_port = free_port()
        self.data = self.folder / "shop"
        self.folder.mkdir(exist_ok=True)

    @property
    def api_url(self) -> str:
        return f"http://127.0.0.1:{self.api_port}"

    @property
    def commerce_db(self) -> Path:
        return self.data / "commerce.db"

    @property
    def log_db(self) -> Path:
        return self.data / "log.db"

    @property
    def backoffice_db(self) -> Path:
        return self.data / "backoffice.db"

    def environment(self, more: Mapping[str, str]) -> dict[str, str]:
        """Short leases, and names that a restarted process has again."""
        ours = {name: value for name, value in os.environ.items() if not name.startswith("COUNTINGHOUSE_")}
        return {
            **ours,
            "PYTHONPATH": str(ROOT),
            "COUNTINGHOUSE_DATA_DIR": str(self.data),
            "COUNTINGHOUSE_API_PORT": str(self.api_port),
            "COUNTINGHOUSE_DASHBOARD_PORT": str(self.dashboard_port),
            "COUNTINGHOUSE_SIGN_IN": "off",
            "COUNTINGHOUSE_RELAY_NAME": "relay",
            "COUNTINGHOUSE_CONSUMER_NAME": "consumer",
            "COUNTINGHOUSE_LEASE_TTL_S": "2",
            "COUNTINGHOUSE_LEASE_RENEW_S": "0.5",
            **self.settings,
            **more,
        }

    def start(self, *command: str, **environment: str) -> Running:
        return self._start(command, environment)

    def start_after(self, before: Callable[[], None], *command: str) -> Running:
        """`before` runs in the new process ahead of the program."""
        return self._start(command, {}, before)

    def _start(
        self, command: Sequence[str], environment: dict[str, str], before: Callable[[], None] | None = None
    ) -> Running:
        ports = {"api": self.api_port, "dashboard": self.dashboard_port}
        variable = f"COUNTINGHOUSE_{command[0].upper()}_PORT"
        port = int(environment.get(variable) or ports.get(command[0]) or free_port())
        if command[0] in ("api", "relay", "consumer", "archiver", "dashboard"):
            environment[variable] = str(port)
        errors = self.folder / f"{len(self.started):03}-{command[0]}.txt"
        with errors.open("w") as stream:
            process = subprocess.Popen(
                [sys.executable, "-m", "backoffice", *command],
                env=self.environment(environment),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stream,
                text=True,
                preexec_fn=before,  # noqa: PLW1509 - no other threads are at work in the parent when it forks
            )
        self.started.append(Running(command[0], process, errors, port))
        return self.started[-1]

    def start_line(self) -> tuple[Running, Running, Running]:
        """api, relay and consumer."""
        (api, relay, consumer) = (self.start(role) for role in LINE)
        return api, relay, consumer

    def run(self, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """A command of the command line, to its end."""
        return subprocess.run(
            [sys.executable, "-m", "backoffice", *command],
            env=self.environment(environment),
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=WAIT_S,
        )

    def ok(self, *command: str, **environment: str) -> str:
        done = self.run(*command, **environment)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def rows(self, *arguments: str) -> list[dict[str, str]]:
        """What `countinghouse figures` says, as CSV."""
        return list(csv.DictReader(io.StringIO(self.ok("figures", *arguments, "--format", "csv"))))

    async def send(self, file: Path = EXCERPT) -> Account:
        """The file through the API, repeated until it is all taken, whoever dies meanwhile."""
        return await import_online_retail(file, self.api_url, None, connections=4, patience_s=WAIT_S)

    async def status(self) -> PipelineStatus:
        async with self._stores() as stores:
            return await stores.pipeline().status()

    async def drained(self) -> PipelineStatus:
        """The status once everything accepted is counted."""
        deadline = time.monotonic() + WAIT_S
        async with self._stores() as stores:
            while not (status := await stores.pipeline().status()).is_drained:
                said = "\n".join(one.last_words for one in self.started)
                assert time.monotonic() < deadline, f"not drained: {status}\n{said}"
                await stores.read_model().wait_for_news(0.1)
        return status

    async def figures(self, *by: str) -> list[Row]:
        """As the oracle's table has them: without views, likes and refunds of known sales, which must be 0."""
        from projections.figures import Question, figures

        async with self._stores() as stores:
            question = Question(by or ("product", "day"), "Europe/London")
            answer = await figures(stores.read_model(), question)
        assert not any(answer[name].sum() for name in ("views", "likes", "sale_refunds", "traced_refunds"))
        told = answer.select(*question.keys, *retail_oracle.HEADER.split(",")[3:])
        return [tuple(str(cell) if name == "day" else cell for name, cell in row.items()) for row in told.to_dicts()]

    async def counted_exactly(self, expected: Sequence[Row] | None = None) -> PipelineStatus:
        """Everything is counted, nothing is lost, nothing is dead, and every figure is the oracle's."""
        status = await self.drained()
        assert status.completeness.missing == 0
        assert status.completeness.parked == 0
        assert await self.figures() == (excerpt_oracle() if expected is None else list(expected))
        return status

    def sql(self, file: Path, statement: str) -> list[Any]:
        """What a statement finds in one of the files, read beside the processes."""
        connection = sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=30)
        try:
            return connection.execute(statement).fetchall()
        finally:
            connection.close()

    async def number(self, database: Database, statement: str) -> int:
        """What a statement finds in one of the databases, wherever it is; 0 while its tables are still to be made."""
        url = self._own_settings().commerce_db_url if database == "commerce" else self._own_settings().backoffice_db_url
        file = file_of(url)
        try:
            if file is not None:
                return int(self.sql(file, statement)[0][0])
            return int(await _fetched(url, statement))
        except (sqlite3.OperationalError, asyncpg.UndefinedTableError):
            return 0

    @contextmanager
    def locked(self, file: Path) -> Iterator[None]:
        """Another program writes to the file for as long as the block lasts."""
        connection = sqlite3.connect(file, isolation_level=None, timeout=30)
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            connection.execute("ROLLBACK")
            connection.close()

    def close(self) -> None:
        for one in self.started:
            one.process.kill()
            one.process.wait()

    def complaints(self) -> list[str]:
        """Standard errors that hold what nobody should ever have to read."""
        return [f"{one.errors.name}:\n{one.said}" for one in self.started if is_a_fault_of_ours(one.said)]

    def _stores(self) -> Stores:
        return Stores(self._own_settings())

    def _own_settings(self) -> Settings:
        """What its processes are given, as far as it says where things are kept."""
        known = {variable(name): name for name in Settings.model_fields}
        own: dict[str, Any] = {known[key]: value for key, value in self.settings.items() if key in known}
        return Settings(**{"data_dir": self.data, **own})


async def _fetched(url: str, statement: str) -> int:
    connection = await asyncpg.connect(url.replace("postgresql+asyncpg", "postgresql", 1))
    try:
        return int(await connection.fetchval(statement))
    finally:
        await connection.close()


def is_a_fault_of_ours(said: str) -> bool:
    return "Traceback" in said or "never retrieved" in said or "never awaited" in said


def excerpt_oracle() -> list[Row]:
    return retail_oracle.oracle(EXCERPT)


async def until(
    condition: Callable[[], object] | Callable[[], Awaitable[object]], *of: Running, timeout_s: float = WAIT_S
) -> None:
    """Returns when the condition holds; fails after a time, with what the processes `of` said."""
    deadline = time.monotonic() + timeout_s
    while True:
        found = condition()
        if await found if isinstance(found, Awaitable) else found:
            return
        said = "\n".join(one.last_words for one in of)
        assert time.monotonic() < deadline, f"waited in vain for {timeout_s:g} s. {said}"
        await asyncio.sleep(0.02)
