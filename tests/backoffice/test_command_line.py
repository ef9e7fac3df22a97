"""The command line as a person at a terminal meets it, in real processes."""

import csv
import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from jsonschema import Draft202012Validator

from backoffice.__main__ import command_line_app
from tests.servers.ports import free_port

ROOT = Path(__file__).parents[2]
EXCERPT = ROOT / "tests" / "data" / "online-retail-excerpt.csv"
WAIT_S = 60.0

pytestmark = [pytest.mark.processes, pytest.mark.timeout(180)]


class CommandLine:
    """Runs `countinghouse` with settings of a test's own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ports = {"COUNTINGHOUSE_API_PORT": free_port(), "COUNTINGHOUSE_DASHBOARD_PORT": free_port()}
        self.started: list[subprocess.Popen[str]] = []

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self._command(arguments),
            env=self._environment(environment),
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=WAIT_S,
        )

    def start(self, *arguments: str, **environment: str) -> "subprocess.Popen[str]":
        with (self.folder / "said.txt").open("w") as said, (self.folder / "stderr.txt").open("a") as errors:
            process = subprocess.Popen(
                self._command(arguments),
                env=self._environment(environment),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=errors,
                text=True,
            )
        self.started.append(process)
        return process

    def addresses(self) -> list[str]:
        """What `up` says once its addresses answer."""
        note = self.folder / "said.txt"
        wait_for(lambda: note.read_text().count("\n") >= 4)
        return note.read_text().splitlines()

    def ok(self, *arguments: str) -> str:
        done = self.run(*arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def _command(self, arguments: tuple[str, ...]) -> list[str]:
        return [sys.executable, "-m", "backoffice", *arguments]

    def _environment(self, more: dict[str, str]) -> dict[str, str]:
        ours = {name: value for name, value in os.environ.items() if not name.startswith("COUNTINGHOUSE_")}
        ports = {name: str(port) for name, port in self.ports.items()}
        return {**ours, "PYTHONPATH": str(ROOT), "COUNTINGHOUSE_DATA_DIR": str(self.folder / "shop"), **ports, **more}


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[CommandLine]:
    line = CommandLine(tmp_path)
    yield line
    for process in line.started:
        process.kill()
        process.communicate()


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def test_help_lists_every_command() -> None:
    app = command_line_app()
    commands = {one.name or one.callback.__name__ for one in app.registered_commands if one.callback and not one.hidden}
    groups = {group.name for group in app.registered_groups}
    assert commands | groups >= {
        *("up", "demo", "shoppers", "api", "relay", "consumer", "archiver", "dashboard"),
        *("config", "figures", "status", "drain", "rebuild", "explain"),
        *("import", "events", "outbox"),
    }


def test_the_data_folder_may_be_named_before_or_after_the_command_and_wins_over_the_environment(
    shell: CommandLine,
) -> None:
    for arguments in (("config", "--json", "--data", "here"), ("--data", "here", "config", "--json")):
        shown = json.loads(shell.ok(*arguments))
        assert shown["COUNTINGHOUSE_DATA_DIR"]["value"] == str(shell.folder / "here")
        assert shown["COUNTINGHOUSE_DATA_DIR"]["source"] == "--data"


def test_a_bad_setting_is_one_line_and_exit_code_2(shell: CommandLine) -> None:
    done = shell.run("status", COUNTINGHOUSE_API_PORT="0")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "COUNTINGHOUSE_API_PORT: input should be greater than or equal to 1, not '0'\n"


def test_looking_at_a_shop_that_was_never_started_says_so_and_makes_nothing(shell: CommandLine) -> None:
    for arguments in (("status",), ("rebuild",), ("outbox", "dead")):
        done = shell.run(*arguments)
        assert done.returncode == 2
        assert done.stderr.startswith("Nothing has been started here")
        assert done.stderr.count("\n") == 1
    assert not (shell.folder / "shop").exists()


def test_the_schema_of_events_is_printed_as_json_schema(shell: CommandLine) -> None:
    schema = json.loads(shell.ok("events", "schema"))
    Draft202012Validator.check_schema(schema)
    assert len(schema["anyOf"]) >= 7


def test_without_sign_in_the_dashboard_refuses_an_address_that_others_may_reach(shell: CommandLine) -> None:
    for command in ("dashboard", "up"):
        done = shell.run(command, COUNTINGHOUSE_DASHBOARD_HOST="0.0.0.0", COUNTINGHOUSE_SIGN_IN="off")
        assert done.returncode == 2
        assert "COUNTINGHOUSE_SIGN_IN=off" in done.stderr
        assert done.stderr.count("\n") == 1


def test_with_sign_in_it_listens_there_and_asks_who_comes(shell: CommandLine) -> None:
    said = shell.ok("users", "add", "ada", "--role", "admin")
    process = shell.start("dashboard", COUNTINGHOUSE_DASHBOARD_HOST="0.0.0.0")
    port = shell.ports["COUNTINGHOUSE_DASHBOARD_PORT"]
    wait_for(lambda: process.poll() is not None or answers(port, "/sign-in"))
    assert not answers(port, "/")
    assert not answers(port, "/readyz")
    process.send_signal(signal.SIGTERM)
    assert process.wait(WAIT_S) == 0
    written = (shell.folder / "said.txt").read_text() + (shell.folder / "stderr.txt").read_text()
    assert said.split()[-1] not in written
    assert "passwords and figures go over it as plain text" in written


def test_up_names_an_address_that_is_taken(shell: CommandLine) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", shell.ports["COUNTINGHOUSE_DASHBOARD_PORT"]))
        taken.listen()
        done = shell.run("up")
    assert done.returncode == 2
    assert "COUNTINGHOUSE_DASHBOARD_PORT" in done.stderr


@pytest.mark.parametrize("command", ["api", "relay", "consumer", "archiver", "dashboard"])
def test_each_process_runs_alone_and_ends_with_0_on_sigterm(shell: CommandLine, command: str) -> None:
    port = free_port()
    names = {
        "api": "COUNTINGHOUSE_API_PORT",
        "dashboard": "COUNTINGHOUSE_DASHBOARD_PORT",
        "relay": "COUNTINGHOUSE_RELAY_PORT",
        "consumer": "COUNTINGHOUSE_CONSUMER_PORT",
        "archiver": "COUNTINGHOUSE_ARCHIVER_PORT",
    }
    process = shell.start(command, **{names[command]: str(port)})
    wait_for(lambda: process.poll() is not None or answers(port, "/readyz"))
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert process.wait(WAIT_S) == 0


def test_a_whole_shop_runs_from_one_command(shell: CommandLine) -> None:
    """Import, drain, figures, explain, rebuild; a killed consumer comes back; SIGTERM leaves nothing behind."""
    up = shell.start("up")
    assert f"http://127.0.0.1:{shell.ports['COUNTINGHOUSE_DASHBOARD_PORT']}" in shell.addresses()[1]
    second = shell.run("up", **{name: str(free_port()) for name in shell.ports})  # No address is in its way.
    assert second.returncode == 2
    assert f"is in use by another `countinghouse up` (process {up.pid})" in second.stderr

    (consumer,) = [one for one in psutil.Process(up.pid).children() if "consumer" in one.cmdline()]
    consumer.kill()
    shell.ok("pause", "relay", "--why", "the broker moves")
    imported = shell.run("import", "online-retail", str(EXCERPT), "--rejects", str(shell.folder / "rejects.csv"))
    assert imported.returncode == 0, imported.stderr
    assert "672  rows read" in imported.stdout
    assert imported.stderr.startswith("Sending is paused since ")
    assert (shell.folder / "rejects.csv").exists()
    shell.ok("resume", "relay")
    shell.ok("drain", "--timeout", "50")

    by_day = figures(shell, "--by", "day", "--tz", "Europe/London")
    assert sum(int(row["gross_minor"]) for row in by_day) > 0
    rows = figures(shell, "--by", "product,day", "--tz", "Europe/London")
    asked = max(rows, key=lambda row: int(row["gross_minor"]))
    (explained,) = json.loads(
        shell.ok(
            *("explain", "--product", asked["product_id"], "--day", asked["day"]),
            *("--metric", "gross_minor", "--tz", "Europe/London", "--json"),
        )
    )
    assert explained["sum"] == explained["figure"] == int(asked["gross_minor"])

    shell.ok("rebuild")
    assert figures(shell, "--by", "product,day", "--tz", "Europe/London") == rows
    shell.ok("rebuild", "--rollback")
    assert figures(shell, "--by", "product,day", "--tz", "Europe/London") == rows
    status = json.loads(shell.ok("status", "--json"))
    assert sum(lane["sent"] for lane in status["lanes"]) == status["completeness"]["offset"]

    processes = psutil.Process(up.pid).children(recursive=True)
    assert len(processes) == 5
    up.send_signal(signal.SIGTERM)
    assert up.wait(WAIT_S) == 0
    assert [one for one in processes if one.is_running()] == []


def test_the_demo_shows_a_living_shop_in_a_folder_of_its_own(shell: CommandLine) -> None:
    home = {"XDG_DATA_HOME": str(shell.folder), "COUNTINGHOUSE_DATA_DIR": ""}
    demo = shell.start("demo", "--speed", "50", **home)
    (_, dashboard, way_in, data) = shell.addresses()[:4]
    assert data.endswith(f"{shell.folder}/countinghouse/demo")
    assert way_in.removeprefix("Sign in").strip().startswith(f"{dashboard.split()[-1]}/sign-in?name=demo&password=")
    wait_for(lambda: figures(shell, "--by", "day", "--data", f"{shell.folder}/countinghouse/demo"))
    demo.send_signal(signal.SIGINT)
    assert demo.wait(WAIT_S) == 0
    assert not (shell.folder / "shop").exists()


def figures(shell: CommandLine, *arguments: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(shell.ok("figures", *arguments, "--format", "csv"))))


def answers(port: int, path: str) -> bool:
    """Whether the server answers 200, in one raw request."""
    try:
        with socket.create_connection(("127.0.0.1", port), 2) as connection:
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n".encode())
            return b" 200 " in connection.recv(100)
    except OSError:
        return False
