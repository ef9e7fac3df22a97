"""Tokens by which programs show who they are, in the database of the API that they call.

Only a token's hash is kept, so that nobody finds one there; it is random and long, so a quick hash is enough. It is
shown once, when it is made, and known by its number from then on.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum

from . import audit
from .audit import Entry
from .errors import TransientError
from .steps import Row, Steps, Transactions

MARK = "cht"
"""What every token begins with, so that a scanner for secrets finds one that was left lying about."""
_TEXT = re.compile(rf"{MARK}_([0-9a-f]{{12}})_[\w-]{{43}}")

USED_EVERY_S = 60.0
"""How exact the time of a token's last use is."""
KNOWN_S = 5.0
"""For how long a token that was good is taken without another look: for so long a revoked one still passes."""
MOST_KNOWN = 1000
DAY_US = 86_400_000_000
MOST_DAYS = 3650

COLUMNS = "id, title, hash, scopes, made_by, made_at_us, expires_at_us, used_at_us, revoked_at_us"
INSERT = f"""
INSERT INTO api_token ({COLUMNS}) VALUES
(:id, :title, :hash, :scopes, :made_by, :made_at_us, :expires_at_us, NULL, NULL)
"""  # noqa: S608
SELECT = f"SELECT {COLUMNS} FROM api_token WHERE id = :id"  # noqa: S608
SELECT_ALL = f"SELECT {COLUMNS} FROM api_token ORDER BY made_at_us DESC, id"  # noqa: S608
USED = "UPDATE api_token SET used_at_us = :now_us WHERE id = :id"
REVOKE = "UPDATE api_token SET revoked_at_us = :now_us WHERE id = :id AND revoked_at_us IS NULL RETURNING title, scopes"

SQLITE = """
CREATE TABLE IF NOT EXISTS api_token (
    id TEXT PRIMARY KEY,
    title TEXT NOT NULL,
    hash BLOB NOT NULL,
    scopes TEXT NOT NULL,
    made_by TEXT NOT NULL,
    made_at_us INTEGER NOT NULL,
    expires_at_us INTEGER NOT NULL,
    used_at_us INTEGER,
    revoked_at_us INTEGER
) STRICT, WITHOUT ROWID;
"""
POSTGRES = """
CREATE TABLE IF NOT EXISTS api_token (
    id TEXT COLLATE "C" PRIMARY KEY,
    title TEXT COLLATE "C" NOT NULL,
    hash BYTEA NOT NULL,
    scopes TEXT COLLATE "C" NOT NULL,
    made_by TEXT COLLATE "C" NOT NULL,
    made_at_us BIGINT NOT NULL,
    expires_at_us BIGINT NOT NULL,
    used_at_us BIGINT,
    revoked_at_us BIGINT
) WITH (fillfactor = 50);
"""


class Scope(StrEnum):
    """What a token may be used for. Each is a right of one API, but for the metrics, which both have."""

    FIGURES = "figures:read"
    STATUS = "status:read"
    METRICS = "metrics:read"
    LOG = "log:read"
    """The records themselves, with all that they say of customers."""
    AUDIT = "audit:read"
    PAUSES = "pipeline:pause"
    """Holding parts of the line still, and letting them go on."""
    COMMERCE = "commerce"
    """Everything of the commerce API."""
    EVENTS = "events:write"
    """Handing in events there, and nothing else."""


DASHBOARD_SCOPES = frozenset({Scope.FIGURES, Scope.STATUS, Scope.LOG, Scope.METRICS, Scope.AUDIT, Scope.PAUSES})
COMMERCE_SCOPES = frozenset({Scope.COMMERCE, Scope.EVENTS, Scope.METRICS})


class TokenRefused(ValueError):
    """What was asked for a token can't be."""


@dataclass(frozen=True, slots=True)
class Token:
    id: str
    title: str
    hash: bytes
    scopes: frozenset[str]
    made_by: str
    made_at_us: int
    expires_at_us: int
    used_at_us: int | None = None
    revoked_at_us: int | None = None

    @property
    def shown(self) -> str:
        """Its beginning, which is no secret."""
        return f"{MARK}_{self.id}"

    def is_good(self, now_us: int) -> bool:
        return self.revoked_at_us is None and now_us < self.expires_at_us

    def state(self, now_us: int) -> str:
        if self.revoked_at_us is not None:
            return "revoked"
        return "good" if self.is_good(now_us) else "expired"


