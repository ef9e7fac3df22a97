"""What is built from our sources goes along in every distribution, and what browsers get is light."""

from __future__ import annotations

import gzip
import json
import re
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from backoffice import dashboard
from backoffice.assets import Assets, read_assets
from tests.architecture.sources import ROOT
from tests.web.shop import Shop, busy_days

AUTUMN = datetime(2011, 10, 28, tzinfo=UTC)
FRONTEND = ROOT / "backoffice" / "frontend"
COMPILED = ROOT / "event_store" / "compiled"
DIST = ROOT / "backoffice" / "static" / "dist"
MOST_PAGE_BYTES = 60_000


def build(target: str, folder: Path) -> Path:
    """A distribution of this folder; the hook builds what is missing."""
    run = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    (built,) = folder.iterdir()
    return built


def built_files(names: list[str]) -> set[str]:
    return {name.partition("static/dist/")[2] for name in names if "static/dist/" in name}


@pytest.mark.processes
def test_the_wheel_holds_the_built_files_and_none_of_their_sources(tmp_path: Path) -> None:
    with zipfile.ZipFile(build("wheel", tmp_path)) as wheel:
        names = wheel.namelist()
        manifest = json.loads(wheel.read("backoffice/static/dist/manifest.json"))
    assert {one["file"] for one in manifest.values()} <= built_files(names)
    assert {style for one in manifest.values() for style in one.get("css", [])} <= built_files(names)
    assert [name for name in names if "frontend/" in name or "node_modules" in name] == []
    assert "backoffice/templates/frame.html" in names


@pytest.mark.processes
def test_the_wheel_holds_what_was_compiled_and_is_for_its_platform_and_the_source_distribution_its_sources(
    tmp_path: Path,
) -> None:
    for target in ("wheel", "sdist"):
        (tmp_path / target).mkdir()
    wheel = build("wheel", tmp_path / "wheel")
    platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
    assert wheel.name.endswith(f"-py3-none-{platform}.whl")
    with zipfile.ZipFile(wheel) as opened:
        held = [name for name in opened.namelist() if name.startswith("event_store/compiled/")]
    sources = {"event_store/compiled/" + path.name for path in COMPILED.glob("*.[ch]")}
    assert set(held) == {*sources, "event_store/compiled/reader.so"}, "the sources say whether it was made from them"
    with tarfile.open(build("sdist", tmp_path / "sdist")) as packed:
        names = {name.partition("/")[2] for name in packed.getnames()}
    assert sources <= names
    assert "event_store/compiled/reader.so" not in names


@pytest.mark.processes
def test_the_source_distribution_holds_the_built_files_and_their_sources(tmp_path: Path) -> None:
    with tarfile.open(build("sdist", tmp_path)) as packed:
        names = [name.partition("/")[2] for name in packed.getnames()]
        packed.extractall(tmp_path / "unpacked", filter="data")
    assert "manifest.json" in built_files(names)
    assert [name for name in names if "node_modules" in name] == []
    (unpacked,) = (tmp_path / "unpacked").iterdir()
    asked = "import hatch_build as b; print((b.DIST / 'built-from').read_text() == b.fingerprint(b.FRONTEND))"
    again = subprocess.run([sys.executable, "-c", asked], cwd=unpacked, capture_output=True, text=True, check=True)
    assert again.stdout == "True\n", "an installation from it would build again"


def test_the_lock_of_the_scripts_names_no_address_and_proves_each_package() -> None:
    text = (FRONTEND / "package-lock.json").read_text()
    assert "://" not in text
    packages = json.loads(text)["packages"]
    declared = json.loads((FRONTEND / "package.json").read_text())
    assert packages.pop("")["dependencies"] == declared["dependencies"]
    assert [name for name, one in packages.items() if not one.get("integrity", "").startswith("sha512-")] == []
    pins = {**declared["dependencies"], **declared["devDependencies"]}
    assert {name: packages[f"node_modules/{name}"]["version"] for name in pins} == pins


def test_no_source_of_the_scripts_asks_another_host() -> None:
    for path in [*FRONTEND.glob("*.*"), *(FRONTEND / "src").iterdir()]:
        found = re.findall(r"(?:https?:)?//[a-z][\w-]+\.[\w.-]+", path.read_text())
        assert found == [], path


@pytest.mark.parametrize("url", ["/", "/products", "/product?id=A", "/pipeline"])
async def test_a_page_without_its_charts_weighs_little(shop: Shop, url: str) -> None:
    await shop.happened(*busy_days(shop, seed=41, first=AUTUMN, days=30, events=400))
    assets = read_assets(DIST)
    files = [ROOT / "backoffice" / one.removeprefix("/") for one in (assets.script, *assets.styles)]
    async with shop.browser() as client:
        text = (await client.get(url, params={"range": "all"} if url == "/" else None)).text
        served = [await client.get(one) for one in (assets.script, *assets.styles)]
    assert [one.status_code for one in served] == [200] * len(files)
    weight = len(gzip.compress(text.encode())) + sum(len(gzip.compress(path.read_bytes())) for path in files)
    assert weight <= MOST_PAGE_BYTES


async def test_a_page_names_its_built_script_and_styles(shop: Shop) -> None:
    assets = read_assets(DIST)
    assert assets.are_built, "build them: pip install --no-deps --no-build-isolation --editable ."
    async with shop.browser() as client:
        text = (await client.get("/")).text
    assert f'<script type="module" src="{assets.script}"></script>' in text
    assert all(f'<link rel="stylesheet" href="{one}">' in text for one in assets.styles)


async def test_without_the_built_files_a_page_names_the_command_and_the_rest_goes_on(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(dashboard, "read_assets", lambda _: read_assets(tmp_path))
    async with shop.browser() as client:
        text = (await client.get("/")).text
        api = await client.get("/api/figures")
        ready = await client.get("/readyz")
    assert "are not built. Build them with <code>make run</code>" in text
    assert "<script" not in text
    assert (api.status_code, ready.status_code) == (200, 200)
    assert read_assets(tmp_path) == Assets()
