"""Pausing and resuming from the command line, and what the other commands say meanwhile."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from backoffice.__main__ import command_line_app
from backoffice.commands.pause import tell_sender
from backoffice.failures import CommandFailed
from backoffice.settings import Settings
from backoffice.stores import Stores


def ran(data: Path, *arguments: str) -> Result:
    return CliRunner().invoke(command_line_app(), [*arguments, "--data", str(data)])


def refusal(result: Result) -> tuple[str, int]:
    assert isinstance(result.exception, CommandFailed), result.output
    return str(result.exception), result.exception.code


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Of a shop that was started once."""

    async def make() -> None:
        async with Stores(Settings.model_validate({"data_dir": tmp_path})) as stores:
            stores.pipeline()

    asyncio.run(make())
    return tmp_path


@pytest.mark.parametrize(("part", "work", "where"), [("relay", "sending", 0), ("consumer", "counting", 1)])
def test_a_part_is_paused_once_shown_and_resumed_once(data: Path, part: str, work: str, where: int) -> None:
    assert ran(data, "pause", part, "--why", "the broker moves").stdout.startswith(f"The {part} is paused")
    (why, code) = refusal(ran(data, "pause", part, "--why", "again"))
    assert code == 2
    assert why.startswith(f"The {part} is paused already, by command line (")
    (shown,) = status(data)["completeness"]["paused"]
    assert (shown["part"], shown["why"]) == (part, "the broker moves")
    assert f"; {work} is paused since " in ran(data, "status", "--over", "0").stdout
    assert ran(data, "resume", part).stdout.startswith(f"The {part} goes on")
    assert refusal(ran(data, "resume", part)) == (f"The {part} isn't paused.", 2)
    assert status(data)["completeness"]["paused"] == []
    kept = json.loads(ran(data, "audit", "list", "--json").stdout)
    assert [(row["what"], row["reason"], row["where"]) for row in kept] == [
        (f"{part}.resumed", "", ("commerce", "backoffice")[where]),
        (f"{part}.paused", "the broker moves", ("commerce", "backoffice")[where]),
    ]


def status(data: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(ran(data, "status", "--json", "--over", "0").stdout)
    return found


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["pause", "archiver", "--why", "x"], "'archiver' is none of relay, consumer, rebuild."),
        (["resume", ""], "'' is none of relay, consumer, rebuild."),
        (["pause", "relay", "--why", " "], "Say why, in 1 to 500 characters."),
    ],
)
def test_what_names_no_part_or_no_reason_is_refused_in_one_line(data: Path, arguments: list[str], words: str) -> None:
    assert refusal(ran(data, *arguments)) == (words, 2)
    assert ran(data, "pause", "relay").exit_code == 2
    assert status(data)["completeness"]["paused"] == []


def test_where_nothing_was_started_there_is_nothing_to_pause(tmp_path: Path) -> None:
    assert "Nothing has been started here" in str(ran(tmp_path, "pause", "relay", "--why", "x").exception)
    assert not (tmp_path / "commerce.db").exists()


def test_a_pause_of_rebuilds_makes_no_figure_late(data: Path) -> None:
    assert ran(data, "pause", "rebuild", "--why", "the night is over").exit_code == 0
    assert status(data)["completeness"]["level"] == "ok"
    assert status(data)["completeness"]["paused"] == []
    assert ran(data, "resume", "rebuild").exit_code == 0


def told_a_sender(data: Path, api: str | None = None) -> list[str]:
    said: list[str] = []
    asyncio.run(tell_sender(Settings.model_validate({"data_dir": data}), api, said.append))
    return said


def test_who_sends_a_file_is_told_that_nothing_of_it_is_counted_yet(data: Path) -> None:
    assert told_a_sender(data) == []
    for part in ("relay", "consumer", "rebuild"):
        ran(data, "pause", part, "--why", "the broker moves")
    (sending, counting) = told_a_sender(data)
    assert sending.startswith("Sending is paused since ")
    assert counting.startswith("Counting is paused since ")
    assert sending.endswith(
        "): the broker moves. What was sent is kept, and is counted after `countinghouse resume relay`."
    )
    assert told_a_sender(data, "http://elsewhere:8000") == []
    ran(data, "resume", "relay")
    assert told_a_sender(data) == [counting]


def test_telling_a_sender_makes_no_shop_and_fails_at_nothing(tmp_path: Path) -> None:
    assert told_a_sender(tmp_path / "none") == []
    assert not (tmp_path / "none").exists()
    for name in ("commerce.db", "backoffice.db"):
        (tmp_path / name).write_bytes(b"no database")
    assert told_a_sender(tmp_path) == []
