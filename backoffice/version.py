"""The program's version."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def program_version() -> str:
    """Of the installed distribution; a checkout that was never installed has none."""
    try:
        return version("countinghouse")
    except PackageNotFoundError:
        return "unknown"
