"""Pausing and resuming on `/pipeline`, for operators."""

from __future__ import annotations

from typing import Any

from litestar import Response, post
from litestar.handlers import HTTPRouteHandler
from litestar.response import Template

from backoffice.pause_desk import BadPause, PauseDesk
from backoffice.problems import sentence
from backoffice.sign_in.access import MOST_FORM_BYTES, needs
from backoffice.sign_in.roles import Role
from event_store.pauses import PauseRefused

from .forms import entry_of, fields, to
from .frame import Sources, WebRequest, choice, framed
from .pipeline import PIPELINE

WITHOUT_SIGN_IN = "Sign-in is off, so nobody could be named. Use: countinghouse pause, countinghouse resume"


def route(sources: Sources, desk: PauseDesk | None) -> HTTPRouteHandler:
    """Without a desk nobody is known who could pause."""

    async def shown(request: WebRequest, status_code: int, trouble: str, why: str = "") -> Response[Any]:
        selection = await choice(request, sources, PIPELINE)
        frame = framed(PIPELINE, selection, await sources.pipeline.completeness())
        context = {**frame, **await PIPELINE.fill(sources, selection), "trouble": trouble, "why": why}
        return Template(PIPELINE.template, context=context, status_code=status_code)

    @post(PIPELINE.path, include_in_schema=False, opt=needs(Role.OPERATOR), request_max_body_size=MOST_FORM_BYTES)
    async def act(request: WebRequest) -> Response[Any]:
        if desk is None:
            return await shown(request, 409, WITHOUT_SIGN_IN)
        form = await fields(request)
        (part, why) = (form.get("part", ""), form.get("why", ""))
        try:
            if form.get("act") == "resume":
                await desk.resume(part, entry_of(request))
            else:
                await desk.pause(part, why, entry_of(request))
        except BadPause as error:
            return await shown(request, 422, sentence(error), why)
        except PauseRefused as error:
            return await shown(request, 409, f"{sentence(error)} Nothing was done.", why)
        return to(PIPELINE.path)

    return act
