"""Settings: every one from the environment, documented, and shown by `countinghouse config`.

A variable with our prefix that names no setting is refused: a misspelt data folder would otherwise mean an empty
shop. Reading settings touches no file and no folder.
"""

from __future__ import annotations

import difflib
import os
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote
from zoneinfo import available_timezones

from pydantic import Field, ValidationError, ValidationInfo, field_validator
from pydantic_core import ErrorDetails
from pydantic_settings import SettingsConfigDict

from event_store.connect import check_url
from event_store.crash_points import VARIABLE as CRASH_AT
from event_store.crash_points import CrashPoints
from event_store.record import MAX_BATCH_RECORDS, MAX_SEGMENT_RECORDS

from .address import reachable
from .cache_settings import CacheSettings
from .data_dir import default_data_dir
from .kafka_settings import KafkaSettings, check_way_to_log
from .network_settings import may_be_plain
from .redaction import redacted
from .sign_in_settings import SignInSettings

PREFIX = "COUNTINGHOUSE_"
DATA_DIR = "COUNTINGHOUSE_DATA_DIR"
SUPERVISED = "COUNTINGHOUSE_SUPERVISED"
"""Set by `up` for its processes: standard input is a pipe, and its end means that `up` is gone."""

NOT_SETTINGS = frozenset({SUPERVISED, CRASH_AT})


