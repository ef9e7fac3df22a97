"""Dead letters on their pages: what is parked, by whom it was decided, and nothing a record holds can act."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from html import unescape
from typing import Any

import pytest

from backoffice.sign_in.roles import Role
from event_store.errors import LogUnavailable
from event_store.log import Bounds
from event_store.memory_log import MemoryLog
from event_store.record import Record, TopicPartition
from projections.catalogue import PROJECTIONS
from projections.projector import Projector
from tests.web.reading import page
from tests.web.shop import HOSTILE_NAME, PARTITIONS, Shop, Tables
from tests.web.visitors import NO_SIGN_IN

ORDERS = TopicPartition("order-events", 1)
CATALOG = TopicPartition("catalog-events", 0)
AT = {"topic": "order-events", "partition": "1", "offset": "0"}
HOSTILE: Sequence[bytes | None] = [
    b"<script>alert(1)</script>",
    b"</textarea></pre><img src=x onerror=alert(1)>",
    HOSTILE_NAME.encode(),
    b"\xff\xfe\x00\x1b[2J",
    b'{"a": "\\ud800"}',
    b"",
    None,
]


async def parked(shop: Shop, *values: bytes | None, tp: TopicPartition = ORDERS) -> None:
    await shop.log.append(tp, [Record(b"key", value) for value in values])
    await shop.counts()


async def acts(shop: Shop) -> list[tuple[str, str, str, str]]:
    """The audit's newest rows first, without those of accounts."""
    rows = await shop.visitors.office.audits["backoffice"].older()
    return [(row.who, row.what, row.on, row.reason) for row in rows if row.what.startswith("dead_letter.")]


async def parked_now(shop: Shop) -> int:
    return (await shop.pipeline.completeness()).parked


async def test_letters_are_shown_by_reason_and_one_by_one(shop: Shop) -> None:
    await parked(shop, b"{", b"no json")
    await parked(shop, b'{"specversion": "1.0", "type": "com.countinghouse.catalog.Nothing.v1"}', tp=CATALOG)
    async with shop.browser(role=Role.VIEWER) as client:
        text = await page(client, "/dead-letters")
        (groups, letters) = Tables(text).tables
        assert [row[:5] for row in groups[1:]] == [
            ["NOT_JSON", "order-events", "2", "0", "0"],
            ["UNKNOWN_TYPE", "catalog-events", "1", "0", "0"],
        ]
        assert [row[2] for row in letters[1:]] == ["NOT_JSON", "NOT_JSON", "UNKNOWN_TYPE"]
        assert 'href="/record?range=today&amp;tz=UTC&amp;topic=order-events&amp;partition=1&amp;offset=1"' in text
        (_, letters) = Tables(await page(client, "/dead-letters", reason="UNKNOWN_TYPE")).tables
        assert [row[1] for row in letters[1:]] == ["catalog-events/0, offset 0"]
        assert "None that is discarded." in await page(client, "/dead-letters", state="discarded")
        assert 'method="post"' not in text.partition("<main")[2], "a viewer has nothing to send"


async def test_a_shop_without_dead_letters_says_so(shop: Shop) -> None:
    async with shop.browser() as client:
        assert "No dead letters" in await page(client, "/dead-letters")
        answer = await client.get("/dead-letter", params=AT)
    assert answer.status_code == 400
    assert "No dead letter at order-events/1, offset 0." in answer.text


async def test_long_lists_go_on_to_their_end_without_repeating(shop: Shop) -> None:
    await parked(shop, *[b"{"] * 99)
    await parked(shop, *[b"{"] * 22, tp=CATALOG)
    seen: list[str] = []
    url = "/dead-letters"
    pages = 0
    async with shop.browser() as client:
        while url:
            pages += 1
            text = await page(client, url)
            seen += [row[1] for row in Tables(text).tables[1][1:]]
            found = re.search(r'href="([^"]+)" rel="next"', text)
            url = unescape(found[1]) if found else ""
    assert (pages, len(seen), len(set(seen))) == (3, 121, 121)


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/dead-letters", {"state": "gone"}),
        ("/dead-letters", {"below": "x"}),
        ("/dead-letters", {"below": "1:order-events:0:1:2"}),
        ("/dead-letters", {"below": "99999999999999999999:order-events:0:1"}),
        ("/dead-letter", {}),
        ("/dead-letter", {**AT, "offset": "-1"}),
        ("/dead-letter", {**AT, "partition": "9" * 18}),
        ("/dead-letter", {**AT, "topic": "\x00"}),
    ],
)
async def test_what_can_not_be_asked_is_one_line(shop: Shop, path: str, query: dict[str, str]) -> None:
    await parked(shop, b"{")
    async with shop.browser() as client:
        assert (await client.get(path, params=query)).status_code == 400


