"""Who may import whom, which library belongs to which file, and that importing does nothing."""

import re
import subprocess
import sys
import tomllib
from fnmatch import fnmatch

import pytest

from tests.architecture.sources import PACKAGES, ROOT, sources

MAY_IMPORT = {
    "event_store": {"event_store"},
    "projections": {"projections", "event_store"},
    "backoffice": {"backoffice", "projections", "event_store"},
    "producer_api": {"producer_api", "event_store"},
}
COMPOSITION_ROOT = "backoffice/__main__.py"

DRIVERS = {
    "sqlite3": ["*/sqlite_*.py"],
    "aiosqlite": ["*/sqlite_*.py"],
    "alembic": ["*/alembic_*.py"],
    "aiohttp": ["*/aiohttp_*.py"],
    "yarl": ["*/aiohttp_*.py"],
    "aiokafka": ["*/kafka_*.py"],
    "asyncpg": ["*/postgres_*.py"],
    "redis": ["*/redis_*.py"],
    "httpx": ["backoffice/commands/up.py"],
    "uvicorn": ["backoffice/web_server.py", "*/uvicorn_*.py"],
    "uvloop": ["backoffice/serve.py"],
    "typer": [
        "backoffice/__main__.py",
        "backoffice/command_line.py",
        "backoffice/access_commands.py",
        "backoffice/letter_commands.py",
        "backoffice/pause_commands.py",
        "backoffice/options.py",
        "backoffice/rebuild_command.py",
        "backoffice/commands/docs.py",
    ],
    "pydantic_settings": ["backoffice/*settings.py", "backoffice/settings_file.py"],
    "jinja2": ["backoffice/dashboard.py", "backoffice/pages/*"],
    "structlog": ["backoffice/*", "producer_api/*"],
    "inotify_simple": ["*/inotify_*.py"],
    "argon2": ["*/argon2_*.py"],
    "opentelemetry": ["*/opentelemetry_*.py"],
    "fcntl": ["backoffice/occupancy.py"],
}
"""Library → the only files that may import it."""

NO_HTTP = ("litestar", "uvicorn", "httpx", "aiohttp", "http", "wsgiref", "jinja2", "starlette")
"""What the facts and the figures know nothing of."""

EXTRA = {"opentelemetry": {"opentelemetry_api", "opentelemetry_sdk", "opentelemetry_exporter_otlp_proto_http"}}
"""What may be absent → the distributions that bring it."""

DISTRIBUTIONS = {"argon2": "argon2_cffi"}
"""Package → the distribution that brings it, where that has another name."""

NOT_IMPORTED = {"aiosqlite", "httptools", "tzdata"}
"""Needed by a library at run time: SQLAlchemy's driver, uvicorn's parser, zoneinfo's data."""

EVERY_SOURCE = sources(*PACKAGES)


def test_imports_between_our_packages_go_one_way() -> None:
    wrong = [
        f"{source.place} imports {name}"
        for source in EVERY_SOURCE
        for name in source.imports()
        if (package := name.partition(".")[0]) in PACKAGES
        and package not in MAY_IMPORT[source.package]
        and not (source.place == COMPOSITION_ROOT and package == "producer_api")
    ]
    assert wrong == []


def test_programs_import_no_tests_and_no_benchmarks() -> None:
    wrong = [
        f"{source.place} imports {name}"
        for source in EVERY_SOURCE
        for name in source.imports()
        if name.partition(".")[0] in {"tests", "benchmarks"}
    ]
    assert wrong == []


def test_a_technology_is_imported_only_in_the_file_that_bears_its_name() -> None:
    wrong = [
        f"{source.place} imports {name}"
        for source in EVERY_SOURCE
        for name in source.imports()
        if (places := DRIVERS.get(name.partition(".")[0])) and not any(fnmatch(source.place, place) for place in places)
    ]
    assert wrong == []


