"""`/account`: one's own password and sessions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler

from backoffice.instants import utc
from backoffice.sign_in.access import MOST_FORM_BYTES, needs
from backoffice.sign_in.account import AccountRefused
from backoffice.sign_in.argon2_passwords import TooBusy
from backoffice.sign_in.gate import Gate, Office
from backoffice.sign_in.roles import Role
from backoffice.sign_in.sign_in import NotSignedIn, TooManyTries

from .forms import fields, page, signed_in, to
from .frame import WebRequest
from .sign_in import with_session

OWN = needs(Role.VIEWER, with_given_password=True)


def routes(gate: Gate, office: Office) -> Sequence[HTTPRouteHandler]:
    async def shown(request: WebRequest, trouble: str = "", status_code: int = 200) -> Response[Any]:
        who = signed_in(request)
        sessions = [(one.id == who.session.id, one) for one in await office.sign_in.sessions(who)]
        context = {"who": who, "sessions": sessions, "trouble": trouble, "utc": utc}
        return page("account.html", "My account", "/account", status_code, context)

    @get("/account", include_in_schema=False, opt=OWN)
    async def show(request: WebRequest) -> Response[Any]:
        return await shown(request)

    @post("/account/password", include_in_schema=False, opt=OWN, request_max_body_size=MOST_FORM_BYTES)
    async def change(request: WebRequest) -> Response[Any]:
        form = await fields(request)
        if form.get("new", "") != form.get("again", ""):
            return await shown(request, "The new password isn't the same both times.", 422)
        (who, caller) = (signed_in(request), gate.site.caller(request))
        try:
            new = await office.sign_in.change_password(who, form.get("current", ""), form.get("new", ""), caller)
        except (AccountRefused, NotSignedIn, TooManyTries, TooBusy) as error:
            return await shown(request, str(error), 422)
        return with_session(gate, new, "/" if who.account.must_change else "/account")

    @post("/account/sessions", include_in_schema=False, opt=OWN, request_max_body_size=MOST_FORM_BYTES)
    async def end_others(request: WebRequest) -> Response[Any]:
        await office.sign_in.sign_out_others(signed_in(request), gate.site.caller(request))
        return to("/account")

    return [show, change, end_others]
