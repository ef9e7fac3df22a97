"""`/users`: the accounts, for admins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from backoffice.instants import utc
from backoffice.sign_in.access import MOST_FORM_BYTES, needs
from backoffice.sign_in.account import AccountRefused
from backoffice.sign_in.argon2_passwords import TooBusy
from backoffice.sign_in.gate import Office
from backoffice.sign_in.roles import Role, UnknownRole, role_named

from .forms import entry_of, fields, page, to
from .frame import WebRequest

ADMINS = needs(Role.ADMIN)
REFUSED = (AccountRefused, UnknownRole, TooBusy)


def routes(office: Office) -> Sequence[HTTPRouteHandler]:
    async def shown(status_code: int = 200, **told: str) -> Response[Any]:
        context = {"trouble": "", "password": "", "of": "", **told}
        known = {"accounts": await office.accounts.all(), "roles": list(Role), "utc": utc}
        return page("users.html", "Users", "/users", status_code, {**known, **context})

    @get("/users", include_in_schema=False, opt=ADMINS)
    async def show() -> Response[Any]:
        return await shown()

    @post("/users", include_in_schema=False, opt=ADMINS, request_max_body_size=MOST_FORM_BYTES)
    async def add(request: WebRequest) -> Response[Any]:
        form = await fields(request)
        name = form.get("name", "")
        try:
            password = await office.accounts.add(name, role_named(form.get("role", "")), entry_of(request))
        except REFUSED as error:
            return await shown(422, trouble=str(error))
        return await shown(password=password, of=name.strip().lower())

    @post("/users/{name:str}/{act:str}", include_in_schema=False, opt=ADMINS, request_max_body_size=MOST_FORM_BYTES)
    async def change(request: WebRequest, name: FromPath[str], act: FromPath[str]) -> Response[Any]:
        try:
            password = await _acted(office, name, act, await fields(request), request)
        except REFUSED as error:
            return await shown(422, trouble=str(error))
        return await shown(password=password, of=name) if password else to("/users")

    return [show, add, change]


async def _acted(office: Office, name: str, act: str, form: dict[str, str], request: WebRequest) -> str:
    """The one-time password, where one was made."""
    (accounts, entry) = (office.accounts, entry_of(request))
    if act == "role":
        await accounts.give_role(name, role_named(form.get("role", "")), entry)
    elif act == "password":
        return await accounts.reset_password(name, entry)
    elif act == "disable":
        await accounts.disable(name, entry)
    elif act == "enable":
        await accounts.enable(name, entry)
    else:
        raise AccountRefused(f"no act {act[:32]!r}; there are role, password, disable, enable")
    return ""
