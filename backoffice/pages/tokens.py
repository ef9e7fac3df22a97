"""`/tokens`: the tokens of programs, for admins."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from litestar import Response, get, post
from litestar.exceptions import NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from backoffice.instants import utc
from backoffice.sign_in.access import MOST_FORM_BYTES, needs
from backoffice.sign_in.gate import Office
from backoffice.sign_in.roles import Role
from backoffice.whole_number import whole_number
from event_store.tokens import COMMERCE_SCOPES, DASHBOARD_SCOPES, TokenRefused, Tokens

from .forms import entry_of, fields, page, to
from .frame import WebRequest

ADMINS = needs(Role.ADMIN)
DEFAULT_DAYS = 90
SCOPES = {"dashboard": sorted(DASHBOARD_SCOPES), "commerce": sorted(COMMERCE_SCOPES)}


def routes(office: Office, now_us: Callable[[], int]) -> Sequence[HTTPRouteHandler]:
    async def shown(status_code: int = 200, **told: str) -> Response[Any]:
        context = {"trouble": "", "text": "", "days": DEFAULT_DAYS, "scopes": SCOPES, "now_us": now_us(), "utc": utc}
        lists = {api: await tokens.all() for api, tokens in office.tokens.items()}
        return page("tokens.html", "Tokens", "/tokens", status_code, {**context, "lists": lists, **told})

    @get("/tokens", include_in_schema=False, opt=ADMINS)
    async def show() -> Response[Any]:
        return await shown()

    @post("/tokens/{api:str}", include_in_schema=False, opt=ADMINS, request_max_body_size=MOST_FORM_BYTES)
    async def add(request: WebRequest, api: FromPath[str]) -> Response[Any]:
        tokens = _of(office, api)
        form = await fields(request)
        scopes = [scope for scope in SCOPES[api] if scope in form]
        try:
            days = whole_number(form.get("days", ""), 5, TokenRefused("the days are a whole number"))
            (_, text) = await tokens.add(form.get("title", ""), scopes, days, entry_of(request))
        except TokenRefused as error:
            return await shown(422, trouble=str(error))
        return await shown(text=text)

    @post("/tokens/{api:str}/{id_:str}/revoke", include_in_schema=False, opt=ADMINS)
    async def revoke(request: WebRequest, api: FromPath[str], id_: FromPath[str]) -> Response[Any]:
        await _of(office, api).revoke(id_, entry_of(request))
        return to("/tokens")

    return [show, add, revoke]


def _of(office: Office, api: str) -> Tokens:
    if api not in office.tokens:
        raise NotFoundException
    return office.tokens[api]
