"""How somebody gets into a shop that nobody has an account of yet."""

from __future__ import annotations

import sys
from urllib.parse import urlencode

from backoffice.settings import Settings
from backoffice.sign_in.accounts import FIRST, Accounts
from backoffice.sign_in.desk import opened_office
from backoffice.sign_in.roles import Role
from event_store.audit import Entry

DEMO = "demo"
"""The account of who looks at the demo."""
START = Entry(who="the first start", what="")
ADD_ONE = "there is no account yet; in a terminal: countinghouse users add NAME --role admin"

LOST = (
    f"as {FIRST} with the one-time password of the first start; if that is lost: countinghouse users reset-password "
    f"{FIRST}"
)


async def first_way_in(settings: Settings) -> str:
    """What to tell whoever started the shop; empty where there are accounts.

    The one-time password is for eyes only: where the output goes into a file or a pipe none is made.
    """
    if settings.sign_in == "off":
        return ""
    async with opened_office(settings) as office:
        if accounts := await office.accounts.all():
            is_unused = len(accounts) == 1 and accounts[0].name == FIRST and accounts[0].must_change
            return LOST if is_unused else ""
        if not sys.stdout.isatty():
            return ADD_ONE
        password = await office.accounts.add_first(START)
        return f"as {FIRST} with the one-time password {password}" if password else ""


async def demo_way_in(settings: Settings) -> str:
    """A link with an account and a password of this run: the demo's orders are invented, and it is for looking."""
    if settings.sign_in == "off":
        return ""
    async with opened_office(settings) as office:
        password = await _password_of_demo(office.accounts)
    return f"{settings.dashboard_url}/sign-in?{urlencode({'name': DEMO, 'password': password})}"


async def _password_of_demo(accounts: Accounts) -> str:
    if DEMO not in {one.name for one in await accounts.all()}:
        await accounts.add(DEMO, Role.ADMIN, START)
    return await accounts.reset_password(DEMO, START, must_change=False)
