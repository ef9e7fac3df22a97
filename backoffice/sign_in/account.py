"""What the sign-in knows of people: their accounts and their sessions."""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass

from .roles import Role

_NAME = re.compile(r"[a-z0-9][a-z0-9._@+-]{0,63}")
CLOCK_SKEW_S = 300
"""How far a clock may be set back before sessions that began after it are taken for expired."""


class AccountRefused(ValueError):
    """What was asked for an account can't be."""


class UnknownAccount(AccountRefused):
    """There is no such account."""


class LastAdmin(AccountRefused):
    """Without this one nobody could give accounts."""


class AccountChanged(AccountRefused):
    """Somebody else changed it in between."""


@dataclass(frozen=True, slots=True)
class Account:
    name: str
    role: Role
    password: str
    """As argon2id writes it down."""
    must_change: bool
    """Whether the password was given by somebody else, and is good for choosing an own one only."""
    disabled: bool
    made_at_us: int
    version: int
    """Grows by one at each change."""


@dataclass(frozen=True, slots=True)
class Session:
    """The id itself is known to the browser alone; here is its hash."""

    id: bytes
    account: str
    begun_at_us: int
    seen_at_us: int
    address: str
    browser: str

    def is_live(self, now_us: int, idle_s: float, longest_s: float) -> bool:
        age_s = (now_us - self.begun_at_us) / 1e6
        return -CLOCK_SKEW_S <= age_s < longest_s and (now_us - self.seen_at_us) / 1e6 < idle_s


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Somebody who is signed in, for the length of a request."""

    account: Account
    session: Session
    text: str
    """The session's id, as the browser has it."""

    @property
    def name(self) -> str:
        return self.account.name

    @property
    def role(self) -> Role:
        return self.account.role

    @property
    def form_token(self) -> str:
        return form_token(self.text)


@dataclass(frozen=True, slots=True)
class Caller:
    """Where a request comes from."""

    address: str
    browser: str = ""
    request_id: str = ""


def name_of(text: str) -> str:
    """As accounts are named. Raises AccountRefused."""
    name = text.strip().lower()
    if not _NAME.fullmatch(name):
        raise AccountRefused("a name is 1 to 64 of a-z, 0-9 and . _ - @ +, and begins with a letter or a digit")
    return name


def session_id(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "replace")).digest()


def form_token(text: str) -> str:
    """What forms of a session carry: nobody makes it who doesn't know the session's id, and it doesn't tell the id."""
    return hmac.new(text.encode("utf-8", "replace"), b"form", hashlib.sha256).hexdigest()
