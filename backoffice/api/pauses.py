"""`/api/pause` and `/api/resume`: a part of the line is held still, and let go on."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Annotated, Any

from litestar import post
from litestar.exceptions import HTTPException
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import JSONBody
from msgspec import Meta, Struct

from backoffice.instants import instant
from backoffice.pages.forms import entry_of
from backoffice.pages.frame import WebRequest
from backoffice.pause_desk import BadPause, PauseDesk
from backoffice.pipeline_status import PauseStatus
from backoffice.problems import MEDIA_TYPE, RESPONSES, Problem, sentence
from backoffice.sign_in.access import MOST_FORM_BYTES, needs
from backoffice.sign_in.roles import Role
from event_store.pauses import Part, Pause, PauseRefused
from event_store.tokens import Scope

PART = Meta(description=", ".join(Part))


class PauseOrder(Struct, frozen=True):
    part: Annotated[str, PART]
    why: Annotated[str, Meta(description="kept with the pause and in the audit; 1 to 500 characters")]


class ResumeOrder(Struct, frozen=True):
    part: Annotated[str, PART]


SHARED: dict[str, Any] = {
    "opt": needs(Role.OPERATOR, Scope.PAUSES),
    "status_code": 200,
    "request_max_body_size": MOST_FORM_BYTES,
    "responses": {
        **RESPONSES,
        409: ResponseSpec(Problem, description="it is so already", media_type=MEDIA_TYPE),
    },
    "tags": ["pipeline"],
}


def routes(desk: PauseDesk | None) -> Sequence[HTTPRouteHandler]:
    """Without a desk nobody is known who could pause."""

    @post("/api/pause", summary="Hold a part of the line still", operation_id="pause", **SHARED)
    async def pause(request: WebRequest, data: JSONBody[PauseOrder]) -> PauseStatus:
        return await _done(_manned(desk).pause(data.part, data.why, entry_of(request)))

    @post("/api/resume", summary="Let it go on; the answer is what ended", operation_id="resume", **SHARED)
    async def resume(request: WebRequest, data: JSONBody[ResumeOrder]) -> PauseStatus:
        return await _done(_manned(desk).resume(data.part, entry_of(request)))

    return [pause, resume]


def _manned(desk: PauseDesk | None) -> PauseDesk:
    if desk is None:
        raise HTTPException("Sign-in is off, so nobody could be named.", status_code=409)
    return desk


async def _done(act: Awaitable[Pause]) -> PauseStatus:
    try:
        one = await act
    except BadPause as error:
        raise HTTPException(sentence(error), status_code=400) from error
    except PauseRefused as error:
        raise HTTPException(sentence(error), status_code=409) from error
    return PauseStatus(one.part, instant(one.at_us), one.who, one.why)