@pytest.mark.parametrize("name", ["reason", "topic", "state", "below", "unknown"])
@pytest.mark.parametrize("text", ["%00", "%FF%FE", "%ED%A0%80", "a" * 3000, "<script>", "%27%22%3E", "{{7*7}}"])
async def test_no_value_in_the_url_breaks_the_page(shop: Shop, name: str, text: str) -> None:
    await parked(shop, b"{")
    async with shop.browser() as client:
        answer = await client.get(f"/dead-letters?{name}={text}")
    assert answer.status_code in (200, 400)
    assert "<script>" not in answer.text


@pytest.mark.parametrize("value", HOSTILE, ids=repr)
async def test_nothing_that_a_record_holds_acts_on_its_page(shop: Shop, value: bytes | None) -> None:
    await parked(shop, value)
    async with shop.browser() as client:
        for text in (await page(client, "/dead-letter", **AT), await page(client, "/dead-letters")):
            assert Tables(text).scripts == 1
            assert "<img src=x" not in text
            assert "{{7*7}}" not in text or HOSTILE_NAME.encode() == value


async def test_an_operator_discards_one_letter_with_a_reason(shop: Shop) -> None:
    await parked(shop, b"{", b"no json")
    assert await parked_now(shop) == 2
    async with shop.browser(role=Role.OPERATOR) as client:
        answer = await shop.visitors.sends(client, "/dead-letter/discard", **AT, why="  a  test order ")
        assert answer.status_code == 303
        text = await page(client, answer.headers["location"])
        assert "discarded by <bdi>operator</bdi>" in text
        assert "/dead-letter/discard" not in text, "it is decided"
    assert await parked_now(shop) == 1
    assert await acts(shop) == [("operator", "dead_letter.discarded", "order-events/1, offset 0", "a test order")]
    status = await shop.pipeline.status()
    assert sum(one.dead for one in status.partitions) == 2
    assert sum(one.undecided for one in status.partitions) == 1


@pytest.mark.parametrize("why", ["", "   ", "x" * 501, "a\x00b", "a\u202eb"])
async def test_without_a_reason_in_words_nothing_is_discarded(shop: Shop, why: str) -> None:
    await parked(shop, b"{")
    async with shop.browser() as client:
        one = await shop.visitors.sends(client, "/dead-letter/discard", **AT, why=why)
        every = await shop.visitors.sends(client, "/dead-letters/discard", reason="NOT_JSON", count="1", why=why)
    for answer in (one, every):
        assert answer.status_code == 422
        assert "Say why, in 1 to 500 characters." in answer.text
    assert (await parked_now(shop), await acts(shop)) == (1, [])


async def test_who_comes_second_is_told_who_was_first(shop: Shop) -> None:
    await parked(shop, b"{")
    async with shop.browser() as ada, shop.browser(role=Role.OPERATOR) as bob:
        await shop.visitors.sends(ada, "/dead-letter/discard", **AT, why="mine")
        answer = await shop.visitors.sends(bob, "/dead-letter/discard", **AT, why="no, mine")
    assert answer.status_code == 409
    assert "Order-events/1, offset 0: admin decided before; it is discarded." in answer.text
    assert [row[3] for row in await acts(shop)] == ["mine"]


