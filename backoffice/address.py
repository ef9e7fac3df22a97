"""Addresses to listen on: bound by us, so that a taken one is one clear line."""

from __future__ import annotations

import socket


class AddressTakenError(Exception):
    """Another program listens on the address. The message names it."""


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises AddressTakenError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
        bound.listen(2048)
    except OSError as error:
        bound.close()
        raise AddressTakenError(f"Can't listen on {host}, port {port}: {error.strerror or error}.") from error
    bound.setblocking(False)
    return bound


def reachable(host: str) -> str:
    """The host by which this machine reaches a server that listens on `host`."""
    if host in {"0.0.0.0", "::"}:  # noqa: S104 - compared with, not listened on
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host
