"""The address of a PostgreSQL database: `postgresql+asyncpg://user:password@host:port/name`."""

from __future__ import annotations

from urllib.parse import parse_qs, unquote, urlsplit

POSTGRES = "postgresql+asyncpg"
POSTGRES_FORM = f"{POSTGRES}://user:password@host:port/name"


def is_postgres(url: str) -> bool:
    return url.startswith(f"{POSTGRES}:")


def check_postgres(url: str) -> None:
    """Raises ValueError unless it is an address of PostgreSQL, and what goes to another machine is encrypted."""
    dsn_and_place(url)
    parts = urlsplit(url)
    ssl = parse_qs(parts.query).get("sslmode", ["prefer"])[-1]
    if parts.hostname not in ("127.0.0.1", "localhost", "::1") and ssl not in ("require", "verify-ca", "verify-full"):
        raise ValueError(f"names {parts.hostname} without encryption; add ?sslmode=verify-full (or require)")


def dsn_and_place(url: str) -> tuple[str, str]:
    """The address as asyncpg takes it, and as it may be shown: `host:port/database`, no password.

    Raises ValueError for what isn't `postgresql+asyncpg://user:password@host:port/name`.
    """
    refusal = f"must be {POSTGRES_FORM}"
    try:
        parts = urlsplit(url)
        place = f"{parts.hostname}:{parts.port or 5432}{unquote(parts.path)}"
    except ValueError:  # Its own words may show a part of the password.
        raise ValueError(refusal) from None
    if parts.scheme != POSTGRES or not parts.hostname or len(parts.path) < 2:
        raise ValueError(refusal)
    return parts._replace(scheme="postgresql").geturl(), place
