"""Keeping the dashboard to this machine where it has no sign-in, and to this machine's names where it listens there.

A page of somebody else's, whose own name is made to point to 127.0.0.1 (DNS rebinding), could otherwise read through
the visitor's browser what is for this machine only.
"""

from __future__ import annotations

from event_store.this_machine import is_this_machine

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")


class OpenListenError(ValueError):
    """The address can be reached from other machines."""


def refuse_open_listen(host: str, sign_in: str) -> None:
    """Raises OpenListenError for an address other than this machine's own where sign-in is off."""
    if sign_in == "off" and not is_this_machine(host):
        raise OpenListenError(
            f"COUNTINGHOUSE_SIGN_IN=off is for this machine's own address, not for {host}: whoever reaches it could "
            "see and do everything. Leave sign-in on, or listen on 127.0.0.1."
        )


def names_loopback(header: str | None) -> bool:
    """Whether a Host header, with or without a port, is one of `LOOPBACK_NAMES`."""
    if header is None:
        return False
    (name, colon, port) = header.lower().rpartition(":")
    if not colon or not port.isdigit():
        name = header.lower()
    return name in LOOPBACK_NAMES
