"""The living shop has one record to correct: it waits as a dead letter, and its correction counts what was sold."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from typer.testing import CliRunner, Result

from backoffice.__main__ import command_line_app
from backoffice.commands.market_stall import AMOUNT, PRODUCT_ID, leave_receipt
from backoffice.settings import Settings
from backoffice.stores import Stores
from event_store.record import MAX_BATCH_RECORDS, TopicPartition
from event_store.topics import partitions_of


def ran(data: Path, *arguments: str) -> Result:
    done = CliRunner().invoke(command_line_app(), [*arguments, "--data", str(data)])
    assert done.exit_code == 0, (done.output, done.exception)
    return done


async def left(settings: Settings) -> bool:
    """A receipt, in a shop whose stores there are; all that the log has is counted after it."""
    async with Stores(settings) as stores:
        stores.outbox()
        is_left = await leave_receipt(settings)
        (log, projector) = (stores.log(), stores.projector(await stores.read_model().serving(), serving=True))
        for tp in partitions_of(await log.topics()):
            batch = await log.read(tp, (await projector.position(tp)).next_offset, MAX_BATCH_RECORDS)
            if len(batch):
                await projector.apply(batch)
        return is_left


def letters(data: Path) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(ran(data, "letters", "list", "--json").stdout)
    return found


def test_one_receipt_waits_for_its_correction_and_no_second_one_comes_meanwhile(tmp_path: Path) -> None:
    ran(tmp_path, "users", "add", "ada")
    settings = Settings.model_validate({"data_dir": tmp_path})
    assert asyncio.run(left(settings))
    assert not asyncio.run(left(settings))
    (letter,) = letters(tmp_path)
    assert letter["reason"] == "INVALID_EVENT"
    assert "amount_minor" in str(letter["detail"])


def test_with_the_amount_in_pence_it_adds_what_was_sold_and_the_next_start_brings_another(tmp_path: Path) -> None:
    ran(tmp_path, "users", "add", "ada")
    settings = Settings.model_validate({"data_dir": tmp_path})
    asyncio.run(left(settings))
    (letter,) = letters(tmp_path)
    place = f"{letter['topic']}/{letter['partition']}/{letter['offset']}"
    event = json.loads(asyncio.run(raw(settings, TopicPartition(str(letter["topic"]), int(str(letter["partition"]))))))
    event["data"]["lines"][0]["amount_minor"] = round(AMOUNT * 100)
    (tmp_path / "event.json").write_text(json.dumps(event))
    shown = ran(tmp_path, "letters", "redrive", place, str(tmp_path / "event.json"), "--preview").stdout
    assert PRODUCT_ID in shown
    assert "17.70" in shown
    ran(tmp_path, "letters", "redrive", place, str(tmp_path / "event.json"), "--why", "pence")
    assert asyncio.run(left(settings))


async def raw(settings: Settings, tp: TopicPartition) -> bytes:
    async with Stores(settings) as stores:
        return (await stores.log().read(tp, 0, 1)).values[0] or b""
