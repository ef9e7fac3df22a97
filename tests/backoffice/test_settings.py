"""Settings: defaults, derived URLs, refusals of one line each, masking, and the page that documents them."""

import io
import json
import logging
import os
from pathlib import Path

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from backoffice.commands.config import as_json, as_text, settings_page, shown_settings
from backoffice.data_dir import default_data_dir
from backoffice.logs import configure_logs
from backoffice.redaction import redacted
from backoffice.settings import (
    Settings,
    SettingsError,
    read_settings,
    unknown_variables,
    variable,
)
from event_store.connect import kafka_address

ROOT = Path(__file__).parents[2]


def problems(monkeypatch: pytest.MonkeyPatch, **environment: str) -> list[str]:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        read_settings()
    return caught.value.problems


def test_every_address_of_a_store_follows_the_data_folder(tmp_path: Path) -> None:
    settings = read_settings(tmp_path)
    assert settings.commerce_db_url == f"sqlite+aiosqlite:///{tmp_path}/commerce.db"
    assert settings.backoffice_db_url == f"sqlite+aiosqlite:///{tmp_path}/backoffice.db"
    assert settings.log_url == f"sqlite:///{tmp_path}/log.db"
    assert settings.archive_url == f"{tmp_path}/archive"


def test_the_option_comes_before_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("COUNTINGHOUSE_DATA_DIR", str(tmp_path / "environment"))
    assert read_settings().data_dir == tmp_path / "environment"
    assert read_settings(tmp_path / "option").data_dir == tmp_path / "option"


def test_a_relative_data_folder_means_the_same_from_everywhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert read_settings(Path("shop")).data_dir == tmp_path / "shop"


def test_reading_settings_makes_no_folder(tmp_path: Path) -> None:
    read_settings(tmp_path / "shop")
    assert not (tmp_path / "shop").exists()


