"""How soon a browser shows something of a year's products: 3600 of them, in quarters of an hour.

    python -m benchmarks.first_paint [--rows 800000] [--loads 20]

Makes a shop with about so many rows of figures (see pages.py), starts its dashboard and opens its products page for the
year in Chromium: the first time after the start, then as often as asked in a browser that has kept nothing, then in one
that has. Prints median and longest time from the click until the answer begins and until something is painted (First
Contentful Paint), as the browser itself took them. The server and the browser share the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from playwright.async_api import Browser, Page

from projections.connect import open_read_model
from tests.browser.chromium import running_chromium

from .pages import PAGES, READING_S, fill
from .running_shop import RunningShop

PAGE = PAGES["products, a year"]
AIM_MS = 1000
PAINTED = """() => new Promise((found) => new PerformanceObserver((list) => {
  for (const one of list.getEntriesByName("first-contentful-paint"))
    found([performance.getEntriesByType("navigation")[0].responseStart, one.startTime]);
}).observe({ type: "paint", buffered: true }))"""


@dataclass(frozen=True, slots=True)
class Load:
    """Milliseconds since the navigation began."""

    answered: float
    painted: float


async def load(page: Page, url: str) -> Load:
    answer = await page.goto(url)
    if answer is None or not answer.ok:
        raise SystemExit(f"{url} was answered {answer and answer.status}")
    return Load(*await page.evaluate(PAINTED))


async def with_nothing_kept(browser: Browser, url: str) -> Load:
    context = await browser.new_context()
    try:
        return await load(await context.new_page(), url)
    finally:
        await context.close()


async def with_all_kept(browser: Browser, url: str, times: int) -> list[Load]:
    context = await browser.new_context()
    page = await context.new_page()
    await load(page, url)
    loads = []
    for _ in range(times):
        await page.goto("about:blank")
        loads.append(await load(page, url))
    await context.close()
    return loads


def show(title: str, loads: Sequence[Load]) -> None:
    (answered, painted) = ([one.answered for one in loads], [one.painted for one in loads])
    print(
        f"{title:<40} painted: median {statistics.median(painted):6.0f} ms, longest {max(painted):6.0f} ms   "
        f"answered: median {statistics.median(answered):6.0f} ms   ({len(loads)} loads, aim {AIM_MS} ms)",
        flush=True,
    )


async def measure(url: str, times: int) -> None:
    async with running_chromium() as browser:
        await (await browser.new_page()).goto("data:text/html,Chromium has begun")
        show("the first after the dashboard's start", [await with_nothing_kept(browser, url)])
        await asyncio.sleep(READING_S)
        show("a browser that has kept nothing", [await with_nothing_kept(browser, url) for _ in range(times)])
        show("a browser that has kept scripts, styles", await with_all_kept(browser, url, times))


async def fill_shop(folder: Path, rows: int) -> None:
    read_model = open_read_model(f"sqlite+aiosqlite:///{folder}/backoffice.db")
    try:
        await fill(read_model, rows)
    finally:
        await read_model.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=800_000)
    parser.add_argument("--loads", type=int, default=20)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(fill_shop(Path(folder), asked.rows))
        shop = RunningShop(Path(folder), {"COUNTINGHOUSE_SIGN_IN": "off"}, process="dashboard")
        shop.run("migrate")
        with shop:
            asyncio.run(measure(shop.dashboard_url + PAGE, asked.loads))


if __name__ == "__main__":
    main()
