"""`countinghouse config`, and the page docs/settings.md, from the one declaration of the settings."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic.fields import FieldInfo

from backoffice.redaction import redacted
from backoffice.settings import DATA_DIR, Settings, variable

PAGE_HEAD = """\
# Settings

Every setting is an environment variable. `countinghouse config` shows what is in force here and where each value
comes from, with passwords masked. A variable that begins with `COUNTINGHOUSE_` and is none of these is refused.
An empty one counts as not set. This page is written by `make docs`.

| variable | default | meaning |
|---|---|---|
"""


@dataclass(frozen=True, slots=True)
class Shown:
    """One setting as people see it."""

    name: str
    value: str
    default: str
    source: str
    """The variable or option it came from, or `default`."""
    description: str


def shown_settings(settings: Settings, environment: Mapping[str, str], *, data_option: bool) -> Iterator[Shown]:
    for name, field in Settings.model_fields.items():
        key = variable(name)
        source = key if environment.get(key) else "default"
        yield Shown(
            name=key,
            value=_text(getattr(settings, name)),
            default=default_text(field).replace("`", "").replace("*", ""),
            source="--data" if data_option and key == DATA_DIR else source,
            description=field.description or "",
        )


def as_text(shown: Iterator[Shown]) -> str:
    """Lines that can stand in an environment file."""
    return "\n".join(
        f"# {one.description}\n# Default: {one.default}. From: {one.source}.\n{one.name}={one.value}\n" for one in shown
    )


def as_json(shown: Iterator[Shown]) -> str:
    return json.dumps({one.name: asdict(one) for one in shown}, indent=2, ensure_ascii=False)


def settings_page() -> str:
    """docs/settings.md."""
    rows = (
        f"| `{variable(name)}` | {default_text(field)} | {field.description} |\n"
        for name, field in Settings.model_fields.items()
    )
    return PAGE_HEAD + "".join(rows)


def default_text(field: FieldInfo) -> str:
    extra = field.json_schema_extra
    if isinstance(extra, dict):
        return str(extra["default_text"])
    return f"`{_text(field.default)}`"


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, Path):
        return str(value)
    return redacted(str(value))
