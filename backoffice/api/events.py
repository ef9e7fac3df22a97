"""`/api/events`: records of the log, found by any id they name, by type, by place and by time."""

from __future__ import annotations

from typing import Annotated

from litestar import get
from litestar.handlers import HTTPRouteHandler
from litestar.params import QueryParameter
from msgspec import Meta, Struct

from backoffice.event_search import canonical_time, wanted_record
from backoffice.pipeline import Pipeline
from backoffice.pipeline_status import CompletenessStamp
from backoffice.places import onward_text
from backoffice.problems import RESPONSES
from backoffice.recorded import Recorded, records_found
from backoffice.sign_in.access import needs
from backoffice.sign_in.roles import Role
from event_store.history import History
from event_store.tokens import Scope


class EventsAnswer(Struct, frozen=True):
    completeness: CompletenessStamp
    records: Annotated[list[Recorded], Meta(description="the newest first, by the time the log took them")]
    searched: int
    next: Annotated[str | None, Meta(description="give it as `below` to look further back; null: all was looked at")]


Text = Annotated[str | None, QueryParameter(name="q", description="an id: of an event, product, order, user, payment")]
Event = Annotated[str | None, QueryParameter(description="e.g. ProductView; unreadable: what is no event of ours")]
OneTopic = Annotated[str | None, QueryParameter(name="topic", description="default: all")]
OnePartition = Annotated[int | None, QueryParameter(name="partition", ge=0, le=2**31, description="default: all")]
Since = Annotated[str | None, QueryParameter(description="what happened from then on, e.g. 2011-03-04T12:30:00Z")]
Until = Annotated[str | None, QueryParameter(description="events that happened before")]
Most = Annotated[int, QueryParameter(ge=1, le=1000, description="records in one answer")]
Below = Annotated[str | None, QueryParameter(description="`next` of the answer before")]


def route(history: History, pipeline: Pipeline) -> HTTPRouteHandler:
    @get(
        "/api/events",
        opt=needs(Role.VIEWER, Scope.LOG),
        responses=RESPONSES,
        summary="Records of the log",
        operation_id="events",
        tags=["events"],
    )
    async def answer(
        text: Text = None,
        event: Event = None,
        topic: OneTopic = None,
        partition: OnePartition = None,
        since: Since = None,
        until: Until = None,
        below: Below = None,
        most: Most = 100,
    ) -> EventsAnswer:
        wanted = wanted_record(text, event, topic, partition, _times(since, until))
        stamp = await pipeline.completeness()
        (records, found) = await records_found(history, pipeline.read_model, wanted, most, below)
        return EventsAnswer(stamp, records, found.searched, onward_text(found.onward) if found.onward else None)

    return answer


def _times(since: str | None, until: str | None) -> tuple[str, str] | None:
    return (
        None
        if since is None and until is None
        else (
            canonical_time(since) if since else "",
            canonical_time(until) if until else "9999",
        )
    )
