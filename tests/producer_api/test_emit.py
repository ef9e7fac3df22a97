"""countinghouse_emit: the SQL function takes what the API's intake takes, in the transaction of whoever calls it."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable, Iterator
from copy import deepcopy
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import asyncpg
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from event_store.codec import Codec, Decoded
from event_store.envelope import stamp
from event_store.events import EVENT_TYPES
from event_store.postgres_outbox import PostgresOutbox
from event_store.topics import PARTITIONS, partition_for, version_named
from event_store.traceparent import FORM, traceparent_in
from producer_api.commerce import IntakeReport, TakeIn
from producer_api.events import judge
from producer_api.postgres_emit import SELECT_MAKE, emit_schema, renew_emit
from tests.samples import SAMPLES
from tests.servers.commerce import EVERY, POSTGRES, PostgresShop, version_of

Client: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

EMIT = "SELECT countinghouse_emit($1, $2, $3)"
SELECT_WRITTEN = """
SELECT l.topic, l.number, o.event_id, o.key, o.payload FROM outbox AS o
JOIN outbox_lane AS l ON l.id = o.lane JOIN outbox_waiting AS w ON w.lane = o.lane AND w.id = o.id ORDER BY o.id
"""
CODEC = Codec()
TYPES = {kind.type: kind for kind in EVENT_TYPES if kind.topic is not None}
VIEW = "com.countinghouse.catalog.ProductView.v1"
REFUND = "com.countinghouse.orders.PaymentRefunded.v1"


@pytest.fixture(params=[kind for kind in EVERY if kind.startswith(POSTGRES)])
def shop(request: pytest.FixtureRequest, postgres_shop: Callable[[int], PostgresShop]) -> PostgresShop:
    one = postgres_shop(version_of(request.param))
    one.empty()
    return one


@pytest.fixture
async def client(shop: PostgresShop) -> AsyncIterator[Client]:
    """A service of somebody else's, on a connection as plain as any."""
    commerce = shop.commerce()
    await commerce.prepare()
    await commerce.close()
    connection = await asyncpg.connect(shop.url.replace("+asyncpg", ""))
    yield connection
    await connection.close()


def sample(type_: str = VIEW, **changes: Any) -> dict[str, Any]:
    return {**json.loads(SAMPLES[type_]), "source": "/search", "id": "1", **changes}


def place_of(event: Any) -> tuple[str, str]:
    """The topic and the key that a caller who knows them gives."""
    kind = TYPES[event["type"]]
    assert kind.topic is not None
    key = next(str(event["data"][name]) for name in kind.key if event["data"].get(name) is not None)
    return kind.topic.name, key


async def emit(client: Client, event: Any, *, topic: str = "", key: str = "") -> str:
    (its_topic, its_key) = place_of(event)
    event_id: str = await client.fetchval(EMIT, topic or its_topic, key or its_key, json.dumps(event))
    return event_id


def decoded(payload: bytes) -> Decoded:
    return CODEC.decode(stamp(payload, "/shop", 1))


@pytest.mark.parametrize("type_", TYPES)
async def test_an_event_of_every_type_waits_in_its_lane_as_the_intake_would_have_written_it(
    client: Client, type_: str
) -> None:
    event = sample(type_)
    event_id = await emit(client, event)
    (topic, key) = place_of(event)
    draft = judge(CODEC, json.dumps(event).encode(), now_us()).draft
    assert draft is not None
    [row] = await client.fetch(SELECT_WRITTEN)
    partition = partition_for(key.encode(), PARTITIONS[topic])
    assert tuple(row)[:4] == (topic, partition, event_id, key)
    assert written_alike(row["payload"], draft.payload)


def written_alike(one: bytes, other: bytes) -> bool:
    """But for the id that each drew for itself. Reading drops a trace context that is none, so it is held apart."""
    (first, second) = (json.loads(payload).get("traceparent") for payload in (one, other))
    return first == second and alike(decoded(one), decoded(other))


def alike(one: Decoded, other: Decoded) -> bool:
    (first, second) = (msgspec.to_builtins(envelope) for envelope in (one.envelope, other.envelope))
    return {**first, "id": ""} == {**second, "id": ""}


TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
(_TRACE_ID, _SPAN_ID) = (TRACE[3:35], TRACE[36:52])
UNTRACED: tuple[Any, ...] = (
    *(None, 7, [], "", TRACE.upper(), f"{TRACE}-x", f"{TRACE}\n", f" {TRACE}", TRACE[:-1], TRACE.replace("-", "0")),
    *(f"ff{TRACE[2:]}", TRACE.replace(_TRACE_ID, "0" * 32), TRACE.replace(_SPAN_ID, "0" * 16)),
)


