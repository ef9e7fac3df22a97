"""`/api/dead-letters`: records that could not be counted, and what was decided about each."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from litestar import get
from litestar.handlers import HTTPRouteHandler
from litestar.params import QueryParameter
from msgspec import Meta, Struct

from backoffice.instants import instant, instant_or_none
from backoffice.letters_asked import letters_asked, onward_of
from backoffice.pipeline import Pipeline
from backoffice.pipeline_status import CompletenessStamp
from backoffice.problems import RESPONSES
from backoffice.sign_in.access import needs
from backoffice.sign_in.roles import Role
from event_store.tokens import Scope
from projections.letters import Chosen, Decision, Letter


class DecisionShown(Struct, frozen=True):
    act: Annotated[str, Meta(description="discarded or redriven")]
    who: str
    at: datetime
    reason: str
    event_id: Annotated[str | None, Meta(description="of the corrected event")]
    sent_at: Annotated[datetime | None, Meta(description="when it was known to be in the outbox")]


class LetterShown(Struct, frozen=True):
    topic: str
    partition: int
    offset: int
    appended_at: datetime
    reason: Annotated[str, Meta(description="a stable word")]
    detail: str
    state: Annotated[str, Meta(description="undecided, discarded, redriven or unsent")]
    decision: DecisionShown | None


class DeadLettersAnswer(Struct, frozen=True):
    completeness: CompletenessStamp
    letters: Annotated[list[LetterShown], Meta(description="the newest first, by the time the log took them")]
    next: Annotated[str | None, Meta(description="give it as `below` for older ones; null: there are none")]


Reason = Annotated[str, QueryParameter(description="default: any")]
OneTopic = Annotated[str, QueryParameter(name="topic", description="default: all")]
State = Annotated[str, QueryParameter(name="state", description=f"{', '.join(Chosen)}; default: all")]
Below = Annotated[str, QueryParameter(description="`next` of the answer before")]
Most = Annotated[int, QueryParameter(ge=1, le=1000, description="letters in one answer")]


def route(pipeline: Pipeline) -> HTTPRouteHandler:
    @get(
        "/api/dead-letters",
        opt=needs(Role.VIEWER, Scope.LOG),
        responses=RESPONSES,
        summary="Records that could not be counted",
        operation_id="deadLetters",
        tags=["events"],
    )
    async def answer(
        reason: Reason = "", topic: OneTopic = "", chosen: State = "", below: Below = "", most: Most = 100
    ) -> DeadLettersAnswer:
        asked = letters_asked({"reason": reason, "topic": topic, "state": chosen, "below": below}, Chosen.ALL)
        stamp = await pipeline.completeness()
        found = list(await pipeline.read_model.letters.newest(asked, most + 1))
        return DeadLettersAnswer(stamp, [shown_letter(one) for one in found[:most]], onward_of(found, most))

    return answer


def shown_letter(letter: Letter) -> LetterShown:
    dead = letter.dead
    return LetterShown(
        topic=dead.tp.topic,
        partition=dead.tp.partition,
        offset=dead.offset,
        appended_at=instant(dead.appended_at_us),
        reason=dead.reason,
        detail=dead.detail,
        state=letter.state,
        decision=_shown(letter.decision) if letter.decision else None,
    )


def _shown(one: Decision) -> DecisionShown:
    sent_at = instant_or_none(one.sent_at_us)
    return DecisionShown(one.act, one.who, instant(one.at_us), one.reason, one.event_id, sent_at)
