"""The real commerce API on a real socket and a real database, without a relay: its outbox tells what it recorded."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from event_store.topics import PARTITIONS
from producer_api.app import create_app
from producer_api.commerce import Commerce
from producer_api.connect import open_commerce

from .bare_shop import Sums
from .serving import Serving


@dataclass
class RealShop:
    folder: Path
    serving: Serving = field(default_factory=Serving)
    _commerce: Commerce | None = None

    @property
    def url(self) -> str:
        return self.serving.url

    async def open(self) -> None:
        self._commerce = await open_commerce(f"sqlite+aiosqlite:///{self.folder}/commerce.db", PARTITIONS)
        await self.serving.open(create_app(self._commerce))

    async def die(self) -> None:
        await self.serving.die()
        if self._commerce is not None:
            await self._commerce.close()

    async def forget_answers(self) -> None:
        """What was kept under idempotency keys, as after two days."""
        if self._commerce is not None:
            while await self._commerce.forget_answers(0.0):
                pass

    def events(self) -> list[Any]:
        """Every envelope in the outbox, in the order of recording."""
        connection = sqlite3.connect(f"{self.folder}/commerce.db")
        try:
            rows = connection.execute("SELECT payload FROM outbox ORDER BY id").fetchall()
        finally:
            connection.close()
        return [json.loads(payload) for (payload,) in rows]

    def kinds(self) -> Counter[str]:
        """How many events there are of each type, by its short name."""
        return Counter(event["type"].split(".")[-2] for event in self.events())

    def figures(self) -> list[tuple[Any, ...]]:
        """What the recorded payments and refunds amount to, as tests/retail_oracle.py tells it."""
        sums = Sums()
        for event in self.events():
            kind = event["type"].split(".")[-2]
            if kind == "PaymentCompleted":
                sums.sold(event["data"], event["time"])
            if kind == "PaymentRefunded":
                sums.went_back(event["data"], event["time"])
        return sums.table()
