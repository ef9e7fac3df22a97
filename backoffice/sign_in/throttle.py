"""How often somebody may try to sign in: so often for an account from an address, and so often from an address.

A try is noted before the password is looked at, so trying many at once gains nothing, and whether there is such an
account makes no difference.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from event_store import audit
from event_store.audit import Entry
from event_store.steps import Steps

WINDOW_S = 15 * 60
MOST_OF_ACCOUNT = 10
MOST_OF_ADDRESS = 100

TAKE_TURN = """
INSERT INTO sign_in_turn (id, turns) VALUES (1, 1) ON CONFLICT (id) DO UPDATE SET turns = sign_in_turn.turns + 1
"""
"""Whoever tries at the same time waits for the end of this transaction, so tries are counted exactly."""
FORGET = "DELETE FROM sign_in_try WHERE at_us <= :until_us"
SELECT_TRIES = "SELECT account, at_us FROM sign_in_try WHERE address = :address ORDER BY at_us DESC"
INSERT = "INSERT INTO sign_in_try (id, account, address, at_us) VALUES (:id, :account, :address, :at_us)"
FORGIVE = "DELETE FROM sign_in_try WHERE address = :address AND account = :account"


@dataclass(frozen=True, slots=True)
class Try:
    account: str
    address: str


def note(one: Try, now_us: int, entry: Entry) -> Steps[float]:
    """Seconds to wait before trying again; 0 where this try may be. The first that may not be is in the audit."""
    yield TAKE_TURN, {}
    yield FORGET, {"until_us": now_us - WINDOW_S * 1_000_000}
    rows = yield SELECT_TRIES, {"address": one.address}
    own = [at_us for account, at_us in rows if account == one.account]
    every = [at_us for _, at_us in rows]
    over = max(len(own) - MOST_OF_ACCOUNT, len(every) - MOST_OF_ADDRESS)
    if over > 0:
        return _wait_s(own, every, now_us)
    yield INSERT, {"id": secrets.token_bytes(16), "account": one.account, "address": one.address, "at_us": now_us}
    if over == 0:
        yield from audit.record(entry, now_us)
        return _wait_s([now_us, *own], [now_us, *every], now_us)
    return 0.0


def forgive(one: Try) -> Steps[None]:
    """After a good one."""
    yield FORGIVE, {"address": one.address, "account": one.account}


def _wait_s(own: list[int], every: list[int], now_us: int) -> float:
    """Until fewer than the most lie in the window."""
    bounds = [at[most - 1] for at, most in ((own, MOST_OF_ACCOUNT), (every, MOST_OF_ADDRESS)) if len(at) >= most]
    return max(1.0, (max(bounds) - now_us) / 1e6 + WINDOW_S)
