"""Free ports of 127.0.0.1. Another process may take one before it is used, as ever; no other test does."""

from __future__ import annotations

import itertools
import os
import random
import socket
from collections.abc import Iterator
from functools import cache

FIRST = 20_000
OF_A_WORKER = 1_500
"""Below those that the system gives to connections, so that none takes one while its server is down for a moment."""
MOST_WORKERS = 8


def free_port() -> int:
    return next(one for one in _ports(os.getpid()) if _is_free(one))


def free_ports(count: int) -> list[int]:
    """Different ports of 127.0.0.1 that nobody has."""
    return [free_port() for _ in range(count)]


@cache
def _ports(_: int) -> Iterator[int]:
    """Of this process: one that was given comes again only after all others."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % MOST_WORKERS
    first = FIRST + worker * OF_A_WORKER
    begin = random.randrange(OF_A_WORKER)
    return itertools.cycle(first + (begin + number) % OF_A_WORKER for number in range(OF_A_WORKER))


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
