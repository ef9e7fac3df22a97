"""What an operator does about dead letters: each act is audited, and then decided, once.

A discarded letter stays in the log and among the dead letters; it is only waited for no longer. A re-driven one gets a
corrected event, in two databases: first the decision is taken, with the event, then the event is written to the outbox
unless it was before, then the decision is marked. Wherever that ends, the decision shows it, and `send` goes on.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from event_store.audit import Audit, Entry
from event_store.codec import Codec
from event_store.crash_points import NO_CRASH, CrashPoints
from event_store.errors import Conflict
from event_store.outbox import Outbox
from event_store.record import TopicPartition
from projections.letters import (
    Act,
    Chosen,
    Decision,
    Letter,
    Letters,
    LettersChanged,
    already_decided,
    no_such_letter,
)

from .correction import Correction, can_be_read, corrected, draft_of
from .reason import reason_given


class LetterRefused(ValueError):
    """What was asked for can't be done to the letter. The message says why, for a person."""


@dataclass(frozen=True, slots=True)
class LetterDesk:
    letters: Letters
    audit: Audit
    """Of the back-office database."""
    outbox: Outbox
    codec: Codec
    now_us: Callable[[], int]
    crash_points: CrashPoints = NO_CRASH

    async def discard(self, tp: TopicPartition, offset: int, why: str, entry: Entry) -> None:
        """`entry` says who. Raises LetterRefused, NoSuchLetter, LetterDecided."""
        decision = Decision(Act.DISCARDED, entry.who, self.now_us(), reason_given(why, LetterRefused))
        letter = await self.undecided(tp, offset)
        said = replace(
            entry, what="dead_letter.discarded", on=place_text(tp, offset), before={"reason": letter.dead.reason}
        )
        await self.audited(said, decision, lambda: self.letters.decide(tp, offset, decision))

    async def discard_all(self, reason: str, count: int, why: str, entry: Entry) -> None:
        """All undecided ones of that reason, if they are `count`. Raises LetterRefused, LettersChanged."""
        decision = Decision(Act.DISCARDED, entry.who, self.now_us(), reason_given(why, LetterRefused))
        there = sum(one.undecided for one in await self.letters.counts() if one.reason == reason)
        if there != count:
            raise LettersChanged(count, there)
        if not count:
            raise LetterRefused(f"no letter of the reason {reason[:64]} waits for a decision")
        said = replace(entry, what="dead_letter.discarded", on=f"all {reason}", before={"letters": count})
        await self.audited(said, decision, lambda: self.letters.discard_all(reason, count, decision))

    def can_be_read(self, letter: Letter) -> bool:
        """Then it isn't re-driven: a rebuild counts it as it stands."""
        return can_be_read(self.codec, letter.dead)

    def corrected(self, letter: Letter, text: str) -> Correction:
        """Raises LetterRefused, and UndecodableRecord for a text that is no event."""
        if self.can_be_read(letter):
            raise LetterRefused("this version can read the record: a rebuild counts it, and would count both")
        return corrected(self.codec, letter.dead, text, self.now_us())

    async def redrive(self, tp: TopicPartition, offset: int, text: str, why: str, entry: Entry) -> None:
        """Writes the event that the text says in the letter's stead.

        Raises LetterRefused, UndecodableRecord, NoSuchLetter, LetterDecided; and TransientError, after which the
        decision may be taken and the event not be sent.
        """
        reason = reason_given(why, LetterRefused)
        letter = await self.undecided(tp, offset)
        draft = self.corrected(letter, text).draft
        decision = Decision(Act.REDRIVEN, entry.who, self.now_us(), reason, draft.event_id, draft.payload)
        said = replace(
            entry,
            what="dead_letter.redriven",
            on=place_text(tp, offset),
            before={"reason": letter.dead.reason},
            after={"event": draft.event_type.name, "event_id": draft.event_id},
        )
        await self.audited(said, decision, lambda: self.letters.decide(tp, offset, decision))
        self.crash_points.passing("letters.after_decision")
        await self._send(tp, offset, decision)

    async def send(self, tp: TopicPartition, offset: int, entry: Entry) -> None:
        """Goes on with a correction that isn't known to be in the outbox. Raises NoSuchLetter, LetterRefused."""
        letter = await self.letters.one(tp, offset)
        if letter is None:
            raise no_such_letter(tp, offset)
        if letter.decision is None or not letter.decision.is_unsent:
            raise LetterRefused(f"nothing waits to be sent there: the letter is {letter.state}")
        await self.audit.record(replace(entry, what="dead_letter.sent", on=place_text(tp, offset)))
        await self._send(tp, offset, letter.decision)

    async def _send(self, tp: TopicPartition, offset: int, decision: Decision) -> None:
        (event_id, payload) = (decision.event_id or "", decision.payload or b"")
        await self.outbox.write_once(draft_of(self.codec, event_id, payload))
        self.crash_points.passing("letters.after_outbox")
        await self.letters.mark_sent(tp, offset, self.now_us())

    async def undecided(self, tp: TopicPartition, offset: int) -> Letter:
        """Raises NoSuchLetter, LetterDecided."""
        letter = await self.letters.one(tp, offset)
        if letter is None:
            raise no_such_letter(tp, offset)
        if letter.decision is not None:
            raise already_decided(tp, offset, letter.decision)
        return letter

    async def audited(self, entry: Entry, decision: Decision, act: Callable[[], Awaitable[None]]) -> None:
        """Kept before it is done; where somebody else was quicker, that is kept, too."""
        said = replace(entry, reason=decision.reason, after={"state": Chosen(decision.act), **entry.after})
        await self.audit.record(said)
        try:
            await act()
        except Conflict as error:
            await self.audit.record(replace(said, what="dead_letter.refused", after={"why": str(error)}))
            raise


def place_text(tp: TopicPartition, offset: int) -> str:
    return f"{tp}, offset {offset}"
