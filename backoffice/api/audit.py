"""`/api/audit`: who did what, as it is chained."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from litestar import get
from litestar.handlers import HTTPRouteHandler
from litestar.params import QueryParameter
from msgspec import Meta, Struct

from backoffice.audit_asked import audit_named, row_named
from backoffice.instants import instant
from backoffice.problems import RESPONSES
from backoffice.sign_in.access import needs
from backoffice.sign_in.desk import BACKOFFICE
from backoffice.sign_in.gate import COMMERCE, Office
from backoffice.sign_in.roles import Role
from event_store.audit import Recorded
from event_store.tokens import Scope


class AuditRow(Struct, frozen=True):
    number: Annotated[int, Meta(description="from 1, without gaps")]
    at: datetime
    who: str
    what: str
    on: str
    before: Annotated[str, Meta(description="JSON; empty where there is nothing")]
    after: Annotated[str, Meta(description="JSON; empty where there is nothing")]
    reason: str
    request_id: str
    hash: Annotated[str, Meta(description="of this row and the hash before it, in hexadecimal digits")]


class AuditAnswer(Struct, frozen=True):
    rows: Annotated[list[AuditRow], Meta(description="the newest first")]
    next: Annotated[str | None, Meta(description="give it as `before` for older ones; null: there are none")]


Of = Annotated[str, QueryParameter(description="the database whose audit it is", enum=[BACKOFFICE, COMMERCE])]
Before = Annotated[str, QueryParameter(description="`next` of the answer before")]
Most = Annotated[int, QueryParameter(ge=1, le=1000, description="rows in one answer")]


def route(office: Office) -> HTTPRouteHandler:
    @get(
        "/api/audit",
        opt=needs(Role.OPERATOR, Scope.AUDIT),
        responses=RESPONSES,
        summary="Who did what",
        operation_id="audit",
        tags=["people"],
    )
    async def answer(of: Of = BACKOFFICE, before: Before = "", most: Most = 100) -> AuditAnswer:
        found = list(await audit_named(office.audits, of).older(row_named(before), most + 1))
        onward = str(found[most - 1].number) if len(found) > most else None
        return AuditAnswer([_shown(one) for one in found[:most]], onward)

    return answer


def _shown(one: Recorded) -> AuditRow:
    return AuditRow(
        one.number,
        instant(one.at_us),
        one.who,
        one.what,
        one.on,
        one.before,
        one.after,
        one.reason,
        one.request_id,
        one.hash.hex(),
    )
