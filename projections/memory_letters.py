"""Decisions about dead letters in memory, beside the read model in memory that has the letters."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

from event_store.dead_letters import DeadLetter
from event_store.memory_inbox import MemoryInbox
from event_store.record import TopicPartition

from .letters import (
    Act,
    Chosen,
    Decision,
    Letter,
    LetterCount,
    LettersAsked,
    LettersChanged,
    already_decided,
    no_such_letter,
)

Place = tuple[TopicPartition, int]


class MemoryLetters:
    """`serving` gives the inbox of the generation that serves."""

    def __init__(self, serving: Callable[[], MemoryInbox]) -> None:
        self._serving = serving
        self._decisions: dict[Place, Decision] = {}

    async def newest(self, asked: LettersAsked, most: int) -> Sequence[Letter]:
        await asyncio.sleep(0)
        found = [one for one in self._letters() if one.mark < asked.below and _is_wanted(one, asked)]
        found.sort(key=lambda one: one.mark, reverse=True)
        return [_without_bytes(one) for one in found[:most]]

    async def counts(self) -> Sequence[LetterCount]:
        await asyncio.sleep(0)
        counted = Counter(
            (one.dead.reason, one.dead.tp.topic, one.decision.act if one.decision else None) for one in self._letters()
        )
        return [
            LetterCount(*group, *(counted[(*group, act)] for act in (None, Act.DISCARDED, Act.REDRIVEN)))
            for group in sorted({(reason, topic) for reason, topic, _ in counted})
        ]

    async def one(self, tp: TopicPartition, offset: int) -> Letter | None:
        await asyncio.sleep(0)
        dead = self._serving().dead.get((tp, offset))
        return None if dead is None else self._letter(dead)

    async def decide(self, tp: TopicPartition, offset: int, decision: Decision) -> None:
        await asyncio.sleep(0)
        if (tp, offset) not in self._serving().dead:
            raise no_such_letter(tp, offset)
        if (before := self._decisions.get((tp, offset))) is not None:
            raise already_decided(tp, offset, before)
        self._decisions[(tp, offset)] = replace(decision, sent_at_us=None)
        await asyncio.sleep(0)

    async def discard_all(self, reason: str, count: int, decision: Decision) -> None:
        await asyncio.sleep(0)
        asked = LettersAsked(reason=reason, chosen=Chosen.UNDECIDED)
        places = [(one.dead.tp, one.dead.offset) for one in self._letters() if _is_wanted(one, asked)]
        if len(places) != count:
            raise LettersChanged(count, len(places))
        discarded = Decision(Act.DISCARDED, decision.who, decision.at_us, decision.reason)
        self._decisions |= dict.fromkeys(places, discarded)
        await asyncio.sleep(0)

    async def mark_sent(self, tp: TopicPartition, offset: int, at_us: int) -> None:
        await asyncio.sleep(0)
        before = self._decisions.get((tp, offset))
        if before is not None and before.is_unsent:
            self._decisions[(tp, offset)] = replace(before, sent_at_us=at_us)
        await asyncio.sleep(0)

    def undecided(self, tp: TopicPartition, inbox: MemoryInbox) -> int:
        return sum(place[0] == tp and place not in self._decisions for place in inbox.dead)

    def _letters(self) -> list[Letter]:
        return [self._letter(dead) for dead in self._serving().dead.values()]

    def _letter(self, dead: DeadLetter) -> Letter:
        return Letter(dead, self._decisions.get((dead.tp, dead.offset)))


def _is_wanted(letter: Letter, asked: LettersAsked) -> bool:
    (dead, decision) = (letter.dead, letter.decision)
    if asked.reason not in ("", dead.reason) or asked.topic not in ("", dead.tp.topic):
        return False
    return {
        Chosen.ALL: True,
        Chosen.UNDECIDED: decision is None,
        Chosen.DECIDED: decision is not None,
        Chosen.DISCARDED: decision is not None and decision.act is Act.DISCARDED,
        Chosen.REDRIVEN: decision is not None and decision.act is Act.REDRIVEN,
        Chosen.UNSENT: decision is not None and decision.is_unsent,
    }[asked.chosen]


def _without_bytes(letter: Letter) -> Letter:
    decision = letter.decision and replace(letter.decision, payload=None)
    return Letter(replace(letter.dead, raw=None), decision)