class Tokens:
    """The tokens of one database, which has the audit, too."""

    def __init__(
        self, transactions: Transactions, allowed: frozenset[Scope], clock: Callable[[], int] = audit.now_us
    ) -> None:
        self._transactions = transactions
        self._clock = clock
        self._allowed = allowed
        self._known: dict[bytes, tuple[Token, int]] = {}

    async def add(self, title: str, scopes: Sequence[str], days: int, entry: Entry) -> tuple[Token, str]:
        """The new token, and its text, which nobody can be told again. `entry` says who makes it.

        Raises TokenRefused.
        """
        self._check(title, scopes, days)
        now_us = self._clock()
        id_ = secrets.token_hex(6)
        text = f"{MARK}_{id_}_{secrets.token_urlsafe(32)}"
        expires_at_us = now_us + days * DAY_US
        token = Token(id_, title.strip(), _hash(text), frozenset(scopes), entry.who, now_us, expires_at_us)
        await self._transactions.write(_add(token, entry, now_us))
        return token, text

    async def all(self) -> Sequence[Token]:
        return await self._transactions.read(_all())

    async def revoke(self, id_: str, entry: Entry) -> bool:
        """Whether there was one to revoke."""
        self._known.clear()
        return await self._transactions.write(_revoke(id_.removeprefix(f"{MARK}_"), entry, self._clock()))

    async def holder(self, text: str) -> Token | None:
        """The token of this text, if it is good."""
        found = _TEXT.fullmatch(text)
        if found is None:
            return None
        (hashed, now_us) = (_hash(text), self._clock())
        (token, until_us) = self._known.get(hashed, (None, 0))
        if token is None or now_us >= until_us:
            token = await self._looked_up(found[1], hashed, now_us)
        return token if token is not None and token.is_good(now_us) else None

    async def _looked_up(self, id_: str, hashed: bytes, now_us: int) -> Token | None:
        token = await self._transactions.read(_one(id_))
        if token is None or not hmac.compare_digest(token.hash, hashed) or not token.is_good(now_us):
            self._known.pop(hashed, None)
            return None
        if token.used_at_us is None or now_us - token.used_at_us >= USED_EVERY_S * 1e6:
            with contextlib.suppress(TransientError):  # The token is good, whoever writes.
                await self._transactions.write(_used(id_, now_us))
            token = replace(token, used_at_us=now_us)
        if len(self._known) >= MOST_KNOWN:
            self._known.clear()
        self._known[hashed] = (token, now_us + round(KNOWN_S * 1e6))
        return token

    def _check(self, title: str, scopes: Sequence[str], days: int) -> None:
        unknown = sorted(set(scopes) - self._allowed)
        if unknown or not scopes:
            named = f"no scope {unknown[0]!r}" if unknown else "a token needs a scope"
            raise TokenRefused(f"{named}; there are {', '.join(sorted(self._allowed))}")
        if not 0 < len(title.strip()) <= 100:
            raise TokenRefused("a token needs a title of 1 to 100 characters that says who uses it")
        if not 1 <= days <= MOST_DAYS:
            raise TokenRefused(f"a token is good for 1 to {MOST_DAYS} days, not {days}")


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def _add(token: Token, entry: Entry, now_us: int) -> Steps[None]:
    until = datetime.fromtimestamp(token.expires_at_us / 1e6, UTC).isoformat(timespec="seconds")
    after = {"title": token.title, "scopes": sorted(token.scopes), "good_until": until}
    yield from audit.record(replace(entry, what="token.added", on=token.shown, after=after), now_us)
    yield (
        INSERT,
        {
            "id": token.id,
            "title": token.title,
            "hash": token.hash,
            "scopes": " ".join(sorted(token.scopes)),
            "made_by": token.made_by,
            "made_at_us": token.made_at_us,
            "expires_at_us": token.expires_at_us,
        },
    )


def _all() -> Steps[Sequence[Token]]:
    rows = yield SELECT_ALL, {}
    return [_token(row) for row in rows]


def _one(id_: str) -> Steps[Token | None]:
    rows = yield SELECT, {"id": id_}
    return _token(rows[0]) if rows else None


def _used(id_: str, now_us: int) -> Steps[None]:
    yield USED, {"id": id_, "now_us": now_us}


def _revoke(id_: str, entry: Entry, now_us: int) -> Steps[bool]:
    rows = yield REVOKE, {"id": id_, "now_us": now_us}
    for title, scopes in rows:
        before = {"title": title, "scopes": scopes.split()}
        yield from audit.record(replace(entry, what="token.revoked", on=f"{MARK}_{id_}", before=before), now_us)
    return bool(rows)


def _token(row: Row) -> Token:
    (id_, title, hashed, scopes, *rest) = row
    return Token(id_, title, bytes(hashed), frozenset(scopes.split()), *rest)
