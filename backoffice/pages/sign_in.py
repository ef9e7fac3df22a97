"""`/sign-in`: the one page that is everybody's."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from typing import Any

from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.response import Template

from backoffice.problems import sentence
from backoffice.sign_in.access import MOST_FORM_BYTES, open_to_all
from backoffice.sign_in.account import AccountChanged, SignedIn, form_token
from backoffice.sign_in.argon2_passwords import TooBusy
from backoffice.sign_in.gate import Gate, Office
from backoffice.sign_in.sign_in import NotSignedIn, TooManyTries

from .forms import fields, page, signed_in, to
from .frame import WebRequest

_OWN_PLACE = re.compile(r"/(?![/\\])[^\x00-\x1f\\]*")


def routes(gate: Gate, office: Office) -> Sequence[HTTPRouteHandler]:
    site = gate.site

    @get("/sign-in", include_in_schema=False, opt=open_to_all())
    async def show(request: WebRequest) -> Response[Any]:
        query = request.query_params
        if request.scope["user"] is not None:
            return to(own_place(query.get("next", "")))
        (name, password) = (query.get("name", "")[:64], query.get("password", "")[:64])
        return _form(request, gate, query.get("next", ""), name=name, password=password)

    @post("/sign-in", include_in_schema=False, opt=open_to_all(), request_max_body_size=MOST_FORM_BYTES)
    async def enter(request: WebRequest) -> Response[Any]:
        form = await fields(request)
        (name, place) = (form.get("name", ""), form.get("next", ""))
        before = request.cookies.get(site.cookie_name)
        try:
            who = await office.sign_in.sign_in(name, form.get("password", ""), site.caller(request), before)
        except NotSignedIn as error:
            return _form(request, gate, place, name=name, trouble=str(error), status_code=401)
        except AccountChanged as error:
            return _form(request, gate, place, name=name, trouble=sentence(error), status_code=409)
        except TooBusy as error:
            return _form(request, gate, place, name=name, trouble=sentence(error), status_code=503)
        except TooManyTries as error:
            answer = _form(request, gate, place, name=name, trouble=sentence(error), status_code=429)
            answer.headers["Retry-After"] = str(round(error.wait_s))
            return answer
        return with_session(gate, who, "/account" if who.account.must_change else own_place(place))

    @post("/sign-out", include_in_schema=False, opt=open_to_all(), request_max_body_size=MOST_FORM_BYTES)
    async def leave(request: WebRequest) -> Response[Any]:
        if request.scope["user"] is not None:
            await office.sign_in.sign_out(signed_in(request), site.caller(request))
        answer: Response[Any] = to("/sign-in")
        answer.cookies.append(site.no_cookie(site.cookie_name))
        return answer

    return [show, enter, leave]


def with_session(gate: Gate, who: SignedIn, place: str) -> Response[Any]:
    answer: Response[Any] = to(place)
    answer.cookies.append(gate.site.cookie(gate.site.cookie_name, who.text))
    answer.cookies.append(gate.site.no_cookie(gate.site.form_cookie_name))
    return answer


def own_place(path: str) -> str:
    """A page of ours, whatever a link says: nobody is led away by signing in."""
    return path if _OWN_PLACE.fullmatch(path) and not path.startswith("/sign-") else "/"


def _form(
    request: WebRequest,
    gate: Gate,
    place: str,
    *,
    name: str,
    password: str = "",
    trouble: str = "",
    status_code: int = 200,
) -> Template:
    """With a token that is bound to a cookie, since there is no session yet."""
    text = request.cookies.get(gate.site.form_cookie_name) or secrets.token_urlsafe(32)
    shown = {"name": name, "password": password, "trouble": trouble, "next": own_place(place)}
    context = {**shown, "form_token": form_token(text)}
    answer = page("sign_in.html", "Sign in", "/sign-in", status_code, context)
    answer.cookies.append(gate.site.cookie(gate.site.form_cookie_name, text))
    return answer
