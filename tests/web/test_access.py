"""Every route says who may use it; the matrix of roles and routes; and what tokens open."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from litestar import Litestar, get
from litestar.routes import HTTPRoute

from backoffice.sign_in.access import ACCESS, Access
from backoffice.sign_in.roles import Role
from backoffice.sign_in.site import Site
from event_store.errors import StorageUnavailable
from event_store.tokens import DAY_US, KNOWN_S, Scope
from tests.web.shop import Shop
from tests.web.visitors import NO_SIGN_IN, TEST

EVERYBODY = None
ROLES = [EVERYBODY, *Role]

MATRIX: Mapping[str, Role | None] = {
    "GET /": Role.VIEWER,
    "GET /products": Role.VIEWER,
    "GET /product": Role.VIEWER,
    "GET /pipeline": Role.VIEWER,
    "POST /pipeline": Role.OPERATOR,
    "POST /api/pause": Role.OPERATOR,
    "POST /api/resume": Role.OPERATOR,
    "GET /outbox": Role.VIEWER,
    "POST /outbox": Role.OPERATOR,
    "GET /behind": Role.VIEWER,
    "GET /events": Role.VIEWER,
    "GET /record": Role.VIEWER,
    "GET /dead-letters": Role.VIEWER,
    "GET /dead-letter": Role.VIEWER,
    "POST /dead-letters/discard": Role.OPERATOR,
    "POST /dead-letter/discard": Role.OPERATOR,
    "POST /dead-letter/preview": Role.OPERATOR,
    "POST /dead-letter/redrive": Role.OPERATOR,
    "POST /dead-letter/send": Role.OPERATOR,
    "GET /api/dead-letters": Role.VIEWER,
    "GET /api/explain": Role.VIEWER,
    "GET /api/events": Role.VIEWER,
    "GET /api/record": Role.VIEWER,
    "GET /live": Role.VIEWER,
    "GET /api/figures": Role.VIEWER,
    "GET /api/status": Role.VIEWER,
    "GET /api/status/trend": Role.VIEWER,
    "GET /rebuild": Role.VIEWER,
    "POST /rebuild": Role.OPERATOR,
    "GET /api/rebuild": Role.VIEWER,
    "GET /saved-views": Role.VIEWER,
    "POST /saved-views": Role.ANALYST,
    "POST /saved-views/remove": Role.ANALYST,
    "GET /api/saved-views": Role.VIEWER,
    "GET /api": Role.VIEWER,
    "GET /schema": Role.VIEWER,
    "GET /schema/openapi.json": Role.VIEWER,
    "GET /schema/{path:str}": Role.VIEWER,
    "GET /figures.csv": Role.ANALYST,
    "GET /figures.parquet": Role.ANALYST,
    "GET /figures.xlsx": Role.ANALYST,
    "GET /audit": Role.OPERATOR,
    "GET /api/audit": Role.OPERATOR,
    "GET /users": Role.ADMIN,
    "POST /users": Role.ADMIN,
    "POST /users/{name:str}/{act:str}": Role.ADMIN,
    "GET /tokens": Role.ADMIN,
    "POST /tokens/{api:str}": Role.ADMIN,
    "POST /tokens/{api:str}/{id_:str}/revoke": Role.ADMIN,
    "GET /account": Role.VIEWER,
    "POST /account/password": Role.VIEWER,
    "POST /account/sessions": Role.VIEWER,
    "GET /sign-in": EVERYBODY,
    "POST /sign-in": EVERYBODY,
    "POST /sign-out": EVERYBODY,
    "GET /static/{file_path:path}": EVERYBODY,
    "GET /livez": EVERYBODY,
    "GET /readyz": EVERYBODY,
    "GET /metrics": EVERYBODY,
}
"""The least role that each route is for. A new route is a line here."""


def routes(app: Litestar) -> Iterator[tuple[str, Access | None]]:
    for route in app.routes:
        assert isinstance(route, HTTPRoute), "a route of another kind needs a rule of its own"
        for handler in route.route_handlers:
            for method in sorted(handler.http_methods - {"OPTIONS", "HEAD"}):
                yield f"{method} {route.path}", handler.opt.get(ACCESS)


async def test_every_route_declares_who_may_use_it_and_is_in_the_matrix(shop: Shop) -> None:
    found = dict(routes(shop.dashboard()))
    assert [name for name, access in found.items() if not isinstance(access, Access)] == []
    assert {name: access.role for name, access in found.items() if access and not access.is_probe} == {
        name: role for name, role in MATRIX.items() if not name.endswith(("z", "/metrics"))
    }
    assert found.keys() == MATRIX.keys()


async def test_a_route_that_declares_nothing_is_refused_to_everybody(shop: Shop) -> None:
    @get("/forgotten")
    async def forgotten() -> str:
        return "secret"

    for gate in (shop.visitors.gate, NO_SIGN_IN):
        async with shop.browser(gate=gate) as client:
            app: Any = client._transport.app  # type: ignore[attr-defined]
            app.register(forgotten)
            assert "GET /forgotten" in dict(routes(app))
            answer = await client.get("/forgotten")
        assert answer.status_code == 403
        assert "secret" not in answer.text


def path_of(name: str) -> str:
    """One of the route's paths, which leads to nothing that there is."""
    path = name.partition(" ")[2]
    for part, value in (
        ("{name:str}", "x"),
        ("{act:str}", "x"),
        ("{api:str}", "dashboard"),
        ("{id_:str}", "x"),
        ("{path:str}", "x"),
    ):
        path = path.replace(part, value)
    return path.replace("{file_path:path}", "favicon.svg")


