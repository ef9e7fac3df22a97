"""The figures and the status as JSON."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import msgspec
import pytest

from backoffice.commands.status import status_json
from projections.figures import Question, figures
from projections.periods import Range
from tests.web.shop import Shop, busy_days, viewed

AUTUMN = datetime(2011, 10, 28, tzinfo=UTC)


@pytest.mark.parametrize("by", ["product", "product,day", "day", "product,hour", "hour", "15min", "week", "month", ""])
async def test_the_api_answers_the_rows_that_figures_has(shop: Shop, by: str) -> None:
    await shop.happened(*busy_days(shop, seed=21, first=AUTUMN, days=4, events=100))
    asked = Range(date(2011, 10, 29), date(2011, 10, 30))
    question = Question(tuple(filter(None, by.split(","))), "Europe/London", asked, ("A", "B"))
    expected = msgspec.json.decode(msgspec.json.encode((await figures(shop.read_model, question)).to_dicts()))
    query = {"by": by, "tz": "Europe/London", "from": "2011-10-29", "to": "2011-10-30", "product": ["A", "B"]}
    async with shop.browser() as client:
        answer = (await client.get("/api/figures", params=query)).json()
    assert answer["rows"] == expected
    assert expected
    assert (answer["from"], answer["to"], answer["tz"]) == ("2011-10-29", "2011-10-30", "Europe/London")
    assert [column["name"] for column in answer["columns"]] == [one.name for one in question.columns]


async def test_every_answer_says_how_far_it_is_complete(shop: Shop) -> None:
    await shop.happened(viewed(AUTUMN, "A"))
    shop.accepts(*viewed(AUTUMN, "A"))
    async with shop.browser() as client:
        found = (await client.get("/api/figures")).json()["completeness"]
        status = (await client.get("/api/status")).json()["completeness"]
    assert found == status
    assert found["offset"] == 1
    assert found["on_their_way"] == 1
    assert found["complete_up_to"] == "2011-12-01T12:00:00Z"


async def test_ratios_come_when_asked(shop: Shop) -> None:
    await shop.happened(viewed(AUTUMN, "A"), shop.sold(AUTUMN, ("B", 1, 5)))
    async with shop.browser() as client:
        rows = (await client.get("/api/figures", params={"ratios": "true"})).json()["rows"]
    assert [row["conversion"] for row in rows] == [0.0, None]


async def test_the_status_is_what_the_command_prints(shop: Shop) -> None:
    await shop.happened(viewed(AUTUMN, "A"))
    printed = msgspec.json.decode(status_json(await shop.pipeline.status()))
    async with shop.browser() as client:
        assert (await client.get("/api/status")).json() == printed


async def test_the_api_is_described_with_its_parameters_and_its_problems(shop: Shop) -> None:
    async with shop.browser() as client:
        schema: dict[str, Any] = (await client.get("/schema/openapi.json")).json()
    assert sorted(schema["paths"]) == [
        "/api/audit",
        "/api/dead-letters",
        "/api/events",
        "/api/explain",
        "/api/figures",
        "/api/pause",
        "/api/rebuild",
        "/api/record",
        "/api/resume",
        "/api/saved-views",
        "/api/status",
        "/api/status/trend",
        "/livez",
        "/readyz",
    ]
    operation = schema["paths"]["/api/figures"]["get"]
    assert {one["name"] for one in operation["parameters"]} == {"by", "tz", "from", "to", "product", "ratios"}
    assert list(operation["responses"]["400"]["content"]) == ["application/problem+json"]
    assert list(operation["responses"]["503"]["content"]) == ["application/problem+json"]
