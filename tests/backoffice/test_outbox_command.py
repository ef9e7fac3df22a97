"""Dead rows of the outbox are sent again from the command line, and the audit keeps by whom."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path

from typer.testing import CliRunner, Result

from backoffice.__main__ import command_line_app
from backoffice.commands.outbox import NoSuchDeadRowError
from backoffice.settings import Settings
from backoffice.stores import Stores
from event_store.codec import Codec
from event_store.events import ProductView, RecordWithheld


def ran(data: Path, *arguments: str) -> Result:
    return CliRunner().invoke(command_line_app(), [*arguments, "--data", str(data)])


async def bury(data: Path, products: int) -> None:
    codec = Codec()
    at = datetime.now(UTC)
    async with Stores(Settings.model_validate({"data_dir": data})) as stores:
        outbox = stores.outbox()
        stores.read_model()
        stores.log()
        views = [ProductView(f"product-{number}", "visitor", "GBP") for number in range(products)]
        await outbox.write([codec.draft(view, at) for view in views])  # type: ignore[attr-defined]
        for claimed in await outbox.claim(await outbox.hold_lanes("relay", 60)):
            for row in claimed.rows:
                withheld = RecordWithheld(row.event_id, "ProductView", "too large")
                await outbox.bury(claimed.lane, row.sequence, "too large", codec.draft(withheld, at))


def test_each_sending_is_in_the_audit_and_a_refused_one_is_not(tmp_path: Path) -> None:
    assert ran(tmp_path, "users", "add", "ada").exit_code == 0
    asyncio.run(bury(tmp_path, 3))
    one = ran(tmp_path, "outbox", "redrive", "2")
    refused = ran(tmp_path, "outbox", "redrive", "2")
    others = ran(tmp_path, "outbox", "redrive")
    none = ran(tmp_path, "outbox", "redrive")
    said = [done.stdout.strip() for done in (one, others, none)]
    assert said == ["1 row goes again.", "2 rows go again.", "0 rows go again."]
    assert isinstance(refused.exception, NoSuchDeadRowError)
    kept = json.loads(ran(tmp_path, "audit", "list", "--json").stdout)
    of_rows = sorted((row["number"], row["on"], row["after"]) for row in kept if row["what"] == "outbox.redriven")
    assert [(on, json.loads(after)) for _, on, after in of_rows] == [
        ("row 2", {"rows": [2]}),
        ("2 rows", {"rows": [1, 3]}),
    ]
    assert all(row["where"] == "commerce" for row in kept if row["what"] == "outbox.redriven")