@pytest.mark.parametrize(
    ("platform", "environment", "folder"),
    [
        ("linux", {}, ".local/share/countinghouse"),
        ("linux", {"XDG_DATA_HOME": "/elsewhere"}, "/elsewhere/countinghouse"),
        ("darwin", {}, "Library/Application Support/countinghouse"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/countinghouse"),
    ],
)
def test_the_default_folder_is_the_users_own(platform: str, environment: dict[str, str], folder: str) -> None:
    assert default_data_dir(environment, platform) == Path.home() / folder


def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COUNTINGHOUSE_API_PORT", "")
    assert read_settings().api_port == 8000


def test_two_processes_started_by_hand_have_different_names() -> None:
    settings = read_settings()
    assert str(os.getpid()) in settings.relay_name
    assert settings.relay_name != settings.consumer_name


def test_a_misspelt_variable_is_refused_with_the_name_that_was_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    assert problems(monkeypatch, COUNTINGHOUSE_DATADIR="/shop") == [
        "COUNTINGHOUSE_DATADIR is no setting; did you mean COUNTINGHOUSE_DATA_DIR?"
    ]


def test_variables_that_are_not_ours_or_no_settings_pass() -> None:
    assert unknown_variables({"PATH": "", "COUNTINGHOUSE_CRASH_AT": "x", "COUNTINGHOUSE_SUPERVISED": "1"}) == []


def test_each_bad_value_is_one_line_that_names_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = problems(
        monkeypatch,
        COUNTINGHOUSE_API_PORT="http",
        COUNTINGHOUSE_BATCH_RECORDS="3001",
        COUNTINGHOUSE_LOG_FORMAT="xml",
        COUNTINGHOUSE_TIME_ZONE="Mars/Olympus",
        COUNTINGHOUSE_LEASE_RENEW_S="8",
    )
    assert [line.partition(":")[0] for line in lines] == [
        "COUNTINGHOUSE_API_PORT",
        "COUNTINGHOUSE_TIME_ZONE",
        "COUNTINGHOUSE_LEASE_RENEW_S",
        "COUNTINGHOUSE_BATCH_RECORDS",
        "COUNTINGHOUSE_LOG_FORMAT",
    ]
    assert all("\n" not in line for line in lines)
    assert "at most half of COUNTINGHOUSE_LEASE_TTL_S" in lines[2]


def test_an_address_that_this_version_cannot_open_is_refused_without_its_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (line,) = problems(monkeypatch, COUNTINGHOUSE_COMMERCE_DB_URL="mysql+asyncmy://shop:canary@db/shop")
    assert line.startswith("COUNTINGHOUSE_COMMERCE_DB_URL: must be sqlite+aiosqlite:///")
    assert "or postgresql+asyncpg://" in line
    assert "canary" not in line


@pytest.mark.parametrize(
    ("address", "opened"),
    [
        ("kafka://127.0.0.1:9092", ("127.0.0.1:9092", "")),
        ("kafka://localhost:9092,[::1]:9093/shop.", ("localhost:9092,[::1]:9093", "shop.")),
    ],
)
def test_an_address_of_kafka_is_brokers_and_a_prefix(
    monkeypatch: pytest.MonkeyPatch, address: str, opened: tuple[str, str]
) -> None:
    monkeypatch.setenv("COUNTINGHOUSE_LOG_URL", address)
    assert Settings().log_url == address
    assert kafka_address(address) == opened


@pytest.mark.parametrize(
    ("setting", "address", "said"),
    [
        ("LOG_URL", "kafka://127.0.0.1", "use kafka://host:port"),
        ("LOG_URL", "kafka://", "use kafka://host:port"),
        ("LOG_URL", "kafka://127.0.0.1:9092,/x", "use kafka://host:port"),
        ("LOG_URL", "kafka://127.0.0.1:9092/x?acks=0", "use kafka://host:port"),
        ("LOG_URL", "kafka://user:secret@127.0.0.1:9092", "use kafka://host:port"),
        ("LOG_URL", "kafka://kafka.example:9092", "plain text"),
        ("LOG_URL", "amqp://127.0.0.1:5672", "sqlite:///path/to/file.db or kafka://host:port"),
        ("BACKOFFICE_DB_URL", "postgresql+asyncpg://shop:secret@db.example/figures", "sslmode=verify-full"),
        (
            "BACKOFFICE_DB_URL",
            "postgresql+asyncpg://shop:secret@db.example/figures?sslmode=prefer",
            "without encryption",
        ),
        (
            "BACKOFFICE_DB_URL",
            "postgresql+asyncpg://shop:secret@127.0.0.1",
            "postgresql+asyncpg://user:password@host:port/name",
        ),
        (
            "BACKOFFICE_DB_URL",
            "postgresql+asyncpg://shop:secret@127.0.0.1:65536/figures",
            "postgresql+asyncpg://user:password@host:port/name",
        ),
        (
            "BACKOFFICE_DB_URL",
            "postgresql://shop:secret@127.0.0.1/figures",
            "postgresql+asyncpg://user:password@host:port/name",
        ),
    ],
)
def test_another_address_is_refused_without_its_password(
    monkeypatch: pytest.MonkeyPatch, setting: str, address: str, said: str
) -> None:
    variable_name = f"COUNTINGHOUSE_{setting}"
    (problem,) = problems(monkeypatch, **{variable_name: address})
    assert problem.startswith(variable_name)
    assert said in problem
    assert "secret" not in problem


@pytest.mark.parametrize(
    "address",
    [
        "postgresql+asyncpg://shop:secret@127.0.0.1:5432/figures",
        "postgresql+asyncpg://shop:secret@db.example/figures?sslmode=verify-full",
    ],
)
@pytest.mark.parametrize("name", ["commerce_db_url", "backoffice_db_url"])
def test_either_database_may_lie_in_postgresql(monkeypatch: pytest.MonkeyPatch, name: str, address: str) -> None:
    monkeypatch.setenv(variable(name), address)
    assert getattr(Settings(), name) == address


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("postgresql+asyncpg://shop:secret@db.example/figures", "sslmode=verify-full"),
        ("postgresql+asyncpg://shop:secret@db.example/figures?sslmode=prefer", "without encryption"),
        ("postgresql+asyncpg://shop:secret@127.0.0.1", "postgresql+asyncpg://user:password@host:port/name"),
        ("postgresql://shop:secret@127.0.0.1/figures", "postgresql+asyncpg://user:password@host:port/name"),
    ],
)
@pytest.mark.parametrize("name", ["COUNTINGHOUSE_COMMERCE_DB_URL", "COUNTINGHOUSE_BACKOFFICE_DB_URL"])
def test_another_address_of_a_database_is_refused_without_its_password(
    monkeypatch: pytest.MonkeyPatch, name: str, address: str, said: str
) -> None:
    (problem,) = problems(monkeypatch, **{name: address})
    assert problem.startswith(name)
    assert said in problem
    assert "secret" not in problem


