"""`/rebuild`: the figures from offset zero again, started, watched, cancelled and rolled back by operators."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler

from backoffice.instants import utc_of
from backoffice.pause_desk import BadPause, PauseDesk
from backoffice.pipeline import Pipeline
from backoffice.problems import sentence
from backoffice.reason import MOST_REASON
from backoffice.rebuild_order import LONGEST_NOTE, MOST_RECORDS_PER_S, Order
from backoffice.rebuild_status import rebuild_status
from backoffice.rebuilds import NothingRuns, NotStarted, Rebuilds
from backoffice.sign_in.access import MOST_FORM_BYTES, needs
from backoffice.sign_in.roles import Role
from backoffice.whole_number import whole_number
from event_store.audit import Entry
from event_store.pauses import Part, PauseRefused
from projections.rebuild_lease import RebuildRunning

from .forms import entry_of, fields, page, to
from .frame import WebRequest

Form = Mapping[str, str]


class BadOrder(ValueError):
    """A form that can't be carried out as it stands."""


def routes(rebuilds: Rebuilds, pipeline: Pipeline) -> Sequence[HTTPRouteHandler]:
    desk = PauseDesk(pipeline.pauses)

    async def shown(status_code: int = 200, trouble: str = "", form: Form | None = None) -> Response[Any]:
        status = await rebuild_status(pipeline, rebuilds)
        is_refused = not rebuilds.running and rebuilds.last is not None and rebuilds.last.is_refused
        context = {
            "status": status,
            "stamp": status.completeness,
            "refused": rebuilds.last.order if rebuilds.last and is_refused else None,
            "trouble": trouble,
            "form": form or {},
            "longest": LONGEST_NOTE,
            "longest_why": MOST_REASON,
            "fastest": MOST_RECORDS_PER_S,
            "when": utc_of,
            "lasting": _lasting,
        }
        return page("rebuild.html", "Rebuild", "/rebuild", status_code, context)

    @get("/rebuild", include_in_schema=False, opt=needs(Role.VIEWER))
    async def show() -> Response[Any]:
        return await shown()

    @post("/rebuild", include_in_schema=False, opt=needs(Role.OPERATOR), request_max_body_size=MOST_FORM_BYTES)
    async def act(request: WebRequest) -> Response[Any]:
        form = await fields(request)
        try:
            await _acted(rebuilds, desk, form, entry_of(request))
        except (BadOrder, BadPause) as error:
            return await shown(422, sentence(error), form)
        except (RebuildRunning, NothingRuns, NotStarted, PauseRefused) as error:
            return await shown(409, sentence(error), form)
        return to("/rebuild")

    return [show, act]


async def _acted(rebuilds: Rebuilds, desk: PauseDesk, form: Form, entry: Entry) -> None:
    """Raises BadOrder, BadPause, RebuildRunning, NothingRuns, NotStarted and PauseRefused."""
    if form.get("act") == "cancel":
        await rebuilds.cancel(entry)
        return
    if form.get("act") == "pause":
        await desk.pause(Part.REBUILD, form.get("why", ""), entry)
        return
    if form.get("act") == "resume":
        await desk.resume(Part.REBUILD, entry)
        return
    order = _ORDERS.get(form.get("act", ""))
    if order is None:
        raise BadOrder(f"no act {form.get('act', '')[:32]!r}; there are {', '.join(_ORDERS)}, pause, resume, cancel")
    await rebuilds.start(order(rebuilds, form, entry))


def _rebuild(_: Rebuilds, form: Form, entry: Entry) -> Order:
    return Order(note=_words(form, "note"), entry=entry, records_per_s=_limit(form))


def _accept(rebuilds: Rebuilds, form: Form, entry: Entry) -> Order:
    if rebuilds.last is None or not rebuilds.last.is_refused:
        raise BadOrder("no differences are shown that could be accepted: rebuild first")
    (note, reason) = (_words(form, "note"), _words(form, "reason"))
    return Order(note=note, entry=entry, records_per_s=_limit(form), accept_differences=reason)


def _roll_back(_: Rebuilds, form: Form, entry: Entry) -> Order:
    if "sure" not in form:
        raise BadOrder("roll back only on purpose: tick the box beside the button")
    return Order(note=_words(form, "note"), entry=entry, is_rollback=True)


_ORDERS: Mapping[str, Callable[[Rebuilds, Form, Entry], Order]] = {
    "rebuild": _rebuild,
    "accept": _accept,
    "rollback": _roll_back,
}


def _words(form: Form, name: str) -> str:
    text = " ".join(form.get(name, "").split())
    if not text:
        raise BadOrder(f"the {name} is missing: say in words why")
    if len(text) > LONGEST_NOTE or not text.isprintable():
        raise BadOrder(f"the {name} is to be one line of text, with at most {LONGEST_NOTE} characters")
    return text


def _limit(form: Form) -> float | None:
    text = form.get("records_per_s", "").strip()
    if not text:
        return None
    wrong = BadOrder(f"records a second are a whole number from 1 to {MOST_RECORDS_PER_S}, or nothing for no limit")
    limit = whole_number(text, 8, wrong)
    if not 1 <= limit <= MOST_RECORDS_PER_S:
        raise wrong
    return float(limit)


def _lasting(seconds: float) -> str:
    (minutes, rest) = divmod(round(seconds), 60)
    (hours, minutes) = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
