"""`/outbox`: the rows that the log will never take as they are, and sending them again, for operators."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler

from backoffice.instants import utc
from backoffice.sign_in.access import MOST_FORM_BYTES, needs
from backoffice.sign_in.gate import COMMERCE, Office
from backoffice.sign_in.roles import Role
from backoffice.whole_number import whole_number
from event_store.audit import Entry
from event_store.outbox import DeadRow, Outbox

from .forms import entry_of, fields, page, to
from .frame import WebRequest

SHOWN_ROWS = 200
"""Of the dead rows, and of those that were sent again."""
MOST_DIGITS = 18


class NotSentAgain(Exception):
    """What is to be sent again isn't what was shown. The message says what to do."""


def routes(outbox: Outbox, office: Office | None) -> Sequence[HTTPRouteHandler]:
    """Rows can be sent again where it is known who does: not with sign-in off."""

    async def shown(status_code: int = 200, trouble: str = "") -> Response[Any]:
        rows = sorted(await outbox.dead(), key=lambda row: -row.id)
        waiting = [row for row in rows if row.redriven_at_us is None]
        sent = [row for row in rows if row.redriven_at_us is not None]
        lists = {"rows": waiting[:SHOWN_ROWS], "waiting": len(waiting), "sent": sent[:SHOWN_ROWS]}
        context = {**lists, "trouble": trouble, "utc": utc, "may_send": office is not None}
        return page("outbox.html", "Dead rows of the outbox", "/outbox", status_code, context)

    @get("/outbox", include_in_schema=False, opt=needs(Role.VIEWER))
    async def show() -> Response[Any]:
        return await shown()

    @post("/outbox", include_in_schema=False, opt=needs(Role.OPERATOR), request_max_body_size=MOST_FORM_BYTES)
    async def send_again(request: WebRequest) -> Response[Any]:
        if office is None:
            return await shown(409, "Sign-in is off, so nobody could be named. Use: countinghouse outbox redrive")
        try:
            rows = _chosen(await fields(request), await outbox.dead())
        except NotSentAgain as error:
            return await shown(409, str(error))
        ids = [row.id for row in rows]
        await office.audits[COMMERCE].record(redriven(entry_of(request), ids))
        await outbox.redrive(ids)
        return to("/outbox")

    return [show, send_again]


def redriven(entry: Entry, ids: Sequence[int]) -> Entry:
    on = f"row {ids[0]}" if len(ids) == 1 else f"{len(ids)} rows"
    return replace(entry, what="outbox.redriven", on=on, after={"rows": list(ids[:SHOWN_ROWS])})


def _chosen(form: dict[str, str], dead: Sequence[DeadRow]) -> Sequence[DeadRow]:
    """One row, or all, where there are as many as the page showed. Raises NotSentAgain."""
    waiting = [row for row in dead if row.redriven_at_us is None]
    unreadable = NotSentAgain("The form names no row. Nothing was done.")
    if "row" not in form:
        count = whole_number(form.get("count", ""), MOST_DIGITS, unreadable)
        if count != len(waiting) or not waiting:
            raise NotSentAgain(f"{len(waiting)} rows wait to be sent again by now, not {count}. Nothing was done.")
        return waiting
    number = whole_number(form["row"], MOST_DIGITS, unreadable)
    found = [row for row in waiting if row.id == number]
    if not found:
        raise NotSentAgain(f"Row {number} does not wait to be sent again: perhaps somebody did it. Nothing was done.")
    return found
