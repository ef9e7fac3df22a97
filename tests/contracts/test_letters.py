"""What every read model promises about dead letters and the decisions about them."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from event_store.inbox import Position
from event_store.record import TopicPartition
from projections.letters import (
    Act,
    Chosen,
    Decision,
    Letter,
    LetterCount,
    LetterDecided,
    LettersAsked,
    LettersChanged,
    NoSuchLetter,
)
from projections.read_model import Effect, ReadModel

from .conftest import Open
from .effects import APPENDED_AT_US, OTHER, TP, Batch, commit, effect, letter

DISCARDED = Decision(Act.DISCARDED, "ada", 1_700_000_000_000_001, "a test order")
REDRIVEN = Decision(Act.REDRIVEN, "bob", 1_700_000_000_000_002, "its price was text", "an-id", b'{"id":"an-id"}')


async def parked(read_model: ReadModel) -> None:
    """Three letters in one partition, the second a tombstone, and two in another, of another reason."""
    generation = await read_model.serving()
    await commit(read_model, generation, Batch(3, dead=[(0, b"{"), (1, None), (2, b"\xff\x00")]))
    one = effect(generation, Position(), Batch(2, tp=OTHER, dead=[(0, b"a"), (1, b"b")]))
    (entry,) = one.entries
    others = [replace(dead, reason="UNKNOWN_TYPE") for dead in entry.dead_letters]
    await read_model.commit(Effect([replace(entry, dead_letters=others)], {}), serving=True)


def places(letters: list[Letter]) -> list[tuple[TopicPartition, int]]:
    return [(one.dead.tp, one.dead.offset) for one in letters]


async def asked(read_model: ReadModel, chosen: Chosen = Chosen.ALL, reason: str = "", topic: str = "") -> list[Letter]:
    return list(await read_model.letters.newest(LettersAsked(reason, topic, chosen), 100))


async def undecided(read_model: ReadModel) -> list[int]:
    return [one.undecided for one in await read_model.progress(await read_model.serving())]


async def test_letters_are_listed_newest_first_without_their_bytes(read_model: ReadModel) -> None:
    await parked(read_model)
    found = await asked(read_model)
    assert places(found) == [(TP, 2), (TP, 1), (OTHER, 1), (TP, 0), (OTHER, 0)]
    assert [one.dead for one in found if one.dead.tp == TP] == [letter(offset, None) for offset in (2, 1, 0)]
    assert {one.decision for one in found} == {None}


async def test_a_list_goes_on_below_any_of_its_letters(read_model: ReadModel) -> None:
    await parked(read_model)
    whole = await asked(read_model)
    for number, one in enumerate(whole):
        assert await read_model.letters.newest(LettersAsked(below=one.mark), 2) == whole[number + 1 : number + 3]


async def test_one_letter_is_whole(read_model: ReadModel) -> None:
    await parked(read_model)
    for offset, raw in enumerate([b"{", None, b"\xff\x00"]):
        assert await read_model.letters.one(TP, offset) == Letter(letter(offset, raw))


@pytest.mark.parametrize(
    ("tp", "offset"),
    [
        (TP, 3),
        (TopicPartition("order-events", 1), 0),
        (TopicPartition("order\x00events", 0), 0),
        (TopicPartition("\ud800", 0), 0),
        (TopicPartition("order-events", 2**40), 0),
        (TP, 2**70),
        (TP, -1),
    ],
)
async def test_where_no_letter_is_none_is_found_and_none_decided(
    read_model: ReadModel, tp: TopicPartition, offset: int
) -> None:
    await parked(read_model)
    assert await read_model.letters.one(tp, offset) is None
    with pytest.raises(NoSuchLetter):
        await read_model.letters.decide(tp, offset, DISCARDED)
    assert await undecided(read_model) == [2, 3]


async def test_a_database_without_a_generation_has_no_letters(read_model: ReadModel) -> None:
    assert await asked(read_model) == []
    assert await read_model.letters.counts() == []
    assert await read_model.letters.one(TP, 0) is None


async def test_a_decision_is_kept_with_all_it_says(read_model: ReadModel, open_read_model: Open[ReadModel]) -> None:
    await parked(read_model)
    await read_model.letters.decide(TP, 0, DISCARDED)
    await read_model.letters.decide(TP, 1, REDRIVEN)
    other = await open_read_model()
    assert await other.letters.one(TP, 0) == Letter(letter(0, b"{"), DISCARDED)
    assert await other.letters.one(TP, 1) == Letter(letter(1, None), REDRIVEN)
    listed = {one.dead.offset: one.decision for one in await asked(other, topic=TP.topic)}
    assert listed == {0: DISCARDED, 1: replace(REDRIVEN, payload=None), 2: None}


@pytest.mark.parametrize("first", [DISCARDED, REDRIVEN])
@pytest.mark.parametrize("second", [DISCARDED, REDRIVEN])
async def test_a_second_decision_is_refused_and_changes_nothing(
    read_model: ReadModel, first: Decision, second: Decision
) -> None:
    await parked(read_model)
    await read_model.letters.decide(TP, 2, first)
    with pytest.raises(LetterDecided, match=f"offset 2: {first.who} decided before; it is {first.act}"):
        await read_model.letters.decide(TP, 2, replace(second, who="eve"))
    assert await read_model.letters.one(TP, 2) == Letter(letter(2, b"\xff\x00"), first)


async def test_of_decisions_at_once_exactly_one_is_taken(
    read_model: ReadModel, open_read_model: Open[ReadModel]
) -> None:
    await parked(read_model)
    deciders = [read_model.letters, (await open_read_model()).letters]
    outcomes = await asyncio.gather(
        *(deciders[n % 2].decide(TP, 0, replace(DISCARDED, who=f"who {n}")) for n in range(6)),
        return_exceptions=True,
    )
    assert sum(outcome is None for outcome in outcomes) == 1
    assert sum(isinstance(outcome, LetterDecided) for outcome in outcomes) == 5
    one = await read_model.letters.one(TP, 0)
    assert one is not None
    assert one.decision is not None
    assert one.decision.who == f"who {outcomes.index(None)}"


async def test_letters_are_chosen_by_reason_topic_and_state(read_model: ReadModel) -> None:
    await parked(read_model)
    await read_model.letters.decide(TP, 0, DISCARDED)
    await read_model.letters.decide(TP, 1, REDRIVEN)
    await read_model.letters.decide(OTHER, 0, REDRIVEN)
    await read_model.letters.mark_sent(OTHER, 0, 5)
    expected = {
        Chosen.ALL: [(TP, 2), (TP, 1), (OTHER, 1), (TP, 0), (OTHER, 0)],
        Chosen.UNDECIDED: [(TP, 2), (OTHER, 1)],
        Chosen.DECIDED: [(TP, 1), (TP, 0), (OTHER, 0)],
        Chosen.DISCARDED: [(TP, 0)],
        Chosen.REDRIVEN: [(TP, 1), (OTHER, 0)],
        Chosen.UNSENT: [(TP, 1)],
    }
    for chosen, of_all in expected.items():
        assert places(await asked(read_model, chosen)) == of_all
        of_reason = [(tp, offset) for tp, offset in of_all if tp == OTHER]
        assert places(await asked(read_model, chosen, reason="UNKNOWN_TYPE")) == of_reason
        assert places(await asked(read_model, chosen, topic=OTHER.topic)) == of_reason
        assert places(await asked(read_model, chosen, topic="another\x00")) == []


async def test_letters_are_counted_by_reason_and_topic(read_model: ReadModel) -> None:
    await parked(read_model)
    await read_model.letters.decide(TP, 0, DISCARDED)
    await read_model.letters.decide(OTHER, 0, REDRIVEN)
    assert await read_model.letters.counts() == [
        LetterCount("NOT_JSON", "order-events", 2, 1, 0),
        LetterCount("UNKNOWN_TYPE", "catalog-events", 1, 0, 1),
    ]
    assert await undecided(read_model) == [1, 2]
    assert [one.dead for one in await read_model.progress(await read_model.serving())] == [2, 3]


async def test_all_of_a_reason_are_discarded_if_they_are_as_many_as_confirmed(read_model: ReadModel) -> None:
    await parked(read_model)
    await read_model.letters.decide(TP, 1, REDRIVEN)
    for wrong in (0, 1, 3):
        with pytest.raises(LettersChanged, match=f"2 letters .* and {wrong} were confirmed") as raised:
            await read_model.letters.discard_all("NOT_JSON", wrong, DISCARDED)
        assert raised.value.count == 2
        assert await undecided(read_model) == [2, 2]
    await read_model.letters.discard_all("NOT_JSON", 2, DISCARDED)
    decided = {one.dead.offset: one.decision for one in await asked(read_model, topic=TP.topic)}
    assert decided == {0: DISCARDED, 1: replace(REDRIVEN, payload=None), 2: DISCARDED}
    assert await undecided(read_model) == [2, 0]


async def test_a_corrected_event_is_marked_as_sent_once(read_model: ReadModel) -> None:
    await parked(read_model)
    await read_model.letters.decide(TP, 0, DISCARDED)
    await read_model.letters.decide(TP, 1, REDRIVEN)
    for at_us in (7, 8):
        for offset in range(3):
            await read_model.letters.mark_sent(TP, offset, at_us)
    decided = {one.dead.offset: one.decision for one in await asked(read_model, topic=TP.topic)}
    assert decided == {0: DISCARDED, 1: replace(REDRIVEN, payload=None, sent_at_us=7), 2: None}


async def test_decisions_outlive_generations(read_model: ReadModel) -> None:
    await parked(read_model)
    await read_model.letters.decide(TP, 0, DISCARDED)
    second = await read_model.begin_generation("again")
    await commit(read_model, second, Batch(3, dead=[(0, b"{"), (2, b"?")]), serving=False)
    await commit(read_model, second, Batch(2, tp=OTHER), serving=False)
    assert (await read_model.letters.counts())[0].undecided == 2, "the one that serves is asked"
    await read_model.switch(second, "it is equal")
    assert await read_model.letters.counts() == [LetterCount("NOT_JSON", "order-events", 1, 1, 0)]
    assert (await read_model.letters.one(TP, 0)) == Letter(letter(0, b"{"), DISCARDED)
    assert await undecided(read_model) == [0, 1]
    with pytest.raises(LetterDecided):
        await read_model.letters.decide(TP, 0, REDRIVEN)
    with pytest.raises(NoSuchLetter):
        await read_model.letters.decide(TP, 1, REDRIVEN)
    await read_model.abandon(1, "no longer wanted")
    assert (await read_model.letters.one(TP, 0)) == Letter(letter(0, b"{"), DISCARDED)


async def test_letters_of_one_moment_are_listed_in_one_order_everywhere(read_model: ReadModel) -> None:
    generation = await read_model.serving()
    for topic in ("order-events", "Order-events", "order-events.v2"):
        for number in (0, 2, 10):
            tp = TopicPartition(topic, number)
            one = effect(generation, Position(), Batch(2, tp=tp, dead=[(0, b"a"), (1, b"b")]))
            (entry,) = one.entries
            same = [replace(dead, appended_at_us=APPENDED_AT_US) for dead in entry.dead_letters]
            await read_model.commit(Effect([replace(entry, dead_letters=same)], {}), serving=True)
    whole = await asked(read_model)
    assert [one.mark for one in whole] == sorted((one.mark for one in whole), reverse=True)
    assert len(whole) == 18
    for number, last in enumerate(whole):
        assert await read_model.letters.newest(LettersAsked(below=last.mark), 3) == whole[number + 1 : number + 4]
