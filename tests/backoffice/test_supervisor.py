"""The supervisor with real processes: restarts, clean stops, and never an orphan."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import structlog

from backoffice.occupancy import LOCK_FILE, Occupancy, OccupiedError
from backoffice.supervisor import Child, Supervisor

ROOT = Path(__file__).parents[2]
WAIT_S = 20.0

pytestmark = pytest.mark.processes


class Supervised:
    """The program supervised.py with its folder of notes."""

    def __init__(self, folder: Path, *children: str, grace_s: float = 10) -> None:
        self.folder = folder
        self.children = children
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("supervised.py")), str(folder), str(grace_s), *children],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        wait_for(lambda: all(self.pid(name) for name in children))

    def pid(self, name: str) -> int:
        note = self.folder / f"{name}.pid"
        return int(note.read_text() or 0) if note.exists() else 0

    def stopped_as_asked(self, name: str) -> bool:
        return (self.folder / f"{name}.done").exists()

    def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(WAIT_S)

    def clean_up(self) -> None:
        for pid in [self.process.pid, *(self.pid(name) for name in self.children)]:
            if pid and psutil.pid_exists(pid):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Callable[..., Supervised]]:
    running: list[Supervised] = []

    def start(*children: str, grace_s: float = 10) -> Supervised:
        running.append(Supervised(tmp_path, *children, grace_s=grace_s))
        return running[-1]

    yield start
    for one in running:
        one.clean_up()


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def is_gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_a_killed_child_runs_again(started: Callable[..., Supervised]) -> None:
    shop = started("relay", "consumer")
    (killed, other) = (shop.pid("relay"), shop.pid("consumer"))
    os.kill(killed, signal.SIGKILL)
    wait_for(lambda: shop.pid("relay") not in {0, killed})
    assert shop.pid("consumer") == other
    assert shop.end() == 0


def test_sigterm_lets_every_child_finish_and_leaves_none(started: Callable[..., Supervised]) -> None:
    shop = started("relay", "consumer", "dashboard")
    began_s = time.monotonic()
    assert shop.end() == 0
    assert time.monotonic() - began_s < 5
    for name in shop.children:
        assert shop.stopped_as_asked(name)
        assert is_gone(shop.pid(name))


def test_ctrl_c_reaches_each_child_once(started: Callable[..., Supervised]) -> None:
    """A terminal sends SIGINT to its whole foreground group; a second signal would cut the children's work short."""
    shop = started("relay", "consumer")
    os.killpg(shop.process.pid, signal.SIGINT)
    assert shop.process.wait(WAIT_S) == 0
    assert all(shop.stopped_as_asked(name) for name in shop.children)


def test_no_child_outlives_a_supervisor_that_was_killed(started: Callable[..., Supervised]) -> None:
    shop = started("relay", "consumer")
    shop.process.kill()
    wait_for(lambda: all(is_gone(shop.pid(name)) for name in shop.children))
    assert all(shop.stopped_as_asked(name) for name in shop.children)


def test_a_child_that_cannot_stop_ends_itself_when_the_supervisor_was_killed(
    started: Callable[..., Supervised],
) -> None:
    shop = started("stubborn")
    shop.process.kill()
    wait_for(lambda: is_gone(shop.pid("stubborn")))


def test_a_child_that_does_not_stop_in_time_is_killed_and_the_exit_code_tells(
    started: Callable[..., Supervised],
) -> None:
    shop = started("relay", "stubborn", grace_s=0.5)
    assert shop.end() == 1
    assert shop.stopped_as_asked("relay")
    assert is_gone(shop.pid("stubborn"))


def test_a_second_signal_ends_a_process_at_once(started: Callable[..., Supervised]) -> None:
    shop = started("stubborn")
    pid = shop.pid("stubborn")
    os.kill(pid, signal.SIGTERM)
    time.sleep(0.3)
    assert not is_gone(pid)
    os.kill(pid, signal.SIGTERM)
    wait_for(lambda: is_gone(pid))


async def test_a_child_that_dies_at_once_is_started_at_growing_intervals() -> None:
    stop = asyncio.Event()
    with structlog.testing.capture_logs() as lines:
        supervisor = Supervisor([Child("relay", (sys.executable, "-c", "raise SystemExit(3)"))], grace_s=5)
        running = asyncio.create_task(supervisor.run(stop))
        while len(deaths := [line for line in lines if line["action"] == "supervisor.restarting"]) < 3:
            await asyncio.sleep(0.02)
        stop.set()
        assert await running
    assert [line["code"] for line in deaths[:3]] == [3, 3, 3]
    assert [line["event"] for line in deaths[:3]] == [
        f"relay ended with code 3; it starts again in {pause} s." for pause in ("0.1", "0.2", "0.4")
    ]


def test_a_data_folder_takes_one_up_at_a_time_and_names_the_one_it_has(tmp_path: Path) -> None:
    first = Occupancy(tmp_path)
    with pytest.raises(OccupiedError, match=rf"{tmp_path.name} is in use .*process {os.getpid()}"):
        Occupancy(tmp_path)
    first.end()
    Occupancy(tmp_path).end()


def test_a_lock_file_left_by_a_killed_up_holds_nobody(tmp_path: Path) -> None:
    (tmp_path / LOCK_FILE).write_text("4194304")
    Occupancy(tmp_path).end()
