"""Keeping the dashboard to this machine, for as long as it has no sign-in.

It listens on a loopback address, and it answers only to loopback names: a page of somebody else's, whose own name
is made to point to 127.0.0.1 (DNS rebinding), could otherwise read the figures through the visitor's browser.
"""

from __future__ import annotations

from event_store.this_machine import is_this_machine

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")


class OpenListenError(ValueError):
    """The address can be reached from other machines."""


def refuse_open_listen(host: str, insecure: bool) -> None:
    """Raises OpenListenError for an address other than this machine's own, unless `insecure` says it is meant."""
    if not insecure and not is_this_machine(host):
        raise OpenListenError(
            f"the dashboard has no sign-in, so it listens on 127.0.0.1 only, not on {host}. "
            "With --insecure-listen it listens there anyway, and whoever reaches it sees every figure."
        )


def names_loopback(header: str | None) -> bool:
    """Whether a Host header, with or without a port, is one of `LOOPBACK_NAMES`."""
    if header is None:
        return False
    (name, colon, port) = header.lower().rpartition(":")
    if not colon or not port.isdigit():
        name = header.lower()
    return name in LOOPBACK_NAMES
