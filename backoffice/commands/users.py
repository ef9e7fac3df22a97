"""`countinghouse users`: the accounts, for whoever sits at the machine."""

from __future__ import annotations

import getpass
import json
import os
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from rich.table import Table
from rich.text import Text

from backoffice.failures import CommandFailed
from backoffice.instants import utc
from backoffice.settings import Settings
from backoffice.sign_in.account import Account, AccountRefused
from backoffice.sign_in.desk import opened_office
from backoffice.sign_in.gate import Office
from backoffice.sign_in.roles import UnknownRole
from event_store.audit import Entry
from event_store.tokens import TokenRefused

T = TypeVar("T")


async def with_office(settings: Settings, work: Callable[[Office], Awaitable[T]]) -> T:
    """Raises CommandFailed for what can't be done."""
    async with opened_office(settings) as office:
        try:
            return await work(office)
        except (AccountRefused, UnknownRole, TokenRefused) as error:
            raise CommandFailed(f"{error}.", 2) from error


def at_the_machine(reason: str = "") -> Entry:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # A container's user need not have a name.
        user = str(os.getuid())
    return Entry(who=f"command line ({user})", what="", reason=reason)


def users_table(accounts: Sequence[Account]) -> Table:
    table = Table("name", "role", "state", "since")
    for one in accounts:
        table.add_row(Text(one.name), one.role, _state(one), utc(one.made_at_us))
    return table


def users_json(accounts: Sequence[Account]) -> str:
    shown = [
        {"name": one.name, "role": one.role, "state": _state(one), "made_at": utc(one.made_at_us)} for one in accounts
    ]
    return json.dumps(shown, indent=2)


def _state(one: Account) -> str:
    return "disabled" if one.disabled else "one-time password" if one.must_change else "in use"
