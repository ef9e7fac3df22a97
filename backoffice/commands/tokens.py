"""`countinghouse tokens`: what programs show who they are by."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from backoffice.failures import CommandFailed
from backoffice.instants import utc
from backoffice.sign_in.gate import COMMERCE, DASHBOARD, Office
from event_store.audit import Entry, now_us
from event_store.tokens import COMMERCE_SCOPES, DASHBOARD_SCOPES, Token, TokenRefused


async def made(office: Office, title: str, scopes: Sequence[str], api: str, days: int, entry: Entry) -> str:
    """The token's text. Its scopes say which API it is for, unless both have them."""
    (_, text) = await office.tokens[_api(scopes, api)].add(title, scopes, days, entry)
    return text


def _api(scopes: Sequence[str], api: str) -> str:
    if api and api not in (DASHBOARD, COMMERCE):
        raise TokenRefused(f"no API {api[:32]!r}; there are {DASHBOARD}, {COMMERCE}")
    return api or (COMMERCE if set(scopes) & (COMMERCE_SCOPES - DASHBOARD_SCOPES) else DASHBOARD)


async def listed(office: Office) -> Sequence[tuple[str, Token]]:
    return [(api, one) for api, tokens in office.tokens.items() for one in await tokens.all()]


async def revoked(office: Office, token: str, entry: Entry) -> None:
    for tokens in office.tokens.values():
        if await tokens.revoke(token, entry):
            return
    raise CommandFailed(f"{token} is no token that is good: `countinghouse tokens list` shows them.", 2)


def tokens_table(tokens: Sequence[tuple[str, Token]]) -> Table:
    table = Table("begins with", "for", "of", "may", "good until", "last used", "state")
    for api, one in tokens:
        (until, used) = (utc(one.expires_at_us), utc(one.used_at_us) or "never")
        may = ", ".join(sorted(one.scopes))
        table.add_row(one.shown, Text(one.title), api, may, until, used, one.state(now_us()))
    return table
