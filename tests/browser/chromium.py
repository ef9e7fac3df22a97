"""A real Chromium, driven by Playwright, as Debian's package or any other has put it on the machine."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from playwright.async_api import Browser, async_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
QUIETLY = (
    *("--no-sandbox", "--disable-gpu", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
"""It runs as whoever runs the tests, and asks nobody for anything."""


class NoBrowser(Exception):
    """A test that looked at nothing would prove nothing, so it fails."""


def program() -> str:
    """Raises NoBrowser."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        raise NoBrowser(f"a real browser is needed and none of {', '.join(NAMES)} is installed: `make test` brings it")
    return found


@asynccontextmanager
async def running_chromium() -> AsyncIterator[Browser]:
    executable = program()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=executable, args=list(QUIETLY))
        yield browser
        await browser.close()
