"""While the log is away `status` shows what the databases know, and `drain` waits for it."""

from __future__ import annotations

import asyncio
import io
import json
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from backoffice.commands.drain import drain
from backoffice.commands.status import print_status, status_json, watched
from backoffice.failures import CommandFailed
from backoffice.pipeline import Pipeline
from backoffice.pipeline_status import CountedPartition, PipelineStatus, StatusWithoutLog
from event_store.errors import LogUnavailable
from event_store.memory_log import MemoryLog
from event_store.record import Record, TopicPartition
from tests.faults.shop import Shop as Processes
from tests.servers.ports import free_port
from tests.web.shop import PARTITIONS, Shop, viewed

from .test_status import DOCS

AUTUMN = datetime(2011, 10, 28, tzinfo=UTC)
REASON = "Kafka at broker:9092 can't be reached (Connection refused). Start it, or correct COUNTINGHOUSE_LOG_URL."


class AwayLog(MemoryLog):
    away = True

    async def topics(self) -> Mapping[str, int]:
        if self.away:
            raise LogUnavailable(REASON)
        return await super().topics()


async def without_log(shop: Shop) -> StatusWithoutLog:
    (_, away) = _cut_off(shop)
    found = await watched(away, 1)
    assert isinstance(found, StatusWithoutLog)
    return found


def _cut_off(shop: Shop) -> tuple[AwayLog, Pipeline]:
    """The shop's pipeline with the way to its log cut."""
    log = AwayLog(shop.clock)
    log._partitions = shop.log._partitions
    return log, Pipeline(shop.outbox, log, shop.read_model, shop.leases, shop.cache, now_us=shop.clock)


async def test_the_status_then_holds_what_both_databases_know_and_says_why_there_is_no_more(shop: Shop) -> None:
    await shop.happened(viewed(AUTUMN, "A"))
    await shop.log.append(TopicPartition("order-events", 0), [Record(b"k", b"nonsense")])
    await shop.counts()
    shop.accepts(*viewed(AUTUMN, "B"))
    await shop.leases.take(["partition/order-events/0", "member/first"], "first", 15)
    whole = await shop.pipeline.status()
    found = await without_log(shop)
    assert found.log_error == REASON
    assert found.lanes == whole.lanes
    assert sum(lane.waiting for lane in found.lanes) == 1
    assert (found.generations, found.dead_letters, found.consumers) == (whole.generations, whole.dead_letters, 1)
    assert found.partitions == [_counted(one) for one in msgspec.to_builtins(whole)["partitions"] if one["position"]]
    assert {one.consumer for one in found.partitions} == {"first", None}


def _counted(partition: Mapping[str, object]) -> CountedPartition:
    """The same out of the whole document."""
    return msgspec.convert({name: partition[name] for name in CountedPartition.__struct_fields__}, CountedPartition)


async def test_it_is_printed_without_a_word_on_how_complete_the_figures_are(shop: Shop) -> None:
    await shop.happened(viewed(AUTUMN, "A"))
    place = next(one for one in (await shop.pipeline.status()).partitions if one.position)
    await shop.read_model.note_stop(1, TopicPartition(place.topic, place.partition), "too many [of them]")
    console = Console(file=io.StringIO(), width=120)
    print_status(console, await without_log(shop))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "The log can't be reached" in shown
    assert "Complete up to" not in shown
    assert f"{place.topic}/{place.partition} is stopped: too many [of them]" in shown


async def test_a_log_that_goes_away_between_the_two_looks_is_away(shop: Shop) -> None:
    (log, pipeline) = _cut_off(shop)
    log.away = False
    looking = asyncio.create_task(watched(pipeline, 0.05))
    await asyncio.sleep(0.02)
    log.away = True
    assert isinstance(await looking, StatusWithoutLog)


@pytest.mark.parametrize("kind", [StatusWithoutLog, CountedPartition])
def test_every_field_of_its_json_is_documented(kind: type[msgspec.Struct]) -> None:
    page = DOCS.read_text(encoding="utf-8")
    assert [name for name in kind.__struct_fields__ if f"`{name}`" not in page] == []


async def test_its_json_reads_back_as_it_was(shop: Shop) -> None:
    found = await without_log(shop)
    assert msgspec.json.decode(status_json(found), type=StatusWithoutLog) == found
    assert len(found.lanes) == sum(PARTITIONS.values())


async def test_draining_waits_for_the_log_says_so_once_and_goes_on_when_it_is_back(shop: Shop) -> None:
    await shop.happened(viewed(AUTUMN, "A"))
    (log, pipeline) = _cut_off(shop)
    said: list[str] = []
    seen: list[PipelineStatus] = []
    draining = asyncio.create_task(drain(pipeline, 30, seen.append, said.append))
    await asyncio.sleep(0.6)
    assert (said, seen, draining.done()) == ([REASON], [], False)
    log.away = False
    drained = await asyncio.wait_for(draining, 5)
    assert (drained.exit_code, len(seen), said) == (0, 1, [REASON])


async def test_draining_ends_at_its_time_out_with_exit_code_1_and_the_reason(shop: Shop) -> None:
    (_, pipeline) = _cut_off(shop)
    started_s = time.monotonic()
    with pytest.raises(CommandFailed, match="Kafka at broker:9092 can't be reached") as failed:
        await drain(pipeline, timeout_s=0.4)
    assert failed.value.code == 1
    assert 0.4 <= time.monotonic() - started_s < 5


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    """A shop whose databases are there, and at whose Kafka's address nobody listens."""
    one = Processes(tmp_path / "shop", {"COUNTINGHOUSE_LOG_URL": f"kafka://127.0.0.1:{free_port()}/"})
    one.ok("migrate")
    yield one
    one.close()


@pytest.mark.processes
@pytest.mark.timeout(120)
def test_the_commands_say_in_one_line_of_standard_error_that_kafka_is_away(processes: Processes) -> None:
    shown = processes.run("status")
    assert shown.returncode == 1
    assert "Outbox" in shown.stdout
    assert "Generations" in shown.stdout
    [line] = shown.stderr.splitlines()
    assert "can't be reached" in line
    document = processes.run("status", "--json")
    assert document.returncode == 1
    assert json.loads(document.stdout)["log_error"] == document.stderr.strip() == line
    drained = processes.run("drain", "--timeout", "3")
    (waiting, at_last) = drained.stderr.splitlines()
    assert drained.returncode == 1
    assert waiting == f"Waiting: {line}"
    assert at_last == f"Nobody can say whether everything is counted. {line}"