@pytest.mark.parametrize("trace", [TRACE, TRACE[:-1] + "0", "fe" + TRACE[2:], *UNTRACED], ids=repr)
async def test_a_trace_context_goes_on_with_the_event_and_what_is_none_is_dropped(client: Client, trace: Any) -> None:
    event = sample(traceparent=trace, tracestate="vendor=1")
    draft = judge(CODEC, json.dumps(event).encode(), now_us()).draft
    assert draft is not None
    await emit(client, event)
    [row] = await client.fetch(SELECT_WRITTEN)
    assert json.loads(row["payload"]).get("traceparent") == (None if trace in UNTRACED else trace)
    assert written_alike(row["payload"], draft.payload)
    assert traceparent_in(row["payload"]) == (trace if trace == TRACE or str(trace).startswith("fe") else None)


def now_us() -> int:
    return int(datetime.now(UTC).timestamp() * 1e6)


async def test_the_event_is_a_part_of_the_callers_own_transaction(client: Client) -> None:
    await client.execute("CREATE TEMP TABLE searches (words TEXT)")
    block = client.transaction()
    await block.start()
    await client.execute("INSERT INTO searches VALUES ('lantern')")
    await emit(client, sample(id="1"))
    await block.rollback()
    assert await client.fetch(SELECT_WRITTEN) == []
    async with client.transaction():
        await client.execute("INSERT INTO searches VALUES ('heart')")
        kept = await emit(client, sample(id="1"))
    assert [row["event_id"] for row in await client.fetch(SELECT_WRITTEN)] == [kept]
    assert await client.fetchval("SELECT count(*) FROM searches") == 1


async def test_an_event_that_comes_again_is_written_once_and_has_the_id_of_the_first_time(client: Client) -> None:
    ids = [await emit(client, sample(id=id_, source=source)) for id_, source in (("1", "/a"), ("1", "/a"), ("1", "/b"))]
    assert ids[0] == ids[1] != ids[2]
    assert [row["event_id"] for row in await client.fetch(SELECT_WRITTEN)] == [ids[0], ids[2]]


async def test_an_event_that_two_services_write_at_once_is_written_once(client: Client, shop: PostgresShop) -> None:
    other = await asyncpg.connect(shop.url.replace("+asyncpg", ""))
    async with client.transaction():
        first = await emit(client, sample())
        second = asyncio.create_task(emit(other, sample()))
        assert not (await asyncio.wait([second], timeout=0.2))[0]
    assert await second == first
    assert len(await client.fetch(SELECT_WRITTEN)) == 1
    await other.close()


async def test_the_function_and_the_intake_know_of_each_others_events(client: Client, shop: PostgresShop) -> None:
    commerce = shop.commerce()
    await emit(client, sample(id="emitted"))
    events = [json.dumps(sample(id=id_)).encode() for id_ in ("emitted", "handed in")]
    answer = await commerce.perform(TakeIn([judge(CODEC, event, now_us()) for event in events]))
    report = msgspec.json.decode(answer.body, type=IntakeReport)
    assert [result.status for result in report.results] == ["duplicate", "accepted"]
    again = await emit(client, sample(id="handed in"))
    assert [row["event_id"] for row in await client.fetch(SELECT_WRITTEN)][1:] == [again]
    await commerce.close()


@pytest.mark.parametrize("kind", ["text", "json", "jsonb"])
async def test_an_event_may_be_given_as_text_or_as_json(client: Client, kind: str) -> None:
    statement = f"SELECT countinghouse_emit(topic => $1, key => $2, event => $3::text::{kind})"
    (topic, key) = place_of(event := sample(REFUND))
    await client.fetchval(statement, topic, key, json.dumps(event))
    [row] = await client.fetch(SELECT_WRITTEN)
    assert msgspec.to_builtins(decoded(row["payload"]).envelope.data)["lines"] == event["data"]["lines"]


async def test_an_event_written_in_sql_needs_no_cast(client: Client) -> None:
    await client.execute("""
        SELECT countinghouse_emit('catalog-events', 'p', json_build_object(
            'specversion', '1.0', 'type', 'com.countinghouse.catalog.ProductView.v1', 'source', '/search', 'id', '1',
            'time', now(), 'data', json_build_object('product_id', 'p', 'visitor_id', 'v', 'currency', 'GBP')));
        SELECT countinghouse_emit('catalog-events', 'p', '{"specversion": "1.0", "source": "/search", "id": "2",
            "type": "com.countinghouse.catalog.ProductView.v1", "time": "2011-01-05T10:00:00Z",
            "data": {"product_id": "p", "visitor_id": "v", "currency": "GBP"}}')
    """)
    assert len(await client.fetch(SELECT_WRITTEN)) == 2


