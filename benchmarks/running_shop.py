"""A shop of real processes for the benchmarks, on free ports and in a folder of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from tests.servers.ports import free_port


class RunningShop:
    """Runs while the block runs."""

    def __init__(self, folder: Path, settings: Mapping[str, str] | None = None, process: str = "up") -> None:
        """`process`: "up" for all of them, or "dashboard"."""
        self.folder = folder
        self.process = process
        self.settings = settings or {}
        names = ("API", "DASHBOARD")
        self.ports = {f"COUNTINGHOUSE_{name}_PORT": free_port() for name in names}
        self.environment = {**os.environ, **{name: str(port) for name, port in self.ports.items()}}
        self.environment |= {"COUNTINGHOUSE_LOG_LEVEL": "warning", **self.settings}
        self.api_port = self.ports["COUNTINGHOUSE_API_PORT"]
        self.api_url = f"http://127.0.0.1:{self.api_port}"
        self._up: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        return self._up.pid if self._up else 0

    def __enter__(self) -> Self:
        self._up = subprocess.Popen(self._command(self.process), env=self.environment, stdout=subprocess.DEVNULL)
        deadline_s = time.monotonic() + 30
        asked = [self.dashboard_url] if self.process == "dashboard" else [self.api_url, self.dashboard_url]
        while not all(answers(f"{url}/readyz") for url in asked):
            if time.monotonic() > deadline_s or self._up.poll() is not None:
                raise SystemExit("the shop did not start")
            time.sleep(0.05)
        return self

    def __exit__(self, *_: object) -> None:
        if self._up is not None:
            self._up.send_signal(signal.SIGTERM)
            self._up.wait(40)

    @property
    def dashboard_url(self) -> str:
        return f"http://127.0.0.1:{self.ports['COUNTINGHOUSE_DASHBOARD_PORT']}"

    def run(self, *arguments: str) -> str:
        """A command of the shop to its end; its standard output."""
        done = subprocess.run(
            self._command(*arguments), env=self.environment, stdout=subprocess.PIPE, text=True, check=True
        )
        return done.stdout

    def _command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "backoffice", "--data", str(self.folder), *arguments]


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 - our own address
            return bool(answer.status == 200)
    except OSError:
        return False
