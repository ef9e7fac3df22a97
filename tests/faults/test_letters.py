"""Dead letters at the command line: what is decided there, and a re-drive that is killed between its steps."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from backoffice.commands.letters import place_of
from backoffice.correction import event_id_of
from backoffice.failures import CommandFailed
from backoffice.settings import Settings
from backoffice.sign_in.desk import opened_office
from backoffice.stores import Stores
from event_store.codec import Codec
from event_store.envelope import stamp
from event_store.events import ProductView
from event_store.record import Record, TopicPartition
from event_store.topics import TOPICS
from projections.letters import Act, Chosen, LetterCount, LettersAsked

pytestmark = [pytest.mark.processes, pytest.mark.timeout(180)]

CATALOG = TopicPartition("catalog-events", 0)
PLACE = "catalog-events/0/0"
AT = datetime(2025, 12, 31, 12, tzinfo=UTC)

Ran = Callable[..., "subprocess.CompletedProcess[str]"]


def at_once(work: Callable[[Stores], Any], data: Path) -> Any:
    async def run() -> Any:
        async with Stores(Settings.model_validate({"data_dir": data})) as stores:
            return await work(stores)

    return asyncio.run(run())


@asynccontextmanager
async def _counted(stores: Stores) -> AsyncIterator[None]:
    """What comes into the log in the block is counted after it."""
    yield
    projector = stores.projector(await stores.read_model().serving(), serving=True)
    for topic in TOPICS:
        for number in range((await stores.log().topics())[topic.name]):
            tp = TopicPartition(topic.name, number)
            while len(batch := await stores.log().read(tp, (await projector.position(tp)).next_offset)):
                await projector.apply(batch)


async def _park(stores: Stores) -> None:
    async with _counted(stores):
        for topic in TOPICS:
            await stores.log().create_topic(topic.name, topic.partitions)
        await stores.outbox().lanes()
        await stores.log().append(CATALOG, [Record(b"key", value) for value in (b"{", b"no json", None)])


async def _relay(stores: Stores) -> list[str]:
    """Everything waiting goes to the log and is counted. Returns the ids."""
    (outbox, log) = (stores.outbox(), stores.log())
    sent = []
    async with _counted(stores):
        lanes = await outbox.hold_lanes("relay", 60)
        for claimed in await outbox.claim(lanes):
            lane = claimed.lane
            await log.append(
                lane.tp, [Record(r.key.encode(), stamp(r.payload, lane.source, r.sequence)) for r in claimed.rows]
            )
            sent += [row.event_id for row in claimed.rows]
    return sent


@pytest.fixture
def data(tmp_path: Path) -> Path:
    at_once(_park, tmp_path / "shop")
    return tmp_path / "shop"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    draft = Codec().draft(ProductView("lantern", "v", "GBP"), AT)
    (tmp_path / "event.json").write_bytes(stamp(draft.payload, "/edited", 1))
    return tmp_path / "event.json"


@pytest.fixture
def ran(data: Path) -> Ran:
    def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "backoffice", "letters", *arguments, "--data", str(data)],
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    return run


def audited(data: Path) -> list[tuple[str, str, str]]:
    async def rows() -> list[tuple[str, str, str]]:
        async with opened_office(Settings.model_validate({"data_dir": data})) as office:
            return [(row.what, row.on, row.reason) for row in await office.audits["backoffice"].older()]

    return asyncio.run(rows())


def views(data: Path) -> int:
    async def sum_up(stores: Stores) -> int:
        rows = await stores.read_model().rows(await stores.read_model().serving(), "interest")
        return int(rows["views"].sum())

    found: int = at_once(sum_up, data)
    return found


@pytest.mark.parametrize("point", ["letters.after_decision", "letters.after_outbox"])
def test_a_re_drive_that_is_killed_is_gone_on_with_and_counted_once(
    data: Path, file: Path, ran: Ran, point: str
) -> None:
    killed = ran("redrive", PLACE, str(file), "--why", "mended", COUNTINGHOUSE_CRASH_AT=point)
    assert killed.returncode == -signal.SIGKILL
    listed = json.loads(ran("list", "--state", "unsent", "--json").stdout)
    assert [(one["offset"], one["state"], one["decision"]["act"]) for one in listed] == [(0, "unsent", Act.REDRIVEN)]
    again = ran("redrive", PLACE, str(file), "--why", "mended")
    assert again.returncode == 2
    assert "decided before; it is redriven." in again.stderr
    killed = ran("send", PLACE, COUNTINGHOUSE_CRASH_AT="letters.after_outbox")
    assert killed.returncode == -signal.SIGKILL
    assert at_once(_relay, data) == [event_id_of(CATALOG, 0)]
    assert ran("send", PLACE).returncode == 0
    assert "nothing waits to be sent" in ran("send", PLACE).stderr.lower()
    assert at_once(_relay, data) in ([], [event_id_of(CATALOG, 0)]), "claimed rows may come again, in their place"
    assert views(data) == 1
    assert [what for what, _, _ in audited(data)] == ["dead_letter.sent"] * 2 + ["dead_letter.redriven"]


def test_letters_are_listed_shown_and_discarded(data: Path, file: Path, ran: Ran) -> None:
    table = ran("list").stdout
    assert table.count("undecided") == 3
    assert "catalog-events/0/2" in table
    previewed = ran("redrive", PLACE, str(file), "--preview")
    assert (previewed.returncode, "lantern" in previewed.stdout) == (0, True)
    assert ran("discard", PLACE, "--why", "a test").stdout == f"{PLACE} is discarded.\n"
    wrong = ran("discard", "--all", "NOT_JSON", "--count", "2", "--why", "noise")
    assert (wrong.returncode, wrong.stderr) == (
        *(2, "1 letters wait for a decision there now, and 2 were confirmed.\n"),
    )
    assert ran("discard", "--all", "NOT_JSON", "--count", "1", "--why", "noise").returncode == 0

    async def counts(stores: Stores) -> Any:
        letters = stores.read_model().letters
        return await letters.counts(), len(await letters.newest(LettersAsked(chosen=Chosen.UNDECIDED), 9))

    assert at_once(counts, data) == (
        [
            LetterCount("NOT_JSON", "catalog-events", 0, 2, 0),
            LetterCount("TOMBSTONE", "catalog-events", 1, 0, 0),
        ],
        1,
    )
    assert audited(data) == [
        ("dead_letter.discarded", "all NOT_JSON", "noise"),
        ("dead_letter.discarded", "catalog-events/0, offset 0", "a test"),
    ]


def test_what_can_not_be_done_is_one_line(data: Path, file: Path, ran: Ran, tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text("{")
    for arguments, words in (
        (("discard", "x", "--why", "a"), "'x' is no place; write it as order-events/0/12."),
        (("discard", "catalog-events/0/9", "--why", "a"), "No dead letter at catalog-events/0, offset 9."),
        (("discard", PLACE, "--why", " "), "Say why, in 1 to 500 characters."),
        (("redrive", PLACE, str(tmp_path / "bad.json"), "--why", "a"), "NOT_JSON: "),
        (("redrive", PLACE, str(file)), "Say why, in 1 to 500 characters."),
        (("redrive", PLACE, str(tmp_path / "none.json"), "--why", "a"), "No such file or directory."),
        (("list", "--state", "gone"), "no state 'gone'"),
        (("discard", "--why", "a"), "name one place, or --all"),
    ):
        done = ran(*arguments)
        assert done.returncode == 2, done
        assert words in done.stderr
        assert "Traceback" not in done.stderr
    assert audited(data) == []


@pytest.mark.parametrize("text", ["", "a", "a/0", "a/0/", "a/b/0", "a/0/0/0", "/0/0", "a/-1/0"])
def test_a_place_is_a_topic_a_partition_and_an_offset(text: str) -> None:
    with pytest.raises(CommandFailed, match="is no place"):
        place_of(text)