@pytest.mark.parametrize("role", ROLES, ids=str)
async def test_the_matrix_of_roles_and_routes(shop: Shop, role: Role | None) -> None:
    shop.visitors.clock = shop.clock
    wrong = []
    for name, needed in MATRIX.items():
        (method, _, _) = name.partition(" ")
        if name in ("GET /live", "POST /sign-out"):  # One has no end, the other ends the session.
            continue
        async with shop.browser(role=role) as client:
            data = {"form_token": shop.visitors.form_token(client)} if role and method == "POST" else {}
            answer = await client.request(method, path_of(name), data=data)
        may = needed is EVERYBODY or (role is not EVERYBODY and role.may(needed))
        is_refused = answer.status_code in (401, 403) or answer.headers.get("location", "").startswith("/sign-in")
        if is_refused == may and name != "POST /sign-in":
            wrong.append((name, answer.status_code))
    assert wrong == []


async def test_what_others_may_not_is_not_offered_to_them(shop: Shop) -> None:
    pages = {"/audit": Role.OPERATOR, "/users": Role.ADMIN, "/tokens": Role.ADMIN}
    for role in Role:
        async with shop.browser(role=role) as client:
            text = (await client.get("/")).text
        for path, needed in pages.items():
            assert (f'href="{path}"' in text) == role.may(needed)


SCOPED = {
    "/api/figures": Scope.FIGURES,
    "/figures.csv": Scope.FIGURES,
    "/api/explain?metric=views": Scope.FIGURES,
    "/api/events": Scope.LOG,
    "/api/dead-letters": Scope.LOG,
    "/api/record?topic=order-events&partition=0&offset=0": Scope.LOG,
    "/schema/openapi.json": Scope.FIGURES,
    "/api/status": Scope.STATUS,
    "/api/rebuild": Scope.STATUS,
    "/api/status/trend": Scope.STATUS,
    "/api/saved-views": Scope.FIGURES,
    "/api/audit": Scope.AUDIT,
}


async def token(shop: Shop, *scopes: Scope, api: str = "dashboard", days: int = 30) -> dict[str, str]:
    (_, text) = await shop.visitors.office.tokens[api].add("a program", scopes, days, TEST)
    return {"Authorization": f"Bearer {text}"}


@pytest.mark.parametrize("scope", [Scope.FIGURES, Scope.STATUS, Scope.LOG, Scope.METRICS, Scope.AUDIT])
async def test_a_token_opens_what_its_scope_is_for_and_nothing_else(shop: Shop, scope: Scope) -> None:
    headers = await token(shop, scope)
    async with shop.browser(role=None) as client:
        for path, needed in SCOPED.items():
            answer = await client.get(path, headers=headers)
            # (400: that record is not there.)
            assert (answer.status_code in (200, 400)) == (scope is needed), path
            assert scope is needed or answer.status_code == 403, path
        for path in ("/", "/products", "/users", "/audit", "/account", "/live"):
            assert (await client.get(path, headers=headers)).status_code == 403
        assert (await client.post("/users", headers=headers)).status_code == 403


async def test_a_token_that_is_not_good_opens_nothing_though_a_session_is_there(shop: Shop) -> None:
    headers = await token(shop, Scope.STATUS)
    good = headers["Authorization"]
    commerce = (await token(shop, Scope.COMMERCE, api="commerce"))["Authorization"]
    async with shop.browser() as client:
        for wrong in (good[:-1], f"{good}A", good.replace("Bearer", "Basic"), "Bearer", "Bearer ", commerce, "x"):
            answer = await client.get("/api/status", headers={"Authorization": wrong})
            assert answer.status_code == 401, wrong
            assert "invalid_token" in answer.headers["www-authenticate"]
        assert (await client.get("/api/status", headers=headers)).status_code == 200


