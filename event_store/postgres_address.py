"""The address of a PostgreSQL database: `postgresql+asyncpg://user:password@host:port/name`."""

from __future__ import annotations

from urllib.parse import parse_qs, unquote, urlsplit

from .this_machine import is_this_machine

POSTGRES = "postgresql+asyncpg"
POSTGRES_FORM = f"{POSTGRES}://user:password@host:port/name"


def is_postgres(url: str) -> bool:
    return url.startswith(f"{POSTGRES}:")


def check_postgres(url: str, *, plain_text: bool = False) -> None:
    """Raises ValueError unless it is an address of PostgreSQL, and what goes to another machine is encrypted.

    `plain_text` says that it needn't be.
    """
    dsn_and_place(url)
    parts = urlsplit(url)
    ssl = parse_qs(parts.query).get("sslmode", ["prefer"])[-1]
    is_encrypted = ssl in ("require", "verify-ca", "verify-full")
    if not (is_encrypted or plain_text or is_this_machine(parts.hostname or "")):
        raise ValueError(
            f"names {parts.hostname} without encryption; add ?sslmode=verify-full (or require), or set "
            "COUNTINGHOUSE_ALLOW_PLAINTEXT=true where the network between is yours alone"
        )


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
