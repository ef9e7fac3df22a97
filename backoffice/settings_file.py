"""A file of settings, `NAME=value` a line, as systemd and containers take it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic_settings import DotEnvSettingsSource

from .settings import PREFIX, Settings, SettingsError, read_settings


def read_settings_file(file: Path, data_dir: Path | None) -> Settings:
    """The settings of a process that is given the file beside this environment. Raises SettingsError.

    A password in a file doesn't show in the list of processes, as it would among a command's options.
    """
    try:
        found = DotEnvSettingsSource(Settings, env_file=file, env_file_encoding="utf-8").env_vars
    except (OSError, UnicodeError) as error:
        raise SettingsError([f"{file} can't be read: {error}"]) from None
    values: dict[str, Any] = {name.upper(): value for name, value in found.items() if value}
    ours = {name: value for name, value in values.items() if name.startswith(PREFIX)}
    if not ours:
        raise SettingsError([f"{file} has no setting: write a line such as {PREFIX}LOG_URL=kafka://host:port"])
    return read_settings(data_dir, **ours)