REFUSED: dict[str, tuple[Any, str]] = {
    "no event": (None, "INVALID_CALL"),
    "no JSON": ("{", "NOT_A_CLOUDEVENT"),
    "nested without end": ("[" * 100_000, "NOT_A_CLOUDEVENT"),
    "a list": ([], "INVALID_EVENT"),
    "a number": (7, "INVALID_EVENT"),
    "an old specversion": (sample(specversion="0.3"), "NOT_A_CLOUDEVENT"),
    "no type": ({"specversion": "1.0"}, "NOT_A_CLOUDEVENT"),
    "an unknown type": (sample(type="com.example.Thing.v1"), "UNKNOWN_TYPE"),
    "an unknown version": (sample(type=VIEW.replace("v1", "v9")), "UNKNOWN_TYPE"),
    "a relay's own": (sample(type="com.countinghouse.lane.RecordWithheld.v1"), "UNKNOWN_TYPE"),
    "another topic's type": (sample(REFUND), "WRONG_TOPIC"),
    "another key": (sample(data={"product_id": "q", "visitor_id": "v", "currency": "GBP"}), "WRONG_KEY"),
    "no data": (sample(data=None), "INVALID_EVENT"),
    "a key that stands twice": (
        json.dumps(sample()).replace('"visitor_id"', '"visitor_id": "", "visitor_id"'),
        "INVALID_EVENT",
    ),
    "too many bytes": (sample(note="x" * 262_144), "TOO_LARGE"),
    "a time before all events": (sample(time="1999-12-31T23:59:59Z"), "ANCIENT_TIME"),
    "a time ahead of the clock": (sample(time="2999-12-31T23:59:59Z"), "FUTURE_TIME"),
}


@pytest.mark.parametrize("kind", REFUSED)
async def test_what_is_refused_says_why_and_what_to_do_and_leaves_nothing(client: Client, kind: str) -> None:
    (event, reason) = REFUSED[kind]
    text = event if isinstance(event, str | None) else json.dumps(event)
    with pytest.raises(asyncpg.InvalidParameterValueError) as error:
        await client.fetchval(EMIT, "catalog-events", "85123A", text)
    assert error.value.message.startswith(f"{reason}: ")
    assert error.value.hint
    assert await client.fetch(SELECT_WRITTEN) == []
    assert await client.fetch("SELECT * FROM accepted_events") == []


async def test_a_topic_that_is_none_is_answered_with_those_there_are(client: Client) -> None:
    with pytest.raises(asyncpg.InvalidParameterValueError, match="UNKNOWN_TOPIC: there is no topic 'orders'") as error:
        await emit(client, sample(), topic="orders")
    assert error.value.hint == "There are: catalog-events, order-events."


async def test_an_event_goes_to_the_newest_version_of_its_topic_by_that_ones_number_of_partitions(
    client: Client, shop: PostgresShop
) -> None:
    outbox = PostgresOutbox(shop.url, PARTITIONS)
    (topic, key) = place_of(sample())
    before = await emit(client, sample(id="before"))
    for version in (2, 10, 9):
        await outbox.add_topic(version_named(topic, version), 20 + version)
    await outbox.add_topic("order-events.v2", 1)
    await outbox.close()
    after = await emit(client, sample(id="after"))
    assert await emit(client, sample(id="before")) == before
    rows = await client.fetch(SELECT_WRITTEN)
    assert [tuple(row)[:3] for row in rows] == [
        (topic, partition_for(key.encode(), PARTITIONS[topic]), before),
        (f"{topic}.v10", partition_for(key.encode(), 30), after),
    ]


async def test_a_version_is_not_asked_for_by_name(client: Client, shop: PostgresShop) -> None:
    outbox = PostgresOutbox(shop.url, {**PARTITIONS, "catalog-events.v2": 3})
    await outbox.lanes()
    await outbox.close()
    with pytest.raises(asyncpg.InvalidParameterValueError, match=r"there is no topic 'catalog-events\.v2'") as error:
        await emit(client, sample(), topic="catalog-events.v2")
    assert error.value.hint == "There are: catalog-events, order-events."


