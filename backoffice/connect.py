"""The one place where the scheme of a URL chooses a cache."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, urlsplit

from event_store.this_machine import is_this_machine

from .cache import Cache

FORM = "memory://, redis://[user:password@]host[:port][/number] or rediss://…, which is encrypted"
_OPTIONS = {"rediss": {"ssl_ca_certs"}}
_NUMBER = re.compile(r"/?|/[0-9]{1,4}")


def open_cache(url: str) -> Cache:
    """The cache at an address that `check_cache_url` lets pass. Connects at the first use."""
    if url.startswith("memory:"):
        from .memory_cache import MemoryCache

        return MemoryCache()
    from .redis_cache import RedisCache

    return RedisCache(url)


def check_cache_url(url: str, *, plain_text: bool) -> None:
    """Raises ValueError unless it is the address of a cache, and what goes to another machine is encrypted.

    `plain_text` says that it needn't be. `?ssl_ca_certs=FILE` names the authorities that a `rediss` server is
    trusted by, in place of the system's.
    """
    if url == "memory://":
        return
    try:
        parts = urlsplit(url)
        (host, _) = (parts.hostname, parts.port)
    except ValueError:  # Its own words may show a part of the password.
        raise ValueError(f"must be {FORM}") from None
    options = {name for name, _ in parse_qsl(parts.query, keep_blank_values=True)}
    is_known = parts.scheme in ("redis", "rediss") and options <= _OPTIONS.get(parts.scheme, set())
    if not (is_known and host and _NUMBER.fullmatch(parts.path) and not parts.fragment):
        raise ValueError(f"must be {FORM}")
    if parts.scheme == "redis" and not is_this_machine(host) and not plain_text:
        raise ValueError(
            f"names {host} without encryption; use rediss://, or set COUNTINGHOUSE_ALLOW_PLAINTEXT=true where the "
            "network between is yours alone"
        )
