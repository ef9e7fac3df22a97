"""The house around the code: locked dependencies, the compose file, the pages of docs/, and what files may not hold."""

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from backoffice.__main__ import docs
from backoffice.settings import Settings, variable
from event_store.backoff import STOP_TIMEOUT_S
from event_store.record import MAX_RECORD_BYTES
from producer_api.decisions import MAX_LINES_BYTES
from producer_api.http_call import MAX_BODY_BYTES
from tests.architecture.sources import PACKAGES, ROOT, sources, tracked_files, tracked_names
from tests.cluster.compose import Service, our_services, read_compose

PASSWORDS = {"POSTGRES_PASSWORD": "canary"}
LOCKS = ("requirements.lock", "requirements-test.lock")

FLOORS = {"litestar": "2.20", "jinja2": "3.1.6", "aiohttp": "3.12.14", "h11": "0.16", "sqlmodel": "0.0.45"}
"""Below these, known holes: litestar's CSRF cookie (CVE-2026-48060), its CORS and host lists (CVE-2026-25478 to 25480);
jinja2's sandbox (CVE-2025-27516); request smuggling in aiohttp (CVE-2025-53643) and h11 (CVE-2025-43859); and naive
times in sqlmodel."""

ADDRESS = re.compile(r"https?://(?P<host>[\w.-]+)")
MACHINE_PATH = re.compile(r"(?<![\w.])/(?:root|work|opt(?!/kafka/)|home/\w+)/\w")
"""But for the folder of Kafka in its image."""
BINARY = {".xz", ".png", ".ico", ".woff2", ".parquet", ".gz"}


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_has_a_version_and_hashes_for_everything_and_no_address(lock: str) -> None:
    text = (ROOT / lock).read_text()
    assert re.findall(r"\S*(?:://|--index-url|--find-links|--extra-index)\S*", text) == []
    for entry in _entries(text):
        requirement = Requirement(entry.partition("--hash")[0].strip())
        assert re.fullmatch(r"==[^,*]+", str(requirement.specifier)), entry
        assert "--hash=sha256:" in entry, entry


def test_the_test_lock_holds_the_run_lock_in_the_same_versions() -> None:
    assert _locked("requirements.lock").items() <= _locked("requirements-test.lock").items()


@pytest.mark.parametrize("lock", LOCKS)
def test_locked_versions_are_above_known_holes(lock: str) -> None:
    locked = _locked(lock)
    assert {name: locked[name] for name, floor in FLOORS.items() if Version(locked[name]) < Version(floor)} == {}


def test_the_lock_satisfies_what_the_project_declares() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups = project["dependency-groups"]
    declared = {
        "requirements.lock": [*project["project"]["dependencies"], *groups["build"]],
        "requirements-test.lock": groups["test"],
    }
    for lock, lines in declared.items():
        locked = _locked(lock)
        for requirement in map(Requirement, lines):
            name = requirement.name.lower().replace("_", "-")
            assert name in locked, f"{requirement}: run `make lock`"
            assert requirement.specifier.contains(locked[name]), f"{requirement} is locked as {locked[name]}"


def test_every_page_written_from_declarations_is_up_to_date(tmp_path: Path) -> None:
    docs(tmp_path)
    written = {page.name: page.read_text() for page in tmp_path.iterdir()}
    assert set(written) == {"settings.md", "commands.md", "metrics.md"}
    for name, text in written.items():
        assert (ROOT / "docs" / name).read_text() == text, f"docs/{name} is old: run `make docs`"


def test_every_metric_in_the_code_is_on_the_page_of_metrics() -> None:
    page = (ROOT / "docs" / "metrics.md").read_text()
    named = {
        name
        for source in sources("backoffice", "producer_api")
        for name in re.findall(r'"(countinghouse_[a-z_]+)"', source.text)
    }
    assert named
    assert {name for name in named if f"`{name}`" not in page} == set()


def test_every_setting_is_read_somewhere() -> None:
    texts = [source.text for source in sources("backoffice") if source.place != "backoffice/settings.py"]
    used = {name for name in Settings.model_fields if any(f"settings.{name}" in text for text in texts)}
    elsewhere = {"api_host", "api_port", "allow_plaintext"}  # The last one is for the check of another setting.
    assert set(Settings.model_fields) - used - elsewhere == set()


def test_links_between_our_own_pages_lead_somewhere() -> None:
    broken = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in tracked_files()
        if page.suffix == ".md"
        for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", page.read_text())
        if not (page.parent / target).exists()
    ]
    assert broken == []


def test_every_test_that_a_guarantee_names_is_there() -> None:
    rows = [line for line in _guarantees().splitlines() if line.startswith("|")]
    named = {name for row in rows for name in re.findall(r"`([\w./*]+(?:\.py|/))`", row)}
    assert len(named) > 20
    assert {name for name in named if not list((ROOT / "tests").glob(name.rstrip("/")))} == set()