async def test_all_of_a_reason_are_discarded_as_they_were_counted(shop: Shop) -> None:
    await parked(shop, b"{", b"no json", None)
    async with shop.browser(role=Role.OPERATOR) as client:
        form = {"reason": "NOT_JSON", "why": "an old printer"}
        for wrong in ("1", "3", "0"):
            answer = await shop.visitors.sends(client, "/dead-letters/discard", **form, count=wrong)
            assert answer.status_code == 409
            assert f"2 letters wait for a decision there now, and {wrong} were confirmed." in answer.text
            assert 'name="count" value="2"' in answer.text, "the count is shown anew"
            assert "an old printer" in answer.text
        assert (await shop.visitors.sends(client, "/dead-letters/discard", **form, count="x")).status_code == 422
        assert (await parked_now(shop), await acts(shop)) == (3, [])
        assert (await shop.visitors.sends(client, "/dead-letters/discard", **form, count="2")).status_code == 303
        again = await shop.visitors.sends(client, "/dead-letters/discard", **form, count="0")
        assert again.status_code == 422
    assert await parked_now(shop) == 1
    assert await acts(shop) == [("operator", "dead_letter.discarded", "all NOT_JSON", "an old printer")]


async def test_somebody_who_decides_in_between_is_in_the_audit_with_what_came_of_it(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The letter was undecided when it was looked at."""
    await parked(shop, b"{")
    letters: Any = shop.read_model.letters
    decide = letters.decide

    async def beaten(*call: Any) -> None:
        await decide(*call)
        await decide(*call)

    monkeypatch.setattr(letters, "decide", beaten)
    async with shop.browser() as client:
        assert (await shop.visitors.sends(client, "/dead-letter/discard", **AT, why="mine")).status_code == 409
    assert [row[1] for row in await acts(shop)] == ["dead_letter.refused", "dead_letter.discarded"]


async def test_a_viewer_sees_and_decides_nothing(shop: Shop) -> None:
    await parked(shop, b"{")
    async with shop.browser(role=Role.VIEWER) as client:
        for url in ("/dead-letters", "/dead-letter?" + "&".join(f"{name}={value}" for name, value in AT.items())):
            assert "/discard" not in (await page(client, url))
        answer = await shop.visitors.sends(client, "/dead-letter/discard", **AT, why="mine")
        assert answer.status_code == 403
    assert await parked_now(shop) == 1


async def test_without_sign_in_the_pages_only_show(shop: Shop) -> None:
    await parked(shop, b"{")
    async with shop.browser(role=None, gate=NO_SIGN_IN) as client:
        text = await page(client, "/dead-letters")
        assert "countinghouse letters" in text
        assert "/discard" not in text
        assert (await client.post("/dead-letters/discard")).status_code in (404, 405)
        assert "/discard" not in await page(client, "/dead-letter", **AT)


async def test_a_discarded_letter_stays_decided_and_parked_nowhere_after_a_rebuild(shop: Shop) -> None:
    await parked(shop, b"{", b"no json")
    async with shop.browser() as client:
        await shop.visitors.sends(client, "/dead-letter/discard", **AT, why="mine")
        second = await shop.read_model.begin_generation("again")
        projector = Projector(shop.read_model, second, False, PROJECTIONS, shop.codec)
        await projector.apply(await shop.log.read(ORDERS, 0))
        await shop.read_model.switch(second, "it is equal")
        assert "discarded by <bdi>admin</bdi>" in await page(client, "/dead-letter", **AT)
    assert await parked_now(shop) == 1


async def test_the_pipeline_and_the_record_lead_to_the_letter(shop: Shop) -> None:
    await parked(shop, b"{")
    async with shop.browser() as client:
        assert 'href="/dead-letters?range=today&amp;tz=UTC&amp;reason=NOT_JSON&amp;state=all"' in await page(
            client, "/pipeline"
        )
        record = await page(client, "/record", **AT)
    assert 'href="/dead-letter?range=today&amp;tz=UTC&amp;topic=order-events&amp;partition=1&amp;offset=0"' in record


async def test_programs_read_letters_to_their_end_with_what_was_decided(shop: Shop) -> None:
    await parked(shop, *[b"{"] * 5)
    await parked(shop, b"\xff", None, tp=CATALOG)
    seen: list[dict[str, Any]] = []
    async with shop.browser() as client:
        await shop.visitors.sends(client, "/dead-letter/discard", **AT, why="noise")
        asked: dict[str, str] = {"most": "3"}
        while True:
            answer = (await client.get("/api/dead-letters", params=asked)).json()
            assert answer["completeness"]["parked"] == 6
            seen += answer["letters"]
            if answer["next"] is None:
                break
            asked["below"] = answer["next"]
        of_state = await client.get("/api/dead-letters", params={"state": "discarded"})
        wrong = [await client.get("/api/dead-letters", params=one) for one in ({"state": "x"}, {"below": "x"})]
    assert [(one["topic"], one["offset"]) for one in seen] == [
        *(("order-events", offset) for offset in (4, 3, 2, 1, 0)),
        *(("catalog-events", offset) for offset in (1, 0)),
    ]
    (letter,) = of_state.json()["letters"]
    assert letter == {
        "topic": "order-events",
        "partition": 1,
        "offset": 0,
        "appended_at": "2011-12-01T12:00:00Z",
        "reason": "NOT_JSON",
        "detail": letter["detail"],
        "state": "discarded",
        "decision": {
            "act": "discarded",
            "who": "admin",
            "at": "2011-12-01T12:00:00Z",
            "reason": "noise",
            "event_id": None,
            "sent_at": None,
        },
    }
    assert letter in seen
    assert {answer.status_code for answer in wrong} == {400}


IN_INDIA = '<time datetime="2011-12-01T12:00:00+00:00">1 Dec 2011, 17:30:00</time>'


async def test_letters_say_their_times_in_the_zone_that_was_chosen_and_how_complete_figures_are(shop: Shop) -> None:
    await parked(shop, b"{")
    async with shop.browser(role=Role.OPERATOR) as client:
        every = await page(client, "/dead-letters", tz="Asia/Kolkata")
        link = re.search(r'href="([^"]+)" aria-label="Open the letter', every)
        assert link is not None
        one = await page(client, unescape(link[1]))
        action = re.search(r'action="(/dead-letter/discard[^"]*)"', one)
        assert action is not None
        answer = await shop.visitors.sends(client, unescape(action[1]), **AT, why="a test order")
        after = await page(client, answer.headers["location"])
    for text in (every, one, after):
        assert IN_INDIA in text
        assert "Times in Asia/Kolkata" in text
        assert 'class="stamp stamp-ok" id="stamp" data-live>' in text
    assert "1 parked" in one
    assert f"discarded by <bdi>operator</bdi>, {IN_INDIA}" in after
    assert "parked" not in after.partition('id="stamp"')[2].partition("</p>")[0]


async def test_the_answer_to_a_form_is_not_read_again_by_itself(shop: Shop) -> None:
    """It stands at an address that only forms are sent to."""
    await parked(shop, b"{")
    async with shop.browser() as client:
        one = await shop.visitors.sends(client, "/dead-letter/discard", **AT, why="")
        every = await shop.visitors.sends(client, "/dead-letters/discard", reason="NOT_JSON", count="1", why="")
    for answer in (one, every):
        assert (answer.status_code, "data-live" in answer.text, 'id="stamp"' in answer.text) == (422, False, True)


class LogAway(MemoryLog):
    async def bounds(self, tps: Iterable[TopicPartition]) -> Mapping[TopicPartition, Bounds]:
        raise LogUnavailable("away")


async def test_letters_are_read_and_decided_while_the_log_is_away(shop: Shop) -> None:
    await parked(shop, b"{")
    away = LogAway(shop.clock)
    for topic, partitions in PARTITIONS.items():
        await away.create_topic(topic, partitions)
    shop.log = away
    async with shop.browser() as client:
        for text in (await page(client, "/dead-letter", **AT), await page(client, "/dead-letters")):
            assert "NOT_JSON" in text
            assert "nobody can say how complete the figures are" in text
        assert (await shop.visitors.sends(client, "/dead-letter/discard", **AT, why="noise")).status_code == 303
    assert [row[3] for row in await acts(shop)] == ["noise"]