async def test_a_token_that_expired_or_was_revoked_opens_nothing(shop: Shop) -> None:
    (tokens, audits) = (shop.visitors.office.tokens["dashboard"], shop.visitors.office.audits["backoffice"])
    headers = await token(shop, Scope.STATUS, days=1)
    async with shop.browser(role=None) as client:
        assert (await client.get("/api/status", headers=headers)).status_code == 200
        shop.clock.passes(DAY_US / 1e6)
        assert (await client.get("/api/status", headers=headers)).status_code == 401
        headers = await token(shop, Scope.STATUS)
        assert (await client.get("/api/status", headers=headers)).status_code == 200
        (newest, *_) = await tokens.all()
        await tokens.revoke(newest.id, TEST)
        shop.clock.passes(KNOWN_S)
        assert (await client.get("/api/status", headers=headers)).status_code == 401
    assert (await audits.older(most=1))[0].what == "token.revoked"


async def test_an_admin_makes_a_token_that_is_shown_once_and_revokes_it(shop: Shop) -> None:
    async with shop.browser() as client, shop.browser(role=None) as program:
        made = await shop.visitors.sends(
            client, "/tokens/dashboard", title="<b>till</b>", days="7", **{"status:read": "on"}
        )
        text = made.text.partition("shown this once: <code>")[2].partition("<")[0]
        assert "&lt;b&gt;till&lt;/b&gt;" in made.text
        assert text not in (await client.get("/tokens")).text
        headers = {"Authorization": f"Bearer {text}"}
        assert (await program.get("/api/status", headers=headers)).status_code == 200
        number = text.split("_")[1]
        assert (await shop.visitors.sends(client, f"/tokens/dashboard/{number}/revoke")).status_code == 303
        assert (await program.get("/api/status", headers=headers)).status_code == 401
        for path, fields in (
            ("/tokens/dashboard", {"title": "till", "days": "7"}),
            ("/tokens/dashboard", {"title": "till", "days": "x", "status:read": "on"}),
            ("/tokens/dashboard", {"title": "till", "days": "0", "status:read": "on"}),
        ):
            assert (await shop.visitors.sends(client, path, **fields)).status_code == 422
        assert (await shop.visitors.sends(client, "/tokens/nowhere", title="x", days="1")).status_code == 404


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics"])
async def test_probes_are_open_on_this_machine_and_want_a_token_elsewhere(shop: Shop, path: str) -> None:
    async with shop.browser(role=None) as client:
        assert (await client.get(path)).status_code == 200
    shop.visitors.site = Site(is_local=False, open_probes=False)
    headers = await token(shop, Scope.METRICS)
    async with shop.browser(role=None) as client:
        assert (await client.get(path)).status_code == 401
        assert (await client.get(path, headers=await token(shop, Scope.STATUS))).status_code == 403
        assert (await client.get(path, headers=headers)).status_code == 200
    async with shop.browser(role=Role.VIEWER) as client:
        assert (await client.get(path)).status_code == 200


async def test_options_tell_the_methods_and_nothing_else(shop: Shop) -> None:
    async with shop.browser(role=None) as client:
        answer = await client.options("/users")
    assert (answer.status_code, answer.text) == (204, "")


async def test_probes_and_what_pages_are_made_of_are_answered_while_the_database_of_accounts_is_away(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> None:
        raise StorageUnavailable("away")

    async with shop.browser() as client:
        monkeypatch.setattr(shop.visitors.transactions, "read", away)
        for path in ("/static/favicon.svg", "/livez", "/readyz", "/metrics"):
            assert (await client.get(path)).status_code == 200
        answer = await client.get("/")
    assert answer.status_code == 503
    assert "Nothing is lost; ask again in a moment." in answer.text


async def test_a_page_is_read_while_nothing_can_be_written(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    async def busy(*_: object) -> None:
        raise StorageUnavailable("busy")

    headers = await token(shop, Scope.STATUS)
    async with shop.browser() as client, shop.browser(role=None) as program:
        transactions = shop.visitors.transactions
        monkeypatch.setattr(transactions, "read", transactions.write)  # Which in memory is the same.
        monkeypatch.setattr(transactions, "write", busy)
        shop.clock.passes(600)
        assert (await client.get("/")).status_code == 200
        assert (await program.get("/api/status", headers=headers)).status_code == 200
