"""A real PgBouncer in transaction mode before a PostgreSQL, where the machine has one as Debian's package puts it.

Few connections to the server for many clients: so one client's transactions go over many of them, and what a client
would leave behind in one, the next client finds.
"""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from .ports import free_port
from .postgres import PASSWORD, PostgresServer, environment, give_to_server, user
from .process import end, ends_with_parent

POOLED = -1
"""In the place of a version: the newest PostgreSQL, behind a pooler."""
SERVER_CONNECTIONS = 3
"""For each database."""
START_TIMEOUT_S = 30.0
SETTINGS = """
[databases]
* = host=127.0.0.1 port={server}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = plain
auth_file = {folder}/users
logfile = {folder}/log
pool_mode = transaction
default_pool_size = {connections}
max_client_conn = 500
query_wait_timeout = 60
server_round_robin = 1
"""


def is_there() -> bool:
    return _program() is not None


@contextmanager
def pooled(server: PostgresServer) -> Iterator[PostgresServer]:
    """The same server, whose addresses are those of a pooler before it. Raises RuntimeError with its own words."""
    folder = Path(tempfile.mkdtemp(prefix="countinghouse-pgbouncer-"))
    try:
        port = free_port()
        process = _launch(folder, server.port, port)
        try:
            _wait_until_ready(process, port, folder)
            yield replace(server, pooler_port=port)
        finally:
            end(process, signal.SIGTERM, signal.SIGKILL)
    finally:
        shutil.rmtree(folder)


def _program() -> str | None:
    return shutil.which("pgbouncer", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")


def _launch(folder: Path, server: int, port: int) -> subprocess.Popen[bytes]:
    (settings, users) = (folder / "settings", folder / "users")
    settings.write_text(SETTINGS.format(server=server, port=port, folder=folder, connections=SERVER_CONNECTIONS))
    users.write_text(f'"postgres" "{PASSWORD}"\n')
    for path in (folder, settings, users):
        give_to_server(path)
    return subprocess.Popen(
        [_program() or "pgbouncer", "--quiet", str(settings)],
        cwd=folder,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=ends_with_parent(signal.SIGKILL),  # noqa: PLW1509
        **user(),
    )


def _wait_until_ready(process: subprocess.Popen[bytes], port: int, folder: Path) -> None:
    deadline_s = time.monotonic() + START_TIMEOUT_S
    while process.poll() is None and time.monotonic() < deadline_s:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    log = folder / "log"
    raise RuntimeError(f"PgBouncer did not start: {log.read_text() if log.exists() else 'it said nothing'}")
