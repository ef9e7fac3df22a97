"""Passwords as argon2id writes them down, worked out in threads of their own: one takes tens of milliseconds."""

from __future__ import annotations

import asyncio
import secrets
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from .account import AccountRefused

T = TypeVar("T")

SHORTEST = 12
LONGEST = 200
AT_ONCE = 2
"""Each takes 64 MiB while it lasts."""
MOST_WAITING = 50
ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
"""Nothing that is easily taken for something else."""


class TooBusy(Exception):
    """More people sign in at once than can be looked at."""


class Passwords:
    """`hasher` has the costs; what was written down with others is written anew when its owner signs in."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="passwords")
        self._waiting = 0
        self._nobodys: str | None = None

    async def written_down(self, password: str) -> str:
        return await self._worked_out(lambda: self._hasher.hash(_normal(password)))

    async def fits(self, password: str, written: str | None) -> bool:
        """Whether it is the one that was written down. Where there is none that takes as long, and it isn't."""

        def look() -> bool:
            nobodys = self._of_nobody()  # For everybody, so that its first time tells nothing.
            try:
                self._hasher.verify(written or nobodys, _normal(password))
            except (VerificationError, InvalidHashError):
                return False
            return written is not None

        return await self._worked_out(look)

    def is_outdated(self, written: str) -> bool:
        return self._hasher.check_needs_rehash(written)

    def close(self) -> None:
        self._threads.shutdown(wait=False)

    def _of_nobody(self) -> str:
        if self._nobodys is None:
            self._nobodys = self._hasher.hash(secrets.token_urlsafe())
        return self._nobodys

    async def _worked_out(self, work: Callable[[], T]) -> T:
        if self._waiting >= MOST_WAITING:
            raise TooBusy("too many people sign in at this moment; try again in a minute")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._waiting -= 1


def one_time_password() -> str:
    """79 bits, in groups that can be read aloud."""
    return "-".join("".join(secrets.choice(ALPHABET) for _ in range(4)) for _ in range(4))


def check_password(password: str, name: str) -> None:
    """Raises AccountRefused for one that is too easily guessed, or too long."""
    normal = _normal(password)
    if not SHORTEST <= len(normal) <= LONGEST:
        raise AccountRefused(f"a password has {SHORTEST} to {LONGEST} characters")
    if name in normal.lower() or len(set(normal)) < 5:
        raise AccountRefused("a password isn't made of the account's name, nor of a few characters again and again")


def _normal(password: str) -> str:
    """However a keyboard puts its accents together. What no hash takes is replaced."""
    return unicodedata.normalize("NFKC", password).encode("utf-8", "replace").decode()
