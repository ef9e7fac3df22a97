"""Where a user's data lives when nobody says where."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def default_data_dir(environment: Mapping[str, str], platform: str) -> Path:
    """One folder per user, where the system wants data of programs to live."""
    home = Path.home()
    if platform == "win32":
        return Path(environment.get("LOCALAPPDATA") or home / "AppData" / "Local") / "countinghouse"
    if platform == "darwin":
        return home / "Library" / "Application Support" / "countinghouse"
    return Path(environment.get("XDG_DATA_HOME") or home / ".local" / "share") / "countinghouse"
