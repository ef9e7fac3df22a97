"""Signing in and out: a password against a session, and what a session is worth from then on.

A session's id is drawn anew at each sign-in and at a change of password, so one that somebody else knew before is worth
nothing after. Of the id the database has a hash.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from event_store import audit
from event_store.audit import Entry, now_us
from event_store.errors import TransientError
from event_store.steps import Steps, Transactions

from . import account_steps, throttle
from .account import Account, AccountRefused, Caller, Session, SignedIn, name_of, session_id
from .argon2_passwords import Passwords, check_password
from .throttle import Try

SEEN_EVERY_S = 60.0
"""How exact the time is when a session was last used."""
LONGEST_BROWSER = 200
UNKNOWN = "an unknown account"
"""What the audit calls a name that isn't an account's: people type their passwords into the wrong field."""


@dataclass(frozen=True, slots=True)
class SessionLimits:
    idle_s: float = 30 * 60
    longest_s: float = 12 * 3600


class NotSignedIn(Exception):
    """Name and password don't fit. Which of them is wrong is not told."""


class TooManyTries(Exception):
    def __init__(self, wait_s: float) -> None:
        super().__init__(f"too many tries; try again in {max(1, round(wait_s / 60))} minutes")
        self.wait_s = wait_s


class SignIn:
    """Over the back-office database."""

    def __init__(
        self,
        transactions: Transactions,
        passwords: Passwords,
        *,
        limits: SessionLimits | None = None,
        clock: Callable[[], int] = now_us,
    ) -> None:
        self._transactions = transactions
        self._passwords = passwords
        self._limits = limits or SessionLimits()
        self._clock = clock

    async def sign_in(self, name: str, password: str, caller: Caller, replaced: str | None = None) -> SignedIn:
        """A new session in place of `replaced`, which the browser had.

        Raises NotSignedIn, TooManyTries, TooBusy and, rarely, AccountChanged.
        """
        account = await self._account(name)
        tried = Try(account.name if account else _typed(name), caller.address)
        await self._note_try(tried, account, caller)
        good = await self._passwords.fits(password, account.password if account else None)
        if account is None or not good or account.disabled:
            await self._transactions.write(_recorded(_entry(_shown(account), "sign_in.failed", caller), self._clock()))
            raise NotSignedIn("Name and password don't fit together.")
        await self._transactions.write(throttle.forgive(tried))
        account = await self._rehashed(account, password)
        return await self._begun(account, caller, replaced)

    async def who(self, text: str, *, is_active: bool = True) -> SignedIn | None:
        """Who has the session of this id. `is_active`: whether a person did something, not a page by itself."""
        found = await self._transactions.read(account_steps.session(session_id(text)))
        now = self._clock()
        if found is None or not found[0].is_live(now, self._limits.idle_s, self._limits.longest_s):
            return None
        (session, account) = found
        if is_active and now - session.seen_at_us >= SEEN_EVERY_S * 1e6:
            with contextlib.suppress(TransientError):  # Reading goes on where nothing can be written.
                await self._transactions.write(account_steps.seen(session.id, now))
        return SignedIn(account, session, text)

    async def sign_out(self, who: SignedIn, caller: Caller) -> None:
        entry = _entry(who.name, "sign_in.ended", caller)
        await self._transactions.write(account_steps.end(who.session.id, entry, self._clock()))

    async def sign_out_others(self, who: SignedIn, caller: Caller) -> int:
        entry = _entry(who.name, "sign_in.others_ended", caller)
        steps = account_steps.end_others(who.name, who.session.id, entry, self._clock())
        return await self._transactions.write(steps)

    async def sessions(self, who: SignedIn) -> Sequence[Session]:
        found = await self._transactions.read(account_steps.sessions(who.name))
        now = self._clock()
        return [one for one in found if one.is_live(now, self._limits.idle_s, self._limits.longest_s)]

    async def change_password(self, who: SignedIn, current: str, new: str, caller: Caller) -> SignedIn:
        """Ends all sessions of the account; the answer is a new one.

        Raises AccountRefused, NotSignedIn, TooManyTries and TooBusy.
        """
        await self._note_try(Try(who.name, caller.address), who.account, caller)
        if not await self._passwords.fits(current, who.account.password):
            raise NotSignedIn("That is not your current password.")
        check_password(new, who.name)
        if new == current:
            raise AccountRefused("the new password is the old one")
        written = await self._passwords.written_down(new)
        after = replace(who.account, password=written, must_change=False)
        entry = _entry(who.name, "account.password_changed", caller)
        (session, text) = self._drawn(after, caller)
        await self._transactions.write(_with_session(who.account, after, entry, session))
        await self._transactions.write(throttle.forgive(Try(who.name, caller.address)))
        return SignedIn(replace(after, version=after.version + 1), session, text)

    async def _account(self, name: str) -> Account | None:
        try:
            return await self._transactions.read(account_steps.account(name_of(name)))
        except AccountRefused:
            return None

    async def _note_try(self, tried: Try, account: Account | None, caller: Caller) -> None:
        entry = _entry(_shown(account), "sign_in.throttled", caller)
        wait_s = await self._transactions.write(throttle.note(tried, self._clock(), entry))
        if wait_s:
            raise TooManyTries(wait_s)

    async def _rehashed(self, account: Account, password: str) -> Account:
        if not self._passwords.is_outdated(account.password):
            return account
        written = await self._passwords.written_down(password)
        await self._transactions.write(account_steps.rehashed(account, written))
        return replace(account, password=written, version=account.version + 1)

    async def _begun(self, account: Account, caller: Caller, replaced: str | None) -> SignedIn:
        (session, text) = self._drawn(account, caller)
        now = session.begun_at_us
        kept_since = (now - round(self._limits.longest_s * 1e6), now - round(self._limits.idle_s * 1e6))
        entry = _entry(account.name, "sign_in.done", caller)
        old = session_id(replaced) if replaced else None
        await self._transactions.write(account_steps.begin(session, account, old, entry, kept_since))
        return SignedIn(account, session, text)

    def _drawn(self, account: Account, caller: Caller) -> tuple[Session, str]:
        text = secrets.token_urlsafe(32)
        now = self._clock()
        browser = caller.browser[:LONGEST_BROWSER].replace("\x00", "").encode("utf-8", "replace").decode()
        return Session(session_id(text), account.name, now, now, caller.address, browser), text


def _shown(account: Account | None) -> str:
    return account.name if account else UNKNOWN


def _typed(name: str) -> str:
    """A name that is no account's counts tries as one that is, and is kept by its hash."""
    return f"#{session_id(name.strip().lower()).hex()}"


def _entry(who: str, what: str, caller: Caller) -> Entry:
    after = {"address": caller.address} if caller.address else {}
    return Entry(who=who, what=what, on=who, after=after, request_id=caller.request_id)


def _recorded(entry: Entry, now: int) -> Steps[None]:
    yield from audit.record(entry, now)


def _with_session(before: Account, after: Account, entry: Entry, session: Session) -> Steps[None]:
    yield from account_steps.change(before, after, entry, session.begun_at_us)
    yield from account_steps.insert(session)