def test_sizes_and_times_among_limits_and_decisions_are_those_of_the_code() -> None:
    for size_bytes in (MAX_RECORD_BYTES, MAX_LINES_BYTES, MAX_BODY_BYTES):
        assert f"{size_bytes:,} " in _guarantees()
    assert "ten seconds" in (ROOT / "docs" / "architecture.md").read_text()
    assert STOP_TIMEOUT_S == 10 < Settings.model_fields["stop_grace_s"].default


def test_no_tracked_file_is_a_link() -> None:
    """A link's own text is a path, which none of the tests that read files would see."""
    assert [path.name for path in tracked_names() if path.is_symlink()] == []


def test_no_tracked_file_holds_a_path_of_a_machine_or_the_address_of_a_registry() -> None:
    found = []
    for path in tracked_files():
        if path.suffix in BINARY or path == Path(__file__):
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        found += [f"{path.relative_to(ROOT)}: {match[0]}" for match in MACHINE_PATH.finditer(text)]
        found += [
            f"{path.relative_to(ROOT)}: {match[0]}"
            for match in ADDRESS.finditer(text)
            if re.search(r"pypi|pythonhosted|registry|npmjs|simple\b|crates\.io|maven", match["host"])
        ]
    assert found == []


def test_the_compose_file_fits_the_compose_specification() -> None:
    check = Path(sys.executable).with_name("check-jsonschema")
    run = subprocess.run(
        [str(check), "--builtin-schema", "vendor.compose-spec", str(ROOT / "compose.yaml")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr


def test_the_compose_file_publishes_on_this_machine_only_and_checks_every_service_that_lasts() -> None:
    compose = read_compose()
    assert "version" not in compose
    assert compose["name"] == "countinghouse"
    for name, service in compose["services"].items():
        assert all(str(port).startswith("127.0.0.1:") for port in service.get("ports", [])), name
        assert name in ("migrate", "topics", "shoppers") or service["healthcheck"]["test"], name


def test_the_compose_file_holds_no_secret() -> None:
    text = (ROOT / "compose.yaml").read_text()
    assert set(re.findall(r"PASSWORD: (\S+)", text)) == {"${POSTGRES_PASSWORD:?Put"}
    assert re.findall(r"://[^/\s@]+:[^/\s@]+@", text) == []


def test_the_processes_wait_for_what_they_need() -> None:
    for service in our_services(PASSWORDS):
        if service.name in ("migrate", "topics"):
            assert set(service.after.values()) == {"service_healthy"}, service.name
        elif not service.profiles:
            assert service.after == dict.fromkeys(("migrate", "topics"), "service_completed_successfully"), service.name


@pytest.mark.parametrize("service", our_services(PASSWORDS), ids=lambda one: one.name)
def test_the_compose_files_commands_and_settings_are_ours(service: Service) -> None:
    """Each command parses, as far as its help; and the program reads every setting as it stands there."""
    command = [one for one in service.command if not one.startswith(("-", "http"))]
    assert _ran(service, *command, "--help").returncode == 0
    assert set(service.environment) - {"PGPASSWORD"} <= {variable(name) for name in Settings.model_fields}
    run = _ran(service, "config")
    assert run.returncode == 0, run.stderr
    for name, value in service.environment.items():
        assert name == "PGPASSWORD" or f"{name}={value}\n" in run.stdout


def _ran(service: Service, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "backoffice", *command],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", ""), **service.environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_image_runs_as_a_user_without_rights_from_locked_packages() -> None:
    text = (ROOT / "Dockerfile").read_text()
    assert re.search(r"^USER (?!root|0)\w+", text, re.MULTILINE)
    assert "--require-hashes" in text


def test_the_image_is_built_with_a_compiler_and_has_none_itself() -> None:
    (build, image) = (ROOT / "Dockerfile").read_text().split("\nFROM ")[1:]
    assert build.index("gcc") < build.index("pip wheel")
    assert "gcc" not in image


def test_the_distribution_has_every_file_that_the_packages_need() -> None:
    needed = {path for path in tracked_files() if path.relative_to(ROOT).parts[0] in PACKAGES and path.suffix != ".py"}
    ignored = subprocess.run(
        ["git", "check-ignore", *map(str, needed)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert needed
    assert ignored.stdout == "", "hatchling leaves ignored files out of the wheel"


def _guarantees() -> str:
    return (ROOT / "docs" / "guarantees.md").read_text()


def _entries(lock: str) -> Iterator[str]:
    """The lock's requirements, each with its hashes, on one line."""
    for line in lock.replace("\\\n", " ").splitlines():
        if line.strip() and not line.startswith("#"):
            yield line


def _locked(lock: str) -> dict[str, str]:
    requirements = [Requirement(entry.partition("--hash")[0].strip()) for entry in _entries((ROOT / lock).read_text())]
    return {one.name: str(one.specifier).removeprefix("==") for one in requirements}
