"""The accounts, as an admin and the command line see to them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from event_store.audit import Entry, now_us
from event_store.steps import Transactions

from . import account_steps
from .account import Account, AccountRefused, UnknownAccount, name_of
from .argon2_passwords import Passwords, one_time_password
from .roles import Role

FIRST = "admin"
"""The account that a new shop begins with."""


class Accounts:
    """Over the back-office database. `who` of each entry is who acts; the rest of it is written here."""

    def __init__(self, transactions: Transactions, passwords: Passwords, clock: Callable[[], int] = now_us) -> None:
        self._transactions = transactions
        self._passwords = passwords
        self._clock = clock

    async def all(self) -> Sequence[Account]:
        return await self._transactions.read(account_steps.accounts())

    async def named(self, name: str) -> Account:
        """Raises UnknownAccount."""
        account = await self._transactions.read(account_steps.account(name_of(name)))
        if account is None:
            raise UnknownAccount(f"there is no account {name_of(name)}")
        return account

    async def add(self, name: str, role: Role, entry: Entry) -> str:
        """The new account's one-time password. Raises AccountRefused."""
        password = one_time_password()
        new = await self._new(name_of(name), role, password)
        entry = replace(entry, what="account.added", on=new.name, after={"role": role})
        if not await self._transactions.write(account_steps.add(new, entry, self._clock())):
            raise AccountRefused(f"there is an account {new.name} already")
        return password

    async def add_first(self, entry: Entry) -> str | None:
        """The one-time password of the first admin; None where there are accounts already."""
        if await self._transactions.read(account_steps.accounts()):
            return None
        password = one_time_password()
        new = await self._new(FIRST, Role.ADMIN, password)
        entry = replace(entry, what="account.added", on=FIRST, after={"role": Role.ADMIN})
        added = await self._transactions.write(account_steps.add_first(new, entry, self._clock()))
        return password if added else None

    async def give_role(self, name: str, role: Role, entry: Entry) -> None:
        """Ends the account's sessions. Raises AccountRefused."""
        before = await self.named(name)
        await self._change(before, replace(before, role=role), "account.role_changed", entry)

    async def reset_password(self, name: str, entry: Entry, *, must_change: bool = True) -> str:
        """A one-time password in place of the account's own; ends its sessions. Raises AccountRefused."""
        before = await self.named(name)
        password = one_time_password()
        written = await self._passwords.written_down(password)
        after = replace(before, password=written, must_change=must_change)
        await self._change(before, after, "account.password_reset", entry)
        return password

    async def disable(self, name: str, entry: Entry) -> None:
        """Ends its sessions. Its name stays taken. Raises AccountRefused."""
        before = await self.named(name)
        await self._change(before, replace(before, disabled=True), "account.disabled", entry)

    async def enable(self, name: str, entry: Entry) -> None:
        before = await self.named(name)
        await self._change(before, replace(before, disabled=False), "account.enabled", entry)

    async def _new(self, name: str, role: Role, password: str) -> Account:
        written = await self._passwords.written_down(password)
        return Account(name, role, written, must_change=True, disabled=False, made_at_us=self._clock(), version=1)

    async def _change(self, before: Account, after: Account, what: str, entry: Entry) -> None:
        if before == after:
            return
        entry = replace(entry, what=what, on=before.name, before=_shown(before), after=_shown(after))
        await self._transactions.write(account_steps.change(before, after, entry, self._clock()))


def _shown(account: Account) -> dict[str, object]:
    """Nothing that is secret."""
    return {"role": account.role, "disabled": account.disabled, "must_change_password": account.must_change}
