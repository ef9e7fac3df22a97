"""`make pictures`: docs/pictures from the living shop, each page in light, in dark and as wide as a telephone.

Needs Chromium. The pages are those that somebody sees who opens the shop a minute after its start.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from html import unescape
from pathlib import Path

import httpx

from tests.browser.chromium import NoBrowser, program
from tests.servers.ports import free_port

FOLDER = Path(__file__).parents[2] / "docs" / "pictures"
RECORDS = 60_000
"""What the month brings at least; then there is something to see."""
PATIENCE_S = 300.0
DRAWN_S = 4
"""How long a page has for its charts."""
WIDE = (1100, 780)
PHONE = (390, 844)
LOOKS = {"light": (WIDE, "1"), "dark": (WIDE, "0"), "phone": (PHONE, "1")}
"""Size, and the colour scheme as Chromium numbers it."""


@contextmanager
def living_shop(folder: Path) -> Iterator[str]:
    """The dashboard's address."""
    (api, dashboard) = (free_port(), free_port())
    ports = {"COUNTINGHOUSE_API_PORT": str(api), "COUNTINGHOUSE_DASHBOARD_PORT": str(dashboard)}
    environment = {**os.environ, **ports, "COUNTINGHOUSE_SIGN_IN": "off"}
    command = [sys.executable, "-m", "backoffice", "--data", str(folder / "shop"), "demo"]
    shop = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        address = f"http://127.0.0.1:{dashboard}"
        _wait_for_its_month(address)
        yield address
    finally:
        shop.send_signal(signal.SIGINT)
        shop.wait(60)


def _wait_for_its_month(address: str) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline_s:
        try:
            stamp = httpx.get(f"{address}/api/status").json()["completeness"]
        except (httpx.HTTPError, ValueError, KeyError):
            stamp = {"offset": 0}
        if stamp["offset"] >= RECORDS:
            return
        time.sleep(1.0)
    raise SystemExit(f"the shop had no {RECORDS} records after {PATIENCE_S:g} s")


def pages(address: str) -> dict[str, str]:
    products = httpx.get(f"{address}/products?range=30d").text
    (product, behind) = (_first_link(products, page) for page in ("product", "behind"))
    of_figures = {"overview": "/?range=30d", "products": "/products?range=30d", "product": product, "behind": behind}
    return {**of_figures, **{name: f"/{name}" for name in ("pipeline", "dead-letters", "rebuild", "events")}}


def _first_link(text: str, page: str) -> str:
    found = re.search(rf'href="(/{page}\?[^"]+)"', text)
    if found is None:
        raise SystemExit(f"the products page has no link to /{page}")
    return unescape(found[1])


def take(browser: str, url: str, look: str, file: Path, profile: Path) -> None:
    ((width, height), scheme) = LOOKS[look]
    options = [
        *("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--user-data-dir={profile}"),
        *(f"--window-size={width},{height}", f"--blink-settings=preferredColorScheme={scheme}"),
        *(f"--timeout={DRAWN_S * 1000}", f"--screenshot={file}"),
    ]
    subprocess.run([browser, *options, url], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def main() -> None:
    try:
        browser = program()
    except NoBrowser as error:
        raise SystemExit(str(error)) from error
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="countinghouse-pictures-") as folder, living_shop(Path(folder)) as address:
        take(browser, address, "light", Path(folder) / "warm.png", Path(folder) / "profile")  # It fetches the scripts.
        for name, path in pages(address).items():
            for look in LOOKS:
                file = FOLDER / f"{name}-{look}.png"
                take(browser, address + path, look, file, Path(folder) / "profile")
                print(f"{file.relative_to(Path.cwd())}: {file.stat().st_size // 1000} kB", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