def test_facts_and_figures_know_no_http() -> None:
    wrong = [
        f"{source.place} imports {name}"
        for source in sources("event_store", "projections")
        for name in source.imports()
        if name.partition(".")[0] in NO_HTTP
    ]
    assert wrong == []


def test_a_relay_starts_without_the_libraries_of_figures_and_pages() -> None:
    """It is the process that is to be back soonest."""
    heavy = ["polars", "sqlmodel", "sqlalchemy", "litestar", "uvicorn"]
    program = f"import sys, backoffice.commands.relay; print([one for one in {heavy} if one in sys.modules])"
    assert _output(program) == "[]"


def test_every_dependency_is_imported_and_every_import_is_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = set(map(_name, project["dependencies"]))
    extras = {_name(line) for lines in project["optional-dependencies"].values() for line in lines}
    imported = {name.partition(".")[0] for source in EVERY_SOURCE for name in source.imports()}
    imported = {DISTRIBUTIONS.get(name, name) for name in imported}
    foreign = imported - sys.stdlib_module_names - set(PACKAGES) - EXTRA.keys()
    assert foreign - {"pydantic_core"} - declared == set()  # pydantic_core is pydantic's own, in its exact version.
    assert declared - foreign == NOT_IMPORTED
    assert EXTRA.keys() <= imported
    assert {distribution for distributions in EXTRA.values() for distribution in distributions} == extras


def _name(requirement: str) -> str:
    return re.match(r"[\w-]+", requirement)[0].replace("-", "_")  # type: ignore[index]


@pytest.mark.parametrize("package", PACKAGES)
def test_importing_every_module_opens_nothing_and_starts_nothing(package: str) -> None:
    """Our modules' third-party imports come first, unwatched; then ours, under an audit hook."""
    ours = [source for source in sources(package) if source.place != COMPOSITION_ROOT]
    assert _output(WATCHED_IMPORT, *_third_party(), "--", *(source.module for source in ours)) == "[]"


def _third_party() -> list[str]:
    """Of all packages: a module of one may import another's."""
    names = {name for source in EVERY_SOURCE for name in source.imports()}
    return sorted(name for name in names if name.partition(".")[0] not in PACKAGES)


def _output(program: str, *arguments: str) -> str:
    run = subprocess.run(
        [sys.executable, "-B", "-c", program, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout.strip()


WATCHED_IMPORT = """
import importlib, sys, threading
split = sys.argv.index("--")
for name in sys.argv[1:split]:
    importlib.import_module(name)
seen = []
WATCHED = ("socket.", "sqlite3.connect", "subprocess.Popen", "os.system", "os.mkdir", "os.remove", "os.rename")
READ = (".py", ".pyc", ".so", "entry_points.txt", "METADATA")
def hook(event, arguments):
    if event.startswith(WATCHED):
        seen.append((event, str(arguments)))
    elif event == "open" and not str(arguments[0]).endswith(READ) and "/zoneinfo/" not in str(arguments[0]):
        seen.append((event, str(arguments[0])))
sys.addaudithook(hook)
threads = threading.active_count()
for name in sys.argv[split + 1:]:
    importlib.import_module(name)
sys.stdout.write(str(seen + ["threads"] * (threading.active_count() - threads)))
"""


def test_the_watch_on_imports_sees_what_it_is_for() -> None:
    """So that the test above can fail."""
    program = WATCHED_IMPORT.replace("for name in sys.argv[split + 1:]:", ACTS + "\nfor name in sys.argv[split + 1:]:")
    seen = _output(program, "--")
    assert "socket.connect" in seen
    assert "sqlite3.connect" in seen
    assert "/dev/null" in seen
    assert "threads" in seen


ACTS = """
import contextlib, socket, sqlite3
sqlite3.connect(":memory:").close()
open("/dev/null").close()
with contextlib.suppress(OSError):
    socket.create_connection(("127.0.0.1", 9), 0.1)
threading.Thread(target=threading.Event().wait, daemon=True).start()
"""