class SettingsError(Exception):
    """The environment doesn't give usable settings. Each of `problems` is one line that names its variable."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


def _default(text: str) -> dict[str, Any]:
    """How a default that depends on the machine or on another setting is written in the documentation."""
    return {"default_text": text}


class Settings(CacheSettings, KafkaSettings, SignInSettings):
    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, extra="ignore", frozen=True)

    data_dir: Path = Field(
        default_factory=lambda: default_data_dir(os.environ, sys.platform),
        description="The folder where the files live. Made when missing. `--data` overrides it.",
        json_schema_extra=_default("`~/.local/share/countinghouse`, or what the system has in its place"),
    )
    commerce_db_url: str = Field(
        default_factory=lambda known: _url("sqlite+aiosqlite", known["data_dir"] / "commerce.db"),
        repr=False,
        description="The commerce database, with orders, products, likes and the outbox: a file, or "
        "`postgresql+asyncpg://user:password@host:port/name`.",
        json_schema_extra=_default("`sqlite+aiosqlite:///`*data_dir*`/commerce.db`"),
    )
    backoffice_db_url: str = Field(
        default_factory=lambda known: _url("sqlite+aiosqlite", known["data_dir"] / "backoffice.db"),
        repr=False,
        description="The back-office database: a file, or `postgresql+asyncpg://user:password@host:port/name`.",
        json_schema_extra=_default("`sqlite+aiosqlite:///`*data_dir*`/backoffice.db`"),
    )
    log_url: str = Field(
        default_factory=lambda known: _url("sqlite", known["data_dir"] / "log.db"),
        repr=False,
        description="The log that carries the events: a file, or `kafka://host:port[,host:port…][/prefix]`.",
        json_schema_extra=_default("`sqlite:///`*data_dir*`/log.db`"),
    )
    archive_url: str = Field(
        default_factory=lambda known: str(known["data_dir"] / "archive"),
        repr=False,
        description="The folder where the archiver keeps the log as Parquet files, for rebuilds.",
        json_schema_extra=_default("*data_dir*`/archive`"),
    )

    api_host: str = Field("127.0.0.1", min_length=1, description="The address the commerce API listens on.")
    api_port: int = Field(8000, ge=1, le=65535, description="The port of the commerce API.")
    answers_kept_hours: float = Field(
        48.0, gt=0, le=8760, description="Hours for which the API remembers its answer to an `Idempotency-Key`."
    )
    outbox_limit_rows: int = Field(
        100_000,
        ge=1,
        description="Events waiting for the relay above which the API answers 503 to views and likes; orders are "
        "always taken.",
    )
    outbox_limit_s: float = Field(60.0, gt=0, description="Seconds that the oldest of them may wait, likewise.")
    dashboard_host: str = Field(
        "127.0.0.1",
        min_length=1,
        description="The address the dashboard listens on. Without sign-in it must be this machine's own.",
    )
    dashboard_port: int = Field(8100, ge=1, le=65535, description="The port of the dashboard.")
    probe_host: str = Field(
        "127.0.0.1", min_length=1, description="The address of the health and metrics ports of processes without pages."
    )
    relay_port: int = Field(
        0, ge=0, le=65535, description="The relay's port for `/livez`, `/readyz` and `/metrics`; 0 for none."
    )
    consumer_port: int = Field(
        0, ge=0, le=65535, description="The same of the consumer; of several that `up` starts, the next has the next."
    )
    archiver_port: int = Field(0, ge=0, le=65535, description="The same of the archiver.")

    time_zone: str = Field(
        "UTC", description="The IANA time zone whose days and hours are meant where a page or a command names none."
    )

    relay_name: str = Field(
        default_factory=lambda: process_name("relay"),
        min_length=1,
        max_length=100,
        description="The name under which the relay holds its leases. Unique among running relays; one that starts "
        "again under its old name has its lanes back at once.",
        json_schema_extra=_default("`relay-`*host*`-`*process id*; `up` gives a lasting one"),
    )
    consumer_name: str = Field(
        default_factory=lambda: process_name("consumer"),
        min_length=1,
        max_length=100,
        description="The name under which the consumer holds its leases. As for the relay.",
        json_schema_extra=_default("`consumer-`*host*`-`*process id*; `up` gives a lasting one"),
    )
    consumers: int = Field(
        1, ge=1, le=64, description="Consumer processes that `up` starts. They share the partitions."
    )
    lease_ttl_s: float = Field(
        15.0, gt=0, le=3600, description="Seconds after which a lease that nobody renewed is another's to take."
    )
    lease_renew_s: float = Field(
        5.0, gt=0, le=3600, description="Seconds between renewals of a lease; less than half of its time to live."
    )
    batch_records: int = Field(
        MAX_BATCH_RECORDS, ge=1, le=MAX_BATCH_RECORDS, description="The most records counted in one transaction."
    )
    compiled: bool = Field(
        True,
        description="Whether compiled code reads events, where installing found a C compiler. Python reads them alike.",
    )
    partitions_in_flight: int = Field(
        3, ge=1, le=64, description="Partitions of which one consumer has a batch in work at the same time."
    )
    dead_letter_limit: int = Field(
        100,
        ge=1,
        le=10_000,
        description="Dead letters among the last 10,000 records of a partition that stop it: so many are a fault of "
        "ours, not of the records.",
    )
    generations_kept: int = Field(
        1,
        ge=1,
        le=100,
        description="Generations of figures that served before and are kept for `countinghouse rebuild --rollback`.",
    )
    archive_segment_records: int = Field(
        20_000,
        ge=1,
        le=MAX_SEGMENT_RECORDS,
        description="Records of a partition that the archiver waits for before it seals them as a segment: a file for "
        "every handful of records would cost more than it saves.",
    )
    outbox_keep_days: float = Field(
        7.0, gt=0, le=3650, description="Days for which rows that were sent stay in the outbox."
    )

    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="The least severe log lines that are written."
    )
    log_format: Literal["console", "json"] = Field(
        "console", description="How log lines are written to standard error: for eyes or for machines."
    )
    stop_grace_s: float = Field(
        25.0,
        gt=0,
        le=600,
        description="Seconds a process has to finish its work before it is killed, when stopping. Relay and consumer "
        "take 10 at most, whatever is locked.",
    )

    @field_validator("data_dir")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        """So that processes started elsewhere, and the URLs made from it, mean the same folder."""
        return value.expanduser().absolute()

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        if value not in available_timezones():
            raise ValueError("must be an IANA time zone such as Europe/London")
        return value

    @field_validator("commerce_db_url", "backoffice_db_url", "log_url")
    @classmethod
    def _known_scheme(cls, value: str, info: ValidationInfo) -> str:
        kinds = ["sqlite", "kafka"] if info.field_name == "log_url" else ["sqlite+aiosqlite", "postgresql+asyncpg"]
        check_url(value, kinds, plain_text=may_be_plain(info))
        check_way_to_log(value, info)
        return value

    @field_validator("archive_url")
    @classmethod
    def _folder(cls, value: str) -> str:
        if "://" in value:
            raise ValueError("must be a folder: this version keeps its archive in files")
        return str(Path(value).expanduser().absolute())

    @field_validator("lease_renew_s")
    @classmethod
    def _renewed_in_time(cls, value: float, info: ValidationInfo) -> float:
        ttl_s = info.data.get("lease_ttl_s")
        if ttl_s is not None and value * 2 > ttl_s:
            raise ValueError(f"must be at most half of COUNTINGHOUSE_LEASE_TTL_S, which is {ttl_s:g}")
        return value

    @property
    def api_url(self) -> str:
        return f"http://{reachable(self.api_host)}:{self.api_port}"

    @property
    def dashboard_url(self) -> str:
        return f"http://{reachable(self.dashboard_host)}:{self.dashboard_port}"


def read_settings(data_dir: Path | None = None, **file: str) -> Settings:
    """Options of the command line come first, then a file's variables, then the environment's. Raises SettingsError."""
    problems = [*unknown_variables({**os.environ, **file}), *_crash_problems()]
    options: dict[str, Any] = {name.removeprefix(PREFIX).lower(): value for name, value in file.items()}
    options |= {} if data_dir is None else {"data_dir": data_dir}
    try:
        settings = Settings(**options)
    except ValidationError as error:
        wrong = [item for item in error.errors() if item["type"] != "default_factory_not_called"]
        raise SettingsError([*problems, *(_problem(item) for item in wrong)]) from None
    if problems:
        raise SettingsError(problems)
    return settings


def _crash_problems() -> list[str]:
    try:
        CrashPoints.from_environment()
    except ValueError as error:
        return [str(error)]
    return []


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return PREFIX + name.upper()


def unknown_variables(environment: Mapping[str, str]) -> list[str]:
    """One line for each variable with our prefix that is no setting."""
    known = {variable(name) for name in Settings.model_fields}
    lines = []
    for name in sorted(environment):
        if name.startswith(PREFIX) and name not in known | NOT_SETTINGS:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]}?" if close else "`countinghouse config` lists them all."
            lines.append(f"{name} is no setting; {hint}")
    return lines


def process_name(role: str, pid: int | None = None) -> str:
    """Different for every process, so that two started by hand never act under one name."""
    return f"{role}-{socket.gethostname()[:60]}-{pid or os.getpid()}"


def _problem(item: ErrorDetails) -> str:
    name = variable(str(item["loc"][0]))
    message = item["msg"].removeprefix("Value error, ")
    given = f", not {redacted(str(item['input']))!r}" if item["input"] != "" else ""
    return f"{name}: {message[0].lower()}{message[1:]}{given}"


def _url(scheme: str, path: Path) -> str:
    """A folder's name may hold what means something in a URL: `#`, `?`, `%`."""
    return f"{scheme}:///{quote(str(path))}"