async def test_a_field_that_is_wrong_is_named(client: Client) -> None:
    event = sample(REFUND)
    event["data"]["lines"].append({"product_id": "p", "quantity": 0, "amount_minor": 1})
    with pytest.raises(
        asyncpg.InvalidParameterValueError, match=r"\$\.data\.lines\[1\]\.quantity .* from 1 to 1000000"
    ):
        await emit(client, event)


@pytest.fixture
async def stranger(client: Client, shop: PostgresShop) -> AsyncIterator[Client]:
    """Somebody who may connect, and nothing else."""
    await client.execute("CREATE ROLE stranger LOGIN PASSWORD 'secret'")
    parts = urlsplit(shop.url)
    connection = await asyncpg.connect(
        host=parts.hostname,
        port=parts.port,
        database=parts.path[1:],
        user="stranger",
        password="secret",  # noqa: S106
    )
    yield connection
    await connection.close()
    await client.execute("DROP OWNED BY stranger; DROP ROLE stranger")


async def test_only_whom_the_owner_allows_may_call_it_and_needs_no_other_right(
    client: Client, stranger: Client
) -> None:
    for call in (EMIT, "SELECT countinghouse_emit($1, $2, $3::text::jsonb)"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await stranger.fetchval(call, *place_of(sample()), json.dumps(sample()))
    await client.execute("GRANT EXECUTE ON FUNCTION countinghouse_emit(text, text, text) TO stranger")
    await emit(stranger, sample())
    assert len(await client.fetch(SELECT_WRITTEN)) == 1
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await stranger.fetch("SELECT * FROM outbox")


async def test_it_looks_at_no_tables_but_its_own_whatever_the_caller_has_set(client: Client, stranger: Client) -> None:
    await client.execute("GRANT EXECUTE ON FUNCTION countinghouse_emit(text, text, text) TO stranger")
    await stranger.execute("CREATE TEMP TABLE outbox_lane (id BIGINT, topic TEXT, number INTEGER)")
    await stranger.execute("SET search_path = ''")
    await stranger.fetchval(EMIT.replace("SELECT ", "SELECT public."), *place_of(sample()), json.dumps(sample()))
    assert len(await client.fetch(SELECT_WRITTEN)) == 1


async def test_a_migration_makes_a_function_of_another_make_anew(client: Client, shop: PostgresShop) -> None:
    assert await renew_emit(shop.url) is False
    await client.execute("COMMENT ON FUNCTION countinghouse_emit(text, text, text) IS 'countinghouse of old'")
    assert sorted(await asyncio.gather(*(renew_emit(shop.url) for _ in range(3)))) == [False, False, True]
    assert await client.fetchval(SELECT_MAKE) in emit_schema()


KEYS = st.lists(
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=70), min_size=1, max_size=60
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(keys=KEYS, partitions=st.integers(1, 10_000))
async def test_a_key_has_the_partition_that_kafkas_clients_give_it(
    client: Client, keys: list[str], partitions: int
) -> None:
    statement = (
        "SELECT countinghouse_partition(key, $2) FROM unnest($1::text[]) WITH ORDINALITY AS k (key, n) ORDER BY n"
    )
    given_partitions = [row[0] for row in await client.fetch(statement, keys, partitions)]
    assert given_partitions == [partition_for(key.encode(), partitions) for key in keys]


TEXTS = ["", "x", "é" * 64, "\N{SNOWMAN}" * 65, "a\x01b", "a\x7fb", "\U0001f600" * 200, "x" * 201, "p/1", '"', "\\"]
NUMBERS = [0, 1, -1, 2, 10**6, 10**6 + 1, 10**15, 10**15 + 1, 2**53, 2**53 + 1, 10**20, 1.0, 1.5, 1e3]
VALUES: st.SearchStrategy[Any] = st.sampled_from([*TEXTS, *NUMBERS, None, True, [], {}, ["x"]])
MINUTES = st.integers(-23 * 60 - 59, 23 * 60 + 59)
TIMES = st.one_of(
    st.builds(
        lambda at, minutes: at.astimezone(timezone(timedelta(minutes=minutes))).isoformat(),
        st.datetimes(timezones=st.just(UTC)).filter(lambda at: 1 < at.year < 9999),
        MINUTES,
    ),
    st.sampled_from(
        [
            "2011-02-29T00:00:00Z",
            "2011-01-05t10:00:00z",
            "2011-01-05T10:00:00.1234567Z",
            "2011-01-05T24:00:00Z",
            "2011-01-05T23:59:60Z",
            "2011-01-05 10:00:00Z",
            "2011-01-05T10:00Z",
            "2011-W01-3T10:00:00Z",
            "0000-01-01T00:00:00Z",
            "2011-01-05T10:00:00+24:00",
            "2011-01-05T10:00:00-23:59",
            "2011-01-05T10:00:00+0100",
            "2011-01-05T10:00:00",
            "20110105T100000Z",
            " 2011-01-05T10:00:00Z",
            "2000-01-01T00:00:00Z",
            "2000-01-01T00:00:00+00:01",
            "1999-12-31T23:59:59.999999Z",
            "2011-01-05T10:00:00.Z",
            "٢٠١١-01-05T10:00:00Z",
        ]
    ),
)


_HEX = "0123456789abcdef"
TRACES = st.one_of(
    st.from_regex(FORM, fullmatch=True),
    # One character of a good one is another.
    st.builds(
        lambda at, other: TRACE[:at] + other + TRACE[at + 1 :],
        st.integers(0, len(TRACE)),
        st.sampled_from([*_HEX, *"gF-_ \n", "", "00", "\N{ARABIC-INDIC DIGIT ONE}"]),
    ),
    st.sampled_from(UNTRACED),
)


SALES: st.SearchStrategy[Any] = st.one_of(
    TIMES,
    VALUES,
    st.sampled_from(
        [
            "2010-11-30T09:00:00.000000Z",
            "2010-12-01T08:31:00.000000Z",
            "2010-12-01T08:31:00.000001Z",
            "1999-12-31T23:59:59.999999Z",
            "2010-02-29T09:00:00.000000Z",
            "2010-11-30 09:00:00.000000Z",
            "2010-11-30T09:00:00.000000z",
            "2010-11-30T24:00:00.000000Z",
            "infinity                   ",
            "now                        ",
        ]
    ),
)
"""When a sale was that the sample's refund undoes, of 2010-12-01 08:26."""


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else []:
        yield from _objects(inner)


@st.composite
def events(draw: st.DrawFn) -> Any:
    """A good event with up to three of its places changed to something else, or taken away."""
    event = sample(draw(st.sampled_from(list(TYPES))))
    if event["type"] == REFUND and draw(st.booleans()):
        event["data"]["sold_at"] = draw(SALES)
    if draw(st.booleans()):
        event["traceparent"] = draw(st.one_of(TRACES, VALUES))
    for _ in range(draw(st.integers(0, 3))):
        place = draw(st.sampled_from(list(_objects(event))))
        name = draw(st.sampled_from([*place, "added"]))
        if name == "time":
            place[name] = draw(TIMES)
        elif draw(st.integers(0, 4)) == 0:
            place.pop(name, None)
        elif name not in ("subject", "dataschema", "datacontenttype"):
            place[name] = deepcopy(draw(VALUES))
    return event


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(event=events())
async def test_it_takes_exactly_what_the_intake_takes_and_writes_the_same(client: Client, event: Any) -> None:
    draft = judge(CODEC, json.dumps(event).encode(), now_us()).draft
    block = client.transaction()
    await block.start()
    try:
        is_taken = await _is_taken(client, event)
        assert is_taken == (draft is not None)
        if draft is not None:
            [row] = await client.fetch(SELECT_WRITTEN)
            assert written_alike(row["payload"], draft.payload)
    finally:
        await block.rollback()


async def _is_taken(client: Client, event: Any) -> bool:
    try:
        await client.fetchval(EMIT, *_likely_place(event), json.dumps(event))
    except asyncpg.InvalidParameterValueError:
        return False
    return True


def _likely_place(event: Any) -> tuple[str, str]:
    """What a caller would give who means well."""
    kind = TYPES.get(str(event.get("type")), TYPES[VIEW])
    data = event["data"] if isinstance(event.get("data"), dict) else {}
    keys = [data[name] for name in kind.key if isinstance(data.get(name), str)]
    return "" if kind.topic is None else kind.topic.name, keys[0] if keys else "k"


async def test_the_example_of_the_documentation_works(client: Client) -> None:
    page = (Path(__file__).parents[2] / "docs" / "emit.md").read_text()
    [example] = re.findall(r"```sql\n(.*?)```", page, re.DOTALL)
    await client.execute("CREATE TEMP TABLE receipts (receipt_id TEXT, total_minor BIGINT)")
    await client.execute(example)
    [row] = await client.fetch(SELECT_WRITTEN)
    assert decoded(row["payload"]).envelope.originid == "till-4711-paid"
    reasons = set(re.findall(r"`([A-Z_]{6,})`", page))
    assert {reason for _, reason in REFUSED.values()} | {"UNKNOWN_TOPIC", "INVALID_EVENT"} == reasons
