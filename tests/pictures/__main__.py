"""`make pictures`: docs/pictures from the living shop, each page in light, in dark and as wide as a telephone.

Needs Chromium. The pages are those that the demo's admin sees a minute after its start.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from playwright.async_api import Browser, BrowserContext, Page, StorageState

from tests.browser.chromium import NoBrowser, running_chromium
from tests.servers.ports import free_port

FOLDER = Path(__file__).parents[2] / "docs" / "pictures"
RECORDS = 60_000
"""What the month brings at least; then there is something to see."""
PATIENCE_S = 300.0
WAY_IN = re.compile(r"(http://\S+)(/sign-in\?name=demo&password=\S+)")
DRAWN = "() => [...document.querySelectorAll('.chart')].every((one) => one.dataset.drawn !== undefined)"
PLAIN = (
    *("products?range=30d", "pipeline", "outbox", "dead-letters", "rebuild", "events", "saved-views"),
    *("audit", "users", "tokens", "account", "api", "sign-in"),
)
LED_TO = {
    "product": "/products?range=30d",
    "behind": "/products?range=30d",
    "record": "/events",
    "dead-letter": "/dead-letters",
}
"""Pages that another one leads to."""
OF_NOBODY = "sign-in"
WIDE = (1280, 860)
PHONE = (390, 844)
LOOKS: dict[str, tuple[tuple[int, int], Literal["light", "dark"]]] = {
    "light": (WIDE, "light"),
    "dark": (WIDE, "dark"),
    "phone": (PHONE, "light"),
}


@contextmanager
def living_shop(folder: Path) -> Iterator[Path]:
    """The file of what it says."""
    (api, dashboard) = (free_port(), free_port())
    ports = {"COUNTINGHOUSE_API_PORT": str(api), "COUNTINGHOUSE_DASHBOARD_PORT": str(dashboard)}
    command = [sys.executable, "-m", "backoffice", "--data", str(folder / "shop"), "demo"]
    said = folder / "said"
    with said.open("w") as output:
        shop = subprocess.Popen(command, env={**os.environ, **ports}, stdout=output, stderr=subprocess.DEVNULL)
    try:
        yield said
    finally:
        shop.send_signal(signal.SIGINT)
        shop.wait(60)


async def until(what: str, found: Callable[[], Awaitable[Any]]) -> Any:
    """What `found` gives, once that is something."""
    deadline_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline_s:
        if answer := await found():
            return answer
        await asyncio.sleep(1.0)
    raise SystemExit(f"the shop had no {what} after {PATIENCE_S:g} s")


async def signed_in(context: BrowserContext, said: Path) -> str:
    """Goes in by the link that the demo prints; the dashboard's address."""

    async def way_in() -> re.Match[str] | None:
        return _way_in(said)

    (address, path) = (await until("link for its admin", way_in)).groups()
    page = await context.new_page()
    await page.goto(address + path)
    await page.get_by_role("button", name="Sign in").click()
    await page.get_by_role("link", name="demo", exact=True).wait_for()
    return str(address)


def _way_in(said: Path) -> re.Match[str] | None:
    return WAY_IN.search(said.read_text(encoding="utf-8"))


async def its_month(context: BrowserContext, address: str) -> None:
    async def is_there() -> bool:
        status = await (await context.request.get(f"{address}/api/status")).json()
        return bool(status["completeness"]["offset"] >= RECORDS)

    await until(f"{RECORDS} records", is_there)


async def pages(page: Page, address: str) -> dict[str, str]:
    """Of each its name and its path."""
    paths = {"overview": "/?range=30d", **{name: f"/{name}" for name in PLAIN}}
    for name, on in LED_TO.items():
        await page.goto(address + on)
        paths[name] = await _first_link(page, f"/{name}?")
    return paths


async def _first_link(page: Page, path: str) -> str:
    found = await page.locator(f"main a[href^='{path}']").first.get_attribute("href")
    return found or ""


async def take(browser: Browser, state: StorageState | None, look: str, url: str, file: Path) -> None:
    ((width, height), scheme) = LOOKS[look]
    context = await browser.new_context(
        storage_state=state,
        viewport={"width": width, "height": height},
        color_scheme=scheme,
        reduced_motion="reduce",
    )
    page = await context.new_page()
    await page.goto(url)
    await page.wait_for_function(DRAWN)
    await page.screenshot(path=file)
    await context.close()


async def take_all(said: Path) -> None:
    async with running_chromium() as browser:
        context = await browser.new_context()
        address = await signed_in(context, said)
        await its_month(context, address)
        every = await pages(context.pages[0], address)
        state = await context.storage_state()
        for name, path in every.items():
            for look in LOOKS:
                file = FOLDER / f"{name.partition('?')[0]}-{look}.png"
                await take(browser, None if name == OF_NOBODY else state, look, address + path, file)
                print(f"{file.relative_to(Path.cwd())}: {file.stat().st_size // 1000} kB", flush=True)  # noqa: T201


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="countinghouse-pictures-") as folder, living_shop(Path(folder)) as said:
        try:
            asyncio.run(take_all(said))
        except NoBrowser as error:
            raise SystemExit(str(error)) from error


if __name__ == "__main__":
    main()
