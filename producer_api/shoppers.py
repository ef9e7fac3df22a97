"""The living shop: shoppers who come, look, like, order, pay and bring back, until told to stop.

The shop has tills that work side by side, each with its own seeded chance and its own share of the speed. An API that
is away or busy makes them wait, never fail; what was missed meanwhile is not caught up.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count

from event_store.backoff import ends_in_time
from event_store.envelope import new_event_id

from .aiohttp_caller import Caller
from .campaign_of_the_day import Campaigns
from .crew import Crew, unwatched
from .online_retail_sending import list_products
from .real_month import goods, read_real_month
from .visit import Deed, Step, Till, Visit

GOODS = 500
EVENTS_OF_TILL_PER_S = 40.0
"""What one till does in a second, at most, while there are more tills to open."""
MOST_TILLS = 16
HANDS = 8
"""How many list the goods before the shop opens."""
LONGEST_DELAY_S = 1.0
"""A till that is later than this goes on from now."""
REPORT_EVERY_S = 5.0


@dataclass(frozen=True, slots=True)
class ShopNews:
    """What has happened in the shop since it opened."""

    open_s: float
    deeds: Counter[Deed]
    refused: int
    """Calls that the API refused."""
    repeats: int
    """Calls repeated because the API was away or busy."""
    window: str | None
    """The name of the product in the window, while there is a campaign."""

    def describe(self) -> str:
        counted = [(self.deeds[deed], deed.value) for deed in Deed]
        parts = [f"{number:,} {word}{'s' * (number > 1)}" for number, word in counted if number] or ["nobody came yet"]
        parts += [f"calls refused: {self.refused:,}"] * bool(self.refused)
        parts += [f"calls repeated: {self.repeats:,}"] * bool(self.repeats)
        parts += [f"in the window: {self.window}"] * bool(self.window)
        return ", ".join(parts)


def unheard(_: ShopNews) -> None:
    """For callers that want no news."""


async def keep_shop(
    api_url: str,
    *,
    events_per_s: float = 20.0,
    seed: int = 0,
    stop: asyncio.Event,
    report: Callable[[ShopNews], None] = unheard,
    report_every_s: float = REPORT_EVERY_S,
    token: str = "",
) -> None:
    """Lists the goods and keeps the shop until `stop` is set, whatever becomes of the API meanwhile.

    The seed decides what the shoppers do; ids of orders and of calls are drawn anew, so that no run repeats another's.
    Raises WrongAddress, and ValueError for an address or a speed that is none.
    """
    if not 0 < events_per_s < math.inf:
        raise ValueError(f"{events_per_s} is no speed: give events per second, above zero")
    wares = goods(await asyncio.to_thread(read_real_month), GOODS)
    tills = max(1, min(MOST_TILLS, math.ceil(events_per_s / EVENTS_OF_TILL_PER_S)))
    async with Caller(api_url, connections=max(tills, HANDS), patience_s=None, token=token) as caller:
        shop = _Shop(caller, Campaigns(seed, wares), report)
        working = [Till(random.Random(f"till {seed} {number}"), wares) for number in range(tills)]
        await ends_in_time(shop.open(working, tills / events_per_s, report_every_s), stop, 0)


@dataclass(slots=True)
class _Shop:
    caller: Caller
    campaigns: Campaigns
    report: Callable[[ShopNews], None]
    deeds: Counter[Deed] = field(default_factory=Counter)
    refused: int = 0
    window: str | None = None
    visits: Iterator[int] = field(default_factory=count)
    opened_s: float = field(default_factory=time.monotonic)

    async def open(self, tills: list[Till], pause_s: float, report_every_s: float) -> None:
        await list_products(self.campaigns.goods, Crew(self.caller, HANDS, unwatched))
        async with asyncio.TaskGroup() as group:
            group.create_task(self._tell(report_every_s))
            for till in tills:
                group.create_task(self._keep(till, _Pace(pause_s)))

    async def _tell(self, every_s: float) -> None:
        while True:
            await asyncio.sleep(every_s)
            open_s = time.monotonic() - self.opened_s
            self.report(ShopNews(open_s, Counter(self.deeds), self.refused, self.caller.repeats, self.window))

    async def _keep(self, till: Till, pace: _Pace) -> None:
        while True:
            window = self.campaigns.at_visit(next(self.visits))
            self.window = window.name if window else None
            await self._serve(till.visit(window), pace)

    async def _serve(self, visit: Visit, pace: _Pace) -> None:
        step: Step | None = next(visit)
        while step is not None:
            if step.deed is not Deed.ORDER:  # an order is no event, its payment is
                await pace.wait()
            key = new_event_id() if step.method == "POST" else None
            answer = await self.caller.call(step.method, step.path, step.body, key=key)
            self.deeds[step.deed] += answer.is_success
            self.refused += not answer.is_success
            try:
                step = visit.send(answer)
            except StopIteration:
                step = None


@dataclass(slots=True)
class _Pace:
    """One thing each `pause_s`."""

    pause_s: float
    _next_s: float = field(default_factory=time.monotonic)

    async def wait(self) -> None:
        now_s = time.monotonic()
        if now_s - self._next_s > LONGEST_DELAY_S:
            self._next_s = now_s
        await asyncio.sleep(max(0.0, self._next_s - now_s))
        self._next_s += self.pause_s
