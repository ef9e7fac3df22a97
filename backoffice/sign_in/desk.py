"""Opens what stands behind the gate, from the settings."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from backoffice.saved_views import SavedViews
from backoffice.settings import Settings
from event_store.audit import Audit
from event_store.connect import open_shared
from event_store.this_machine import is_this_machine
from event_store.tokens import COMMERCE_SCOPES, DASHBOARD_SCOPES, Tokens

from .accounts import Accounts
from .argon2_passwords import Passwords
from .connect import open_office
from .gate import COMMERCE, DASHBOARD, Gate, Office
from .sign_in import SessionLimits, SignIn
from .site import Site

BACKOFFICE = "backoffice"


@asynccontextmanager
async def opened_office(settings: Settings) -> AsyncIterator[Office]:
    passwords = Passwords()
    backoffice = open_office(settings.backoffice_db_url)
    commerce = open_shared(settings.commerce_db_url)
    limits = SessionLimits(settings.session_idle_minutes * 60, settings.session_hours * 3600)
    try:
        yield Office(
            SignIn(backoffice, passwords, limits=limits),
            Accounts(backoffice, passwords),
            {DASHBOARD: Tokens(backoffice, DASHBOARD_SCOPES), COMMERCE: Tokens(commerce, COMMERCE_SCOPES)},
            {BACKOFFICE: Audit(backoffice), COMMERCE: Audit(commerce)},
            SavedViews(backoffice),
        )
    finally:
        passwords.close()
        await backoffice.close()
        await commerce.close()


@asynccontextmanager
async def opened_audit(db_url: str) -> AsyncIterator[Audit]:
    """That of one of the two databases."""
    transactions = open_shared(db_url)
    try:
        yield Audit(transactions)
    finally:
        await transactions.close()


def gate_of(settings: Settings, office: Office) -> Gate:
    site = Site(
        settings.public_url,
        settings.dashboard_port,
        is_this_machine(settings.dashboard_host),
        probes_are_open(settings, settings.dashboard_host),
    )
    return Gate(office if settings.sign_in == "on" else None, site)


def probes_are_open(settings: Settings, host: str) -> bool:
    """Of what listens on `host`."""
    return is_this_machine(host) if settings.open_probes == "auto" else settings.open_probes == "on"


def api_wants_tokens(settings: Settings) -> bool:
    if settings.api_tokens == "auto":
        return not is_this_machine(settings.api_host)
    return settings.api_tokens == "required"
