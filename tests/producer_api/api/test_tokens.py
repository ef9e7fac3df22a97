"""Where the commerce API wants to know who calls, it takes tokens, each for what its scope says."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from event_store.audit import Entry
from event_store.connect import open_shared
from event_store.tokens import COMMERCE_SCOPES, Scope, Tokens
from producer_api.app import create_app
from producer_api.connect import open_gate
from tests.servers.commerce import SqliteShop

from .counter import problem

TEST = Entry(who="a test", what="")
EVENTS = ("POST", "/v1/events")
CALLS = [
    ("GET", "/v1/products"),
    ("PUT", "/v1/products/x"),
    ("POST", "/v1/orders"),
    ("GET", "/v1/orders/x"),
    ("POST", "/v1/refunds"),
    EVENTS,
    ("GET", "/schema/openapi.json"),
]
PROBES = [("GET", "/livez"), ("GET", "/readyz"), ("GET", "/metrics")]


def url(folder: Path) -> str:
    return f"sqlite+aiosqlite:///{SqliteShop(folder).file}"


@asynccontextmanager
async def asking(folder: Path, *, wants_tokens: bool = True, open_probes: bool = False) -> AsyncIterator[Any]:
    shop = SqliteShop(folder)
    commerce = shop.commerce()
    await commerce.prepare()
    async with open_gate(url(folder), wants_tokens=wants_tokens, open_probes=open_probes) as gate:
        app: Any = create_app(commerce, gate=gate)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://shop") as client:
            yield client
    await commerce.close()


async def token(folder: Path, scope: Scope) -> dict[str, str]:
    transactions = open_shared(url(folder))
    (_, text) = await Tokens(transactions, COMMERCE_SCOPES).add("till", [scope], 1, TEST)
    await transactions.close()
    return {"Authorization": f"Bearer {text}"}


async def test_a_call_without_a_good_token_is_refused(tmp_path: Path) -> None:
    good = (await token(tmp_path, Scope.COMMERCE))["Authorization"]
    async with asking(tmp_path) as client:
        for method, path in [*CALLS, *PROBES]:
            for wrong in ({}, {"Authorization": good + "A"}, {"Authorization": good.replace("Bearer", "Basic")}):
                answer = await client.request(method, path, headers=wrong)
                problem(answer, 401, "unauthenticated")
                assert answer.headers["www-authenticate"] == "Bearer"
        assert (await client.get("/nowhere")).status_code == 404


@pytest.mark.parametrize("scope", [Scope.COMMERCE, Scope.EVENTS, Scope.METRICS])
async def test_a_token_opens_what_its_scope_is_for_and_nothing_else(tmp_path: Path, scope: Scope) -> None:
    headers = await token(tmp_path, scope)
    async with asking(tmp_path) as client:
        for call in [*CALLS, *PROBES]:
            may = {
                Scope.COMMERCE: call in CALLS,
                Scope.EVENTS: call == EVENTS,
                Scope.METRICS: call in PROBES,
            }[scope]
            answer = await client.request(*call, headers=headers)
            if may:
                assert answer.status_code not in (401, 403), call
            else:
                problem(answer, 403, "not-in-scope")


async def test_where_no_token_is_wanted_nobody_needs_one(tmp_path: Path) -> None:
    async with asking(tmp_path, wants_tokens=False, open_probes=True) as client:
        for method, path in [*CALLS, *PROBES]:
            assert (await client.request(method, path)).status_code not in (401, 403)
    async with asking(tmp_path, wants_tokens=True, open_probes=True) as client:
        assert (await client.get("/livez")).status_code == 200
        assert (await client.get("/v1/products")).status_code == 401
