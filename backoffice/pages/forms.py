"""What the pages with forms share: who sent it, its fields, and a page as the answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from litestar.response import Redirect, Template

from backoffice.problems import request_id
from backoffice.sign_in.access import Visitor
from backoffice.sign_in.account import SignedIn
from event_store.audit import Entry

from .frame import WebRequest
from .navigation import plain_frame


async def fields(request: WebRequest) -> dict[str, str]:
    form: Mapping[str, Any] = await request.form()
    return {name: value for name, value in form.items() if isinstance(value, str)}


def signed_in(request: WebRequest) -> SignedIn:
    """Of a route that is for people with an account."""
    visitor: Visitor = request.scope["user"]
    if visitor.signed_in is None:
        raise TypeError("the route is open to others than people with an account")
    return visitor.signed_in


def entry_of(request: WebRequest) -> Entry:
    """Who acts, for the audit; what, is the act's to say."""
    visitor: Visitor = request.scope["user"]
    return Entry(who=visitor.name, what="", request_id=request_id(request.scope))


def page(template: str, title: str, here: str, status_code: int, context: Mapping[str, Any]) -> Template:
    return Template(template_name=template, context={**plain_frame(title, here), **context}, status_code=status_code)


def to(path: str) -> Redirect:
    return Redirect(path, status_code=303)
