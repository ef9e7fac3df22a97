"""`/audit`: who did what, newest first, for operators."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

from litestar import Response, get
from litestar.handlers import HTTPRouteHandler

from backoffice.audit_asked import audit_named, row_named
from backoffice.instants import utc
from backoffice.sign_in.access import needs
from backoffice.sign_in.desk import BACKOFFICE
from backoffice.sign_in.gate import Office
from backoffice.sign_in.roles import Role

from .forms import page
from .frame import WebRequest

ROWS_A_PAGE = 50


def route(office: Office) -> HTTPRouteHandler:
    @get("/audit", include_in_schema=False, opt=needs(Role.OPERATOR))
    async def show(request: WebRequest) -> Response[Any]:
        of = request.query_params.get("of", BACKOFFICE)
        audit = audit_named(office.audits, of)
        before = row_named(request.query_params.get("before", ""))
        rows = list(await audit.older(before, ROWS_A_PAGE + 1))
        more = rows[ROWS_A_PAGE:]
        shown = rows[:ROWS_A_PAGE]
        later = f"?{urlencode({'of': of, 'before': shown[-1].number})}" if more else None
        context = {"rows": shown, "later": later, "is_first": before is None, "of": of, "audits": list(office.audits)}
        return page("audit.html", "Audit", "/audit", 200, {**context, "utc": utc, "facts": facts_of})

    return show


def facts_of(told: str) -> list[tuple[str, str]]:
    """What a row says of how it was before or after, name by name; text that has no names as it stands."""
    try:
        facts = json.loads(told or "{}")
    except ValueError:
        facts = told
    if not isinstance(facts, dict):
        return [("", told)]
    return [
        (name.replace("_", " "), value if isinstance(value, str) else json.dumps(value))
        for name, value in facts.items()
    ]
