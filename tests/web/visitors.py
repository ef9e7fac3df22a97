"""People who visit a dashboard under test, and the office behind its gate, in memory and by the shop's clock."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from html import unescape

import httpx
from argon2 import PasswordHasher

from backoffice.saved_views import SavedViews
from backoffice.sign_in.account import Caller, form_token
from backoffice.sign_in.accounts import Accounts
from backoffice.sign_in.argon2_passwords import Passwords
from backoffice.sign_in.connect import memory_office
from backoffice.sign_in.gate import COMMERCE, DASHBOARD, Gate, Office
from backoffice.sign_in.roles import Role
from backoffice.sign_in.sign_in import SignIn
from backoffice.sign_in.site import Site
from event_store.audit import Audit, Entry
from event_store.steps import Transactions
from event_store.tokens import COMMERCE_SCOPES, DASHBOARD_SCOPES, Tokens

TEST = Entry(who="a test", what="")
PASSWORDS = Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
"""Of the least cost, and its threads begin at the first use."""
NO_SIGN_IN = Gate(None, Site())
"""For tests that are about something else: a page is the same for everybody then, and needs no cookie."""
OWN = "a password of one's own"
"""What everybody's password is here."""


@dataclass(slots=True)
class Visitors:
    """The accounts of one shop."""

    clock: Callable[[], int]
    site: Site = field(default_factory=Site)
    transactions: Transactions = field(default_factory=memory_office)
    commerce: Transactions = field(default_factory=memory_office)
    office: Office = field(init=False)

    def __post_init__(self) -> None:
        (here, there) = (self.transactions, self.commerce)
        self.office = Office(
            SignIn(here, PASSWORDS, clock=self.clock),
            Accounts(here, PASSWORDS, self.clock),
            {
                DASHBOARD: Tokens(here, DASHBOARD_SCOPES, self.clock),
                COMMERCE: Tokens(there, COMMERCE_SCOPES, self.clock),
            },
            {"backoffice": Audit(here, self.clock), "commerce": Audit(there, self.clock)},
            SavedViews(here, self.clock),
        )

    @property
    def gate(self) -> Gate:
        return Gate(self.office, self.site)

    async def joins(self, name: str, role: Role) -> None:
        """An account whose owner has chosen a password already: `OWN`."""
        given = await self.office.accounts.add(name, role, TEST)
        who = await self.office.sign_in.sign_in(name, given, Caller(""))
        await self.office.sign_in.change_password(who, given, OWN, Caller(""))

    async def enters(self, client: httpx.AsyncClient, role: Role = Role.ADMIN) -> None:
        """Signs in a client without the page for it, with an account of that role, made at the first time."""
        if role not in {one.name for one in await self.office.accounts.all()}:
            await self.joins(role, role)
        who = await self.office.sign_in.sign_in(role, OWN, Caller("test"))
        client.cookies.set(self.site.cookie_name, who.text, domain="localhost.local")

    def form_token(self, client: httpx.AsyncClient) -> str:
        return form_token(client.cookies[self.site.cookie_name])

    async def sends(self, client: httpx.AsyncClient, path: str, **fields: str) -> httpx.Response:
        """A form of a signed-in page."""
        return await client.post(path, data={"form_token": self.form_token(client), **fields})


async def sign_in(client: httpx.AsyncClient, name: str, password: str = OWN, place: str = "") -> httpx.Response:
    """By the page, as a person does it."""
    page = await client.get("/sign-in", params={"next": place} if place else None)
    fields = {
        field: unescape(value) for field, value in re.findall(r'name="(form_token|next)" value="([^"]*)"', page.text)
    }
    return await client.post("/sign-in", data={**fields, "name": name, "password": password})
