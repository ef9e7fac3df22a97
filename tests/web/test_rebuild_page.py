"""The page of rebuilds: whatever its process says or does, the page says it in words; and who may act."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from html import unescape

import httpx
import pytest

from backoffice.rebuild_lines import Begun, Compared, DifferenceLine, Ended, Line, Outcome, Progressed, written
from backoffice.rebuilds import Rebuilds
from backoffice.sign_in.roles import Role
from projections.read_model import State
from projections.rebuild_lease import LEASE
from tests.web.shop import HOSTILE_ID, HOSTILE_NAME, Shop, Tables, viewed

AUTUMN = datetime(2011, 10, 28, tzinfo=UTC)
DIFFERENCE = DifferenceLine("sales", "gross_minor", HOSTILE_ID, "2011-10-28T09:00Z", "GBP", "101", "100")
REFUSED = (
    Begun(2),
    Compared(rows=7, records=9, differing=3, named=1, differences=[DIFFERENCE]),
    Ended(Outcome.REFUSED, error="3 differences from the serving figures:"),
)
WAITS = "import time; time.sleep(600)"


def says(*lines: Line) -> str:
    """A program in place of the command."""
    return f"import sys; sys.stdout.buffer.write({b''.join(map(written, lines))!r}); sys.stdout.flush()"


@dataclass
class Desk:
    shop: Shop
    client: httpx.AsyncClient
    rebuilds: Rebuilds

    async def sends(self, act: str, **fields: str) -> httpx.Response:
        return await self.shop.visitors.sends(self.client, "/rebuild", act=act, **fields)

    async def starts(self, act: str = "rebuild", **fields: str) -> None:
        answer = await self.sends(act, **{"note": "prove it", **fields})
        assert (answer.status_code, answer.headers.get("location")) == (303, "/rebuild"), answer.text

    async def text(self) -> str:
        return unescape((await self.client.get("/rebuild")).raise_for_status().text)

    async def after(self) -> str:
        """The page once the process has ended."""
        async with asyncio.timeout(60):
            while self.rebuilds.running:
                await asyncio.sleep(0.01)
        return await self.text()

    async def said(self) -> None:
        """Waits until it has heard of a generation and progress."""
        async with asyncio.timeout(60):
            while not (self.rebuilds.last and self.rebuilds.last.progress):
                await asyncio.sleep(0.01)

    async def audited(self) -> Sequence[tuple[str, str]]:
        rows = await self.rebuilds.audit.older()
        return [(one.what, one.who) for one in reversed(rows) if one.what.startswith(("rebuild", "rollback"))]


@asynccontextmanager
async def desk(shop: Shop, program: str, role: Role = Role.OPERATOR) -> AsyncIterator[Desk]:
    rebuilds = shop.rebuilds(program)
    rebuilds.grace_s = 1
    try:
        async with shop.browser(role=role, rebuilds=rebuilds) as client:
            yield Desk(shop, client, rebuilds)
    finally:
        await rebuilds.close()


async def test_without_a_rebuild_the_page_says_what_one_is_and_that_there_is_nothing_to_roll_back_to(
    shop: Shop,
) -> None:
    async with desk(shop, WAITS) as one:
        text = await one.text()
        (generations,) = Tables(text).tables
    assert "No rebuild is running" in text
    assert "Generation 1 serves." in text
    assert "There is nothing to roll back to" in text
    assert generations[1][:2] == ["1", "serving"]


async def test_viewers_see_everything_and_are_offered_nothing(shop: Shop) -> None:
    async with desk(shop, WAITS) as one:
        await one.starts()
        async with shop.browser(role=Role.VIEWER, rebuilds=one.rebuilds) as client:
            text = (await client.get("/rebuild")).text
            assert "Rebuild is running" in text
            assert 'action="/rebuild"' not in text
            for act in ("rebuild", "cancel", "rollback", "accept"):
                answer = await shop.visitors.sends(client, "/rebuild", act=act, note="x", sure="on", reason="y")
                assert answer.status_code == 403
        assert 'value="cancel"' in await one.text()


async def test_progress_is_shown_as_a_bar_and_as_numbers(shop: Shop) -> None:
    async with desk(shop, f"{says(Begun(2), Progressed(250, 1000))}; {WAITS}") as one:
        await one.starts(records_per_s="5000")
        await one.said()
        text = await one.text()
        run = (await one.client.get("/api/rebuild")).json()["run"]
    assert '<progress max="1000" value="250"' in text
    assert "250 of 1,000 records, 25%" in text
    assert "5,000 records/s" in text
    assert (run["state"], run["counted"], run["total"], run["limit_records_per_s"]) == ("running", 250, 1000, 5000.0)


async def test_differences_are_shown_as_text_with_the_count_of_the_rest(shop: Shop) -> None:
    async with desk(shop, says(*REFUSED)) as one:
        await one.starts(note=HOSTILE_NAME.replace("\u202e", ""))
        text = await one.after()
        raw = (await one.client.get("/rebuild")).text
        (differences, _) = Tables(raw).tables
    assert differences[1] == ["sales", "gross_minor", HOSTILE_ID, "2011-10-28T09:00Z", "GBP", "101", "100"]
    assert "2 more rows differ and are not shown." in text
    assert "Rebuild was refused" in text
    assert Tables(raw).scripts == 1
    assert "<img src=x" not in raw


async def test_differences_are_accepted_only_after_they_were_shown_and_with_a_reason(shop: Shop) -> None:
    async with desk(shop, says(*REFUSED)) as one:
        assert (await one.sends("accept", note="x", reason="y")).status_code == 422
        assert 'value="accept"' not in await one.text()
        await one.starts()
        assert 'value="accept"' in await one.after()
        assert (await one.sends("accept", note="x")).status_code == 422
        await one.starts("accept", reason="the reader was repaired")
        assert "the reader was repaired" in await one.after()


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "was ended by SIGKILL"),
        ('print(\'{"said": "hello"}\')', 'It said what is no report: {"said": "hello"}'),
        ("import sys; sys.stdout.buffer.write(b'\\xff' * 3_000_000)", "a line without an end"),
        ("import sys; sys.exit('the settings are wrong')", "ended with code 1: the settings are wrong"),
        ("", "ended with code 0"),
    ],
)
async def test_a_process_that_says_nothing_useful_is_told_of_with_what_to_do(
    shop: Shop, program: str, words: str
) -> None:
    async with desk(shop, program) as one:
        await one.starts()
        text = await one.after()
        assert "Rebuild failed" in text
        assert words in text
        assert "Start it again." in text
        assert (await one.audited())[-1] == ("rebuild.failed", "operator")


async def test_what_keeps_a_rebuild_from_beginning_is_shown_in_its_own_words(shop: Shop) -> None:
    why = "the log has lost offsets 3 to 7 of order-events/0"
    async with desk(shop, says(Ended(Outcome.FAILED, error=why))) as one:
        await one.starts()
        assert why in await one.after()


async def test_a_machine_without_room_for_a_process_says_so(shop: Shop) -> None:
    async with desk(shop, WAITS) as one:
        one.rebuilds.command = ("/nowhere/python",)
        answer = await one.sends("rebuild", note="prove it")
        assert answer.status_code == 409
        assert "The process that rebuilds can't be started: No such file" in unescape(answer.text)


async def test_what_has_said_that_it_ended_is_not_cancelled_any_more(shop: Shop) -> None:
    program = f"{says(Begun(2), Progressed(1, 1), Ended(Outcome.SWITCHED, 2, 1, 9))}; import time; time.sleep(1)"
    async with desk(shop, program) as one:
        await one.starts()
        async with asyncio.timeout(60):
            while not (one.rebuilds.last and one.rebuilds.last.ended):
                await asyncio.sleep(0.01)
        assert (await one.sends("cancel")).status_code == 409
        assert "Rebuild has switched" in await one.after()


async def test_garbage_in_between_changes_nothing(shop: Shop) -> None:
    program = f"print('a warning of some library', flush=True); {says(Begun(2), Ended(Outcome.SWITCHED, 2, 1, 9))}"
    async with desk(shop, program) as one:
        await one.starts()
        assert "Rebuild has switched" in await one.after()


async def test_a_process_that_died_after_its_switch_has_switched(shop: Shop) -> None:
    program = f"{says(Begun(2), Progressed(1, 1))}; import time; time.sleep(1)"
    async with desk(shop, program) as one:
        await one.starts()
        await one.said()
        second = await shop.read_model.begin_generation("prove it (operator)")
        await shop.read_model.switch(second, "prove it (operator)")
        assert "Rebuild has switched" in await one.after()
        assert (await one.audited())[-1] == ("rebuild.switched", "operator")


async def test_a_process_that_died_leaves_its_generation_to_nobody(shop: Shop) -> None:
    await shop.happened(viewed(AUTUMN, "A"))
    async with desk(shop, f"{says(Begun(2), Progressed(1, 1))}; import time; time.sleep(1)") as one:
        await one.starts()
        await one.said()
        second = await shop.read_model.begin_generation("prove it (operator)")
        await one.after()
        (_, left) = await shop.read_model.generations()
    assert (left.number, left.state) == (second, State.ABANDONED)
    assert left.note == "prove it (operator): its process died"


async def test_somebody_elses_generation_is_left_alone_and_shown_as_left_behind(shop: Shop) -> None:
    left = await shop.read_model.begin_generation("theirs")
    async with desk(shop, "") as one:
        await one.starts()
        text = await one.after()
        assert f"Generation {left} was left behind" in text
        assert (await shop.read_model.generations())[-1].state is State.BUILDING


async def test_a_rebuild_elsewhere_is_shown_and_keeps_ours_from_starting(shop: Shop) -> None:
    await shop.happened(viewed(AUTUMN, "A"))
    await shop.leases.take([LEASE], "rebuild-there-7", 60)
    await shop.read_model.begin_generation("theirs")
    async with desk(shop, WAITS) as one:
        text = await one.text()
        assert "Runs elsewhere" in text
        assert "rebuild-there-7" in text
        assert "0 of 1 records, 0%" in text
        answer = await one.sends("rebuild", note="ours")
        assert answer.status_code == 409
        assert "A rebuild or rollback is running (rebuild-there-7)." in answer.text
        assert (await one.sends("cancel")).status_code == 409
        assert one.rebuilds.last is None


async def test_two_clicks_at_once_start_one(shop: Shop) -> None:
    async with desk(shop, WAITS) as one:
        answers = await asyncio.gather(*(one.sends("rebuild", note="prove it") for _ in range(3)))
        assert sorted(answer.status_code for answer in answers) == [303, 409, 409]


async def test_cancelling_is_in_the_audit_under_the_name_of_who_did_it(shop: Shop) -> None:
    async with desk(shop, f"{says(Begun(2), Progressed(1, 9))}; {WAITS}") as one:
        await one.starts()
        await one.said()
        async with shop.browser(role=Role.ADMIN, rebuilds=one.rebuilds) as client:
            assert (await shop.visitors.sends(client, "/rebuild", act="cancel")).status_code == 303
        assert "Rebuild was cancelled" in await one.after()
        assert (await one.audited())[-1] == ("rebuild.cancelled", "admin")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "The note is missing"),
        ({"note": "   "}, "The note is missing"),
        ({"note": "x" * 501}, "one line of text"),
        ({"note": "a\x00b"}, "one line of text"),
        ({"note": "x", "records_per_s": "0"}, "a whole number from 1"),
        ({"note": "x", "records_per_s": "fast"}, "a whole number from 1"),
        ({"note": "x", "records_per_s": "-1"}, "a whole number from 1"),
        ({"note": "x", "act": "explode"}, "No act 'explode'"),
        ({"note": "x", "act": "rollback"}, "tick the box"),
    ],
)
async def test_a_form_that_says_too_little_or_too_much_is_one_sentence(
    shop: Shop, fields: dict[str, str], words: str
) -> None:
    async with desk(shop, WAITS) as one:
        answer = await one.sends(**{"act": "rebuild", **fields})
        assert answer.status_code == 422
        assert words in unescape(answer.text)
        assert one.rebuilds.last is None


async def test_a_note_that_looks_like_an_option_is_a_note(shop: Shop) -> None:
    program = "import sys; sys.exit(' '.join(sys.argv[1:]))"
    async with desk(shop, program) as one:
        await one.starts(note="--rollback")
        assert "--note=--rollback --who=operator --request-id=" in await one.after()


async def test_the_api_says_it_with_the_completeness_and_is_described(shop: Shop) -> None:
    await shop.happened(viewed(AUTUMN, "A"))
    async with desk(shop, says(*REFUSED)) as one:
        assert (await one.client.get("/api/rebuild")).json()["run"] is None
        await one.starts()
        await one.after()
        answer = (await one.client.get("/api/rebuild")).json()
        described = (await one.client.get("/schema/openapi.json")).json()["paths"]["/api/rebuild"]["get"]
    assert answer["completeness"]["offset"] == 1
    assert answer["run"]["state"] == "refused"
    assert answer["run"]["comparison"]["differences"][0]["product"] == HOSTILE_ID
    assert answer["generations"][0]["state"] == "serving"
    assert described["operationId"] == "rebuild"


async def test_a_rebuild_is_paused_and_resumed_and_the_page_says_by_whom_and_why(shop: Shop) -> None:
    async with desk(shop, f"{says(Begun(2), Progressed(250, 1000))}; {WAITS}") as one:
        assert 'value="pause"' not in await one.text()
        refused = await one.sends("resume")
        await one.starts()
        await one.said()
        assert 'value="pause"' in await one.text()
        no_reason = await one.sends("pause", why=" ")
        done = [await one.sends("pause", why="it is <b>noon</b>"), await one.sends("pause", why="again")]
        paused = (await one.client.get("/rebuild")).text
        answer = (await one.client.get("/api/rebuild")).json()["paused"]
        async with shop.browser(role=Role.VIEWER, rebuilds=one.rebuilds) as client:
            seen = (await client.get("/rebuild")).text
        done += [await one.sends("resume")]
        after = await one.text()
    assert (refused.status_code, no_reason.status_code) == (409, 422)
    assert [answer.status_code for answer in done] == [303, 409, 303]
    for page in (paused, seen):
        assert "by <bdi>operator</bdi>: <bdi>it is &lt;b&gt;noon&lt;/b&gt;</bdi>" in page
    assert ('value="resume"' in paused, 'value="resume"' in seen) == (True, False)
    assert (answer["part"], answer["who"]) == ("rebuild", "operator")
    assert "Rebuilding is paused" not in after
    rows = [row.what for row in await shop.visitors.office.audits["backoffice"].older()]
    assert [what for what in rows if what in ("rebuild.paused", "rebuild.resumed")] == [
        "rebuild.resumed",
        "rebuild.paused",
    ]
