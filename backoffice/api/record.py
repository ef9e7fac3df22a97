"""`/api/record`: one record of the log, raw and read, with what it adds to which figures."""

from __future__ import annotations

from typing import Annotated

from litestar import get
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.spec import Example
from litestar.params import QueryParameter
from msgspec import Struct

from backoffice.pipeline import Pipeline
from backoffice.pipeline_status import CompletenessStamp
from backoffice.problems import RESPONSES
from backoffice.recorded import Recorded, recorded_at
from backoffice.sign_in.access import needs
from backoffice.sign_in.roles import Role
from event_store.history import History
from event_store.record import TopicPartition
from event_store.tokens import Scope

Topic = Annotated[
    str, QueryParameter(description="a topic or a version of it", examples=[Example(value="order-events")])
]
Partition = Annotated[int, QueryParameter(ge=0, le=2**31, examples=[Example(value=0)])]
Offset = Annotated[int, QueryParameter(ge=0, le=2**62, examples=[Example(value=0)])]


class RecordAnswer(Struct, frozen=True):
    completeness: CompletenessStamp
    record: Recorded


def route(history: History, pipeline: Pipeline) -> HTTPRouteHandler:
    @get(
        "/api/record",
        opt=needs(Role.VIEWER, Scope.LOG),
        responses=RESPONSES,
        summary="One record of the log",
        operation_id="record",
        tags=["events"],
    )
    async def answer(topic: Topic, partition: Partition, offset: Offset) -> RecordAnswer:
        stamp = await pipeline.completeness()
        record = await recorded_at(history, pipeline.read_model, TopicPartition(topic, partition), offset)
        return RecordAnswer(stamp, record)

    return answer