@pytest.mark.parametrize(
    "address",
    [
        "memory://",
        "redis://127.0.0.1",
        "redis://localhost:6379/3",
        "redis://:secret@[::1]:6379",
        "rediss://shop:secret@cache.example:6380/0?ssl_ca_certs=/etc/ca.pem",
    ],
)
def test_a_cache_is_this_process_or_a_server(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("COUNTINGHOUSE_CACHE_URL", address)
    assert Settings().cache_url == address


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("redis://:secret@cache.example:6379", "use rediss://, or set COUNTINGHOUSE_ALLOW_PLAINTEXT"),
        ("redis://:secret@127.0.0.1.example", "without encryption"),
        ("redis://:secret@127.0.0.1:port", "must be memory://"),
        ("redis://:secret@127.0.0.1:99999", "must be memory://"),
        ("redis://:secret@127.0.0.1/first", "must be memory://"),
        ("redis://:secret@127.0.0.1?socket_timeout=0", "must be memory://"),
        ("rediss://:secret@cache.example?ssl_cert_reqs=none", "must be memory://"),
        ("redis://:secret@127.0.0.1#x", "must be memory://"),
        ("redis://", "must be memory://"),
        ("memory://:secret@here", "must be memory://"),
        ("memcached://:secret@127.0.0.1", "must be memory://"),
        ("unix:///run/secret.sock", "must be memory://"),
    ],
)
def test_another_address_of_the_cache_is_refused_without_its_password(
    monkeypatch: pytest.MonkeyPatch, address: str, said: str
) -> None:
    (problem,) = problems(monkeypatch, COUNTINGHOUSE_CACHE_URL=address)
    assert problem.startswith("COUNTINGHOUSE_CACHE_URL")
    assert said in problem
    assert ":secret@" not in problem


def test_a_cache_may_be_elsewhere_in_plain_text_where_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COUNTINGHOUSE_CACHE_URL", "redis://cache.example:6379")
    monkeypatch.setenv("COUNTINGHOUSE_ALLOW_PLAINTEXT", "true")
    assert Settings().cache_url == "redis://cache.example:6379"


def test_the_command_shows_value_default_source_and_meaning_of_every_setting(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("COUNTINGHOUSE_API_PORT", "9000")
    settings = read_settings(tmp_path)
    shown = json.loads(as_json(shown_settings(settings, os.environ, data_option=True)))
    assert set(shown) == {variable(name) for name in Settings.model_fields}
    assert shown["COUNTINGHOUSE_API_PORT"] == {
        "name": "COUNTINGHOUSE_API_PORT",
        "value": "9000",
        "default": "8000",
        "source": "COUNTINGHOUSE_API_PORT",
        "description": "The port of the commerce API.",
    }
    assert shown["COUNTINGHOUSE_DATA_DIR"]["source"] == "--data"
    assert shown["COUNTINGHOUSE_LOG_URL"]["source"] == "default"


def test_what_is_shown_can_be_set_again_as_it_stands(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings = read_settings(tmp_path)
    for line in as_text(shown_settings(settings, {}, data_option=False)).splitlines():
        if line and not line.startswith("#"):
            name, _, value = line.partition("=")
            monkeypatch.setenv(name, value)
    assert read_settings() == settings


def test_every_setting_says_what_it_means_in_a_sentence() -> None:
    for name, field in Settings.model_fields.items():
        assert (field.description or "").endswith("."), name


def test_the_page_of_settings_is_what_the_declarations_say() -> None:
    assert (ROOT / "docs" / "settings.md").read_text() == settings_page(), "run `make docs`"


@given(
    user=st.text("abcxyz0189", max_size=8),
    password=st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="\"'<>"), min_size=4),
    scheme=st.sampled_from(["postgresql+asyncpg", "kafka", "redis", "https"]),
)
def test_no_password_of_an_address_is_left_in_a_text(user: str, password: str, scheme: str) -> None:
    text = redacted(f"can't reach {scheme}://{user}:{password}@host:1/name, trying again")
    assert text == f"can't reach {scheme}://{user}:***@host:1/name, trying again"


def test_an_address_without_a_password_is_left_as_it_is() -> None:
    for text in ("http://127.0.0.1:8000/v1", "sqlite:////data/log.db", "at 12:30 by a@b"):
        assert redacted(text) == text


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_log_line_is_one_line_without_passwords_trace_back_included(form: str) -> None:
    stream = io.StringIO()
    address = "kafka://shop:canary@log:9092"
    before = logging.getLogger().handlers[:]
    try:
        configure_logs("info", form, "relay", stream)
        structlog.get_logger().info("The log is away.", action="relay.failed", url=address, lanes=[address])
        logging.getLogger("library").warning("can't reach %s", address)
        try:
            raise ConnectionError(address)
        except ConnectionError:
            structlog.get_logger().exception("It failed.", action="relay.failed")
    finally:
        logging.getLogger().handlers[:] = before
        logging.captureWarnings(capture=False)
        structlog.reset_defaults()
    text = stream.getvalue()
    assert "canary" not in text
    assert text.count("kafka://shop:***@log:9092") == 4
    if form == "json":
        (first, second, third) = (json.loads(line) for line in text.splitlines())
        assert (first["event"], first["action"], first["process"]) == ("The log is away.", "relay.failed", "relay")
        assert second["event"] == "can't reach kafka://shop:***@log:9092"
        assert "Traceback" in third["exception"]
