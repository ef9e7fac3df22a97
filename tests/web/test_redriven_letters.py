"""A corrected event in the stead of a dead letter: what is shown before, what is written, and that it is so once."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from html import unescape
from typing import Any

import httpx
import pytest

from backoffice.correction import event_id_of
from backoffice.letter_desk import LetterDesk
from backoffice.sign_in.roles import Role
from event_store.envelope import stamp
from event_store.errors import StorageUnavailable
from event_store.events import RecordWithheld
from event_store.record import MAX_RECORD_BYTES
from projections.catalogue import PROJECTIONS
from projections.projector import Projector
from tests.web.reading import page
from tests.web.shop import Shop, Tables
from tests.web.test_dead_letters import AT, HOSTILE, ORDERS, acts, parked, parked_now
from tests.web.visitors import TEST

AUTUMN = datetime(2011, 10, 28, 12, tzinfo=UTC)
EVENT_ID = event_id_of(ORDERS, 0)


def order(shop: Shop, **changed: Any) -> str:
    """An order as another service spells it, with parts of its data changed."""
    (payload, at) = shop.sold(AUTUMN, ("A", 2, 700), ("B", 1, 99))
    draft = shop.codec.draft(payload, at, event_id="theirs", origin_source="/till", origin_id="7")
    event = json.loads(stamp(draft.payload, "/countinghouse/commerce/1", 9))
    event["data"] |= changed
    return json.dumps(event, indent=1)


def broken(shop: Shop) -> str:
    return order(shop, currency="pounds")


def previewed(answer: httpx.Response) -> str:
    found = re.search(r'name="previewed" value="(\w*)"', answer.text)
    assert found is not None
    return found[1]


def text_area(answer: httpx.Response) -> str:
    """What a browser shows in it."""
    found = re.search(r"<textarea[^>]*>\n?(.*?)</textarea>", answer.text, re.DOTALL)
    assert found is not None
    return unescape(found[1])


async def preview(shop: Shop, client: httpx.AsyncClient, text: str) -> httpx.Response:
    return await shop.visitors.sends(client, "/dead-letter/preview", **AT, text=text)


async def redrive(shop: Shop, client: httpx.AsyncClient, text: str, why: str = "pounds are GBP") -> httpx.Response:
    """As somebody does it: looks at it, then confirms."""
    seen = previewed(await preview(shop, client, text))
    return await shop.visitors.sends(client, "/dead-letter/redrive", **AT, text=text, why=why, previewed=seen)


async def sold(shop: Shop) -> dict[str, int]:
    rows = await shop.read_model.rows(await shop.read_model.serving(), "sales")
    return dict(rows.select("product_id", "gross_minor").rows())


async def waiting(shop: Shop) -> int:
    return sum(lane.ready for lane in await shop.outbox.lanes())


async def test_a_corrected_event_is_shown_then_written_and_counted_once(shop: Shop) -> None:
    await parked(shop, broken(shop).encode())
    async with shop.browser(role=Role.OPERATOR) as client:
        shown = await client.get("/dead-letter", params=AT)
        assert text_area(shown) == broken(shop).replace("o2", "o1")
        looked = await preview(shop, client, order(shop))
        assert looked.status_code == 200
        assert Tables(looked.text).tables[0][1:] == [
            ["A", "Orders", "28 Oct 2011, 12:00:00", "1"],
            ["A", "Units sold", "28 Oct 2011, 12:00:00", "2"],
            ["A", "Gross revenue", "28 Oct 2011, 12:00:00", "£7.00"],
            ["B", "Orders", "28 Oct 2011, 12:00:00", "1"],
            ["B", "Units sold", "28 Oct 2011, 12:00:00", "1"],
            ["B", "Gross revenue", "28 Oct 2011, 12:00:00", "£0.99"],
        ]
        assert (await waiting(shop), await acts(shop)) == (0, []), "nothing is done yet"
        answer = await redrive(shop, client, order(shop))
        assert answer.status_code == 303
        text = await page(client, answer.headers["location"])
        assert "redriven by <bdi>operator</bdi>" in text
        assert (
            f'<code>{EVENT_ID}</code></a>, in the outbox since <time datetime="2011-12-01T12:00:00+00:00">1 Dec' in text
        )
        assert "/dead-letter/send" not in text
        await shop.sends()
        await shop.counts()
        assert EVENT_ID in await page(client, "/events", q=EVENT_ID)
    assert await sold(shop) == {"A": 700, "B": 99}
    assert await parked_now(shop) == 0
    assert await acts(shop) == [
        ("operator", "dead_letter.redriven", "order-events/1, offset 0", "pounds are GBP"),
    ]


async def test_the_event_says_where_it_first_came_from_and_has_an_id_of_its_own(shop: Shop) -> None:
    await parked(shop, broken(shop).encode())
    async with shop.browser() as client:
        await redrive(shop, client, order(shop))
    await shop.sends()
    written = [json.loads(value) for rows in shop.log._partitions.values() for value in rows.values if value]
    (event,) = [one for one in written if one["id"] == EVENT_ID]
    assert (event["originsource"], event["originid"]) == ("/till", "7")
    assert event["sequence"] == "0000000000000001"
    assert event["source"] == await shop.outbox.source()
    assert event["time"] == "2011-10-28T12:00:00.000000Z"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: text.replace('"GBP"', '"pounds"'), "INVALID_EVENT: Expected `str` of length &lt;= 3"),
        (lambda text: text[:-5], "NOT_JSON: "),
        (lambda text: "", "NOT_JSON: "),
        (lambda text: text.replace("PaymentCompleted.v1", "Nothing.v1"), "UNKNOWN_TYPE: no event type"),
        (lambda text: text.replace("2011-10-28", "2031-10-28"), "FUTURE_TIME: "),
        (lambda text: text.replace("/countinghouse/commerce/1", ""), "INVALID_EVENT: "),
        (
            lambda text: text.replace('_id": "o', '_id": "o\\u0000'),
            "INVALID_EVENT: control character in $.data.order_id",
        ),
    ],
    ids=["a bound", "an end", "all", "its type", "its time", "its source", "a control character"],
)
async def test_what_is_wrong_with_a_text_stands_beside_it_and_the_text_is_kept(
    shop: Shop, change: Any, words: str
) -> None:
    await parked(shop, b"{")
    text = change(order(shop))
    async with shop.browser() as client:
        answer = await preview(shop, client, text)
        assert answer.status_code == 422
        assert words in answer.text
        assert text_area(answer) == text
        assert previewed(answer) == ""
        confirmed = await shop.visitors.sends(client, "/dead-letter/redrive", **AT, text=text, why="x", previewed="")
        assert confirmed.status_code == 422
    assert (await waiting(shop), await parked_now(shop), await acts(shop)) == (0, 1, [])


async def test_an_event_that_only_a_relay_writes_is_not_written(shop: Shop) -> None:
    await parked(shop, b"{")
    payload = shop.codec.draft(RecordWithheld("id", "type", "why"), AUTUMN).payload
    async with shop.browser() as client:
        answer = await preview(shop, client, stamp(payload, "/a", 1).decode())
    assert answer.status_code == 422
    assert "NOT_ACCEPTED" in answer.text


async def test_what_is_confirmed_is_what_was_shown(shop: Shop) -> None:
    await parked(shop, b"{")
    (text, other) = (order(shop), order(shop, currency="EUR"))
    async with shop.browser() as client:
        seen = previewed(await preview(shop, client, text))
        for claimed in ("", seen, "0" * 64):
            form = {**AT, "text": other, "why": "x", "previewed": claimed}
            answer = await shop.visitors.sends(client, "/dead-letter/redrive", **form)
            assert answer.status_code == 409
            assert "This text is another one than was shown: look at it first." in answer.text
            assert "€7.00" in answer.text, "it is shown now"
        assert await waiting(shop) == 0
        form = {**AT, "text": text.replace("\n", "\r\n"), "why": "x", "previewed": seen}
        assert (await shop.visitors.sends(client, "/dead-letter/redrive", **form)).status_code == 303


async def test_without_a_reason_nothing_is_written_and_the_text_is_kept(shop: Shop) -> None:
    await parked(shop, b"{")
    async with shop.browser() as client:
        answer = await redrive(shop, client, order(shop), why=" ")
    assert answer.status_code == 422
    assert "Say why" in answer.text
    assert '"currency": "GBP"' in text_area(answer)
    assert (await waiting(shop), await parked_now(shop)) == (0, 1)


async def test_a_record_that_this_version_reads_is_left_to_a_rebuild(shop: Shop) -> None:
    """As after an upgrade: it was parked by a version that did not know its type."""
    await parked(shop, b"{")
    dead: Any = shop.read_model
    ((place, letter),) = dead._inbox(1).dead.items()
    dead._inbox(1).dead[place] = type(letter)(
        *(ORDERS, 0, order(shop).encode(), "UNKNOWN_TYPE", "no event type", letter.appended_at_us)
    )
    async with shop.browser() as client:
        text = await page(client, "/dead-letter", **AT)
        assert "countinghouse rebuild --accept-differences" in text
        assert "<textarea" not in text
        answer = await preview(shop, client, order(shop))
        assert answer.status_code == 422
        assert "This version can read the record: a rebuild counts it, and would count both." in answer.text
        assert (await shop.visitors.sends(client, "/dead-letter/discard", **AT, why="no")).status_code == 303
    assert await waiting(shop) == 0


async def test_a_decided_letter_is_not_driven_again(shop: Shop) -> None:
    await parked(shop, b"{")
    async with shop.browser() as client:
        looked = previewed(await preview(shop, client, order(shop)))
        await shop.visitors.sends(client, "/dead-letter/discard", **AT, why="mine")
        for path in ("/dead-letter/preview", "/dead-letter/redrive"):
            form = {**AT, "text": order(shop), "why": "x", "previewed": looked}
            answer = await shop.visitors.sends(client, path, **form)
            assert answer.status_code == 409
        assert (await shop.visitors.sends(client, "/dead-letter/send", **AT)).status_code == 422
    assert await waiting(shop) == 0


@pytest.mark.parametrize("value", HOSTILE, ids=repr)
async def test_a_hostile_record_is_text_in_the_editor_and_stays_so(shop: Shop, value: bytes | None) -> None:
    await parked(shop, value)
    async with shop.browser() as client:
        shown = await client.get("/dead-letter", params=AT)
        again = await preview(shop, client, text_area(shown))
        for answer in (shown, again):
            assert Tables(answer.text).scripts == 1
            assert "<img src=x" not in answer.text
            assert answer.text.count("</textarea>") == 1
    assert again.status_code == 422


async def test_an_event_of_the_greatest_size_can_be_edited_and_no_larger_form_is_taken(shop: Shop) -> None:
    await parked(shop, b"{")
    lines = [{"product_id": "Ä" * 64, "quantity": 1, "amount_minor": 1}] * 1380
    text = json.dumps(json.loads(order(shop, lines=lines)), ensure_ascii=False)
    assert MAX_RECORD_BYTES * 0.9 < len(text.encode()) < MAX_RECORD_BYTES
    async with shop.browser() as client:
        assert (await redrive(shop, client, text)).status_code == 303
        answer = await shop.visitors.sends(client, "/dead-letter/preview", **AT, text="x" * 4 * MAX_RECORD_BYTES)
        assert answer.status_code == 413
        answer = await shop.visitors.sends(client, "/dead-letter/discard", **AT, why="x" * 70_000)
        assert answer.status_code == 413
    assert await waiting(shop) == 1


async def test_an_event_that_is_too_large_for_the_log_is_refused(shop: Shop) -> None:
    await parked(shop, b"{")
    lines = [{"product_id": "Ä" * 64, "quantity": 1, "amount_minor": 1}] * 2000
    text = json.dumps(json.loads(order(shop, lines=lines)), ensure_ascii=False)
    async with shop.browser() as client:
        answer = await preview(shop, client, text)
    assert answer.status_code == 422
    assert "TOO_LARGE: the event has" in answer.text


class Dies(BaseException):
    """In the place of a killed process."""


def desk_of(shop: Shop, dies_at: str = "") -> LetterDesk:
    class Points:
        def passing(self, name: str) -> None:
            if name == dies_at:
                raise Dies

    points: Any = Points()
    audit = shop.visitors.office.audits["backoffice"]
    return LetterDesk(shop.read_model.letters, audit, shop.outbox, shop.codec, shop.clock, points)


@pytest.mark.parametrize("point", ["letters.after_decision", "letters.after_outbox"])
async def test_wherever_a_re_drive_is_broken_off_it_is_gone_on_with_and_counted_once(shop: Shop, point: str) -> None:
    await parked(shop, broken(shop).encode())
    with pytest.raises(Dies):
        await desk_of(shop, point).redrive(ORDERS, 0, order(shop), "pounds are GBP", TEST)
    assert await parked_now(shop) == 0
    async with shop.browser(role=Role.OPERATOR) as client:
        assert [row[4] for row in Tables(await page(client, "/dead-letters", state="unsent")).tables[1][1:]] == [
            "unsent by a test"
        ]
        assert 'action="/dead-letter/send?' in await page(client, "/dead-letter", **AT)
        with pytest.raises(Dies):
            await desk_of(shop, "letters.after_outbox").send(ORDERS, 0, TEST)
        await shop.sends()
        await shop.counts()
        shop.clock.passes(1)
        assert await shop.outbox.clean(0) == 1
        assert (await shop.visitors.sends(client, "/dead-letter/send", **AT)).status_code == 303
        assert 'action="/dead-letter/send?' not in await page(client, "/dead-letter", **AT)
        assert (await shop.visitors.sends(client, "/dead-letter/send", **AT)).status_code == 422
    await shop.sends()
    await shop.counts()
    assert await sold(shop) == {"A": 700, "B": 99}


async def test_while_the_outbox_is_away_the_decision_stands_and_shows_what_is_missing(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    await parked(shop, b"{")

    async def away(*_: object) -> bool:
        raise StorageUnavailable("away")

    async with shop.browser() as client:
        with monkeypatch.context() as patched:
            patched.setattr(shop.outbox, "write_once", away)
            assert (await redrive(shop, client, order(shop))).status_code == 503
        assert "perhaps it isn't sent" in " ".join((await page(client, "/dead-letter", **AT)).split())
        assert (await shop.visitors.sends(client, "/dead-letter/send", **AT)).status_code == 303
    assert await waiting(shop) == 1


async def test_a_rebuild_counts_what_was_counted_live_and_keeps_the_decisions(shop: Shop) -> None:
    await parked(shop, broken(shop).encode(), b"no json")
    async with shop.browser() as client:
        await redrive(shop, client, order(shop))
        await shop.visitors.sends(client, "/dead-letter/discard", **{**AT, "offset": "1"}, why="noise")
    await shop.sends()
    await shop.counts()
    second = await shop.read_model.begin_generation("again")
    projector = Projector(shop.read_model, second, False, PROJECTIONS, shop.codec)
    for tp, rows in shop.log._partitions.items():
        if rows.values:
            await projector.apply(await shop.log.read(tp, 0))
    (live, rebuilt) = (await shop.read_model.snapshot(1), await shop.read_model.snapshot(second))
    assert live.dead == rebuilt.dead == {(ORDERS, 0), (ORDERS, 1)}
    for name, live_rows in live.rows.items():
        assert live_rows.equals(rebuilt.rows[name])
    await shop.read_model.switch(second, "equal")
    assert await parked_now(shop) == 0
