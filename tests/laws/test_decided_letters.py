"""After any mix of decisions about dead letters, broken off anywhere, a rebuild comes out equal to the live figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from backoffice.correction import event_id_of
from backoffice.letter_desk import LetterDesk
from backoffice.sign_in.connect import memory_office
from event_store.audit import Audit, Entry
from event_store.record import TopicPartition
from projections.letters import Chosen, Letter, LettersAsked

from .histories import Event, Values, events, partitions
from .line import Line, assert_figures, in_virtual_time

WHO = Entry(who="ada", what="")


class Dies(BaseException):
    """In the place of a killed process."""


@dataclass(slots=True)
class Points:
    dies_at: str = ""

    def passing(self, name: str) -> None:
        if name == self.dies_at:
            raise Dies


@dataclass(frozen=True, slots=True)
class Choice:
    """What is done about one letter."""

    act: str
    event: Event
    dies_at: str
    sends: int
    """How often somebody asks to go on afterwards."""


choices = st.builds(
    Choice,
    st.sampled_from(["nothing", "discard", "redrive", "redrive"]),
    events,
    st.sampled_from(["", "letters.after_decision", "letters.after_outbox"]),
    st.integers(1, 3),
)


@dataclass(slots=True)
class Desk:
    line: Line
    points: Points = field(default_factory=Points)
    audit: Audit = field(default_factory=lambda: Audit(memory_office()))

    @property
    def desk(self) -> LetterDesk:
        (line, points) = (self.line, self.points)
        read_model: Any = line.read_model
        here: Any = points
        return LetterDesk(read_model.letters, self.audit, line.outbox, line.codec, line.now_us, here)

    async def act(self, letter: Letter, choice: Choice) -> None:
        (tp, offset) = (letter.dead.tp, letter.dead.offset)
        if choice.act == "discard":
            await self.desk.discard(tp, offset, "noise", WHO)
        elif choice.act == "redrive":
            self.points.dies_at = choice.dies_at
            text = choice.event.placed("/edited", 1).decode()
            try:
                await self.desk.redrive(tp, offset, text, "mended", WHO)
            except Dies:
                assert choice.dies_at
            self.points.dies_at = ""

    async def go_on(self, choice: Choice) -> None:
        for letter in await self.line.read_model.letters.newest(LettersAsked(chosen=Chosen.UNSENT), 1000):
            for number in range(choice.sends):
                self.points.dies_at = "letters.after_outbox" if number + 1 < choice.sends else ""
                try:
                    await self.desk.send(letter.dead.tp, letter.dead.offset, WHO)
                except Dies:
                    await self.line.relay_all()


@given(partitions(), st.lists(choices, max_size=8))
@settings(max_examples=60)
def test_a_rebuild_after_any_mix_of_decisions_is_equal(
    log: dict[TopicPartition, Values], made: Sequence[Choice]
) -> None:
    async def decided(line: Line) -> None:
        for tp, values in log.items():
            await line.append(tp, values)
        await line.count_all()
        desk = Desk(line)
        letters = line.read_model.letters
        parked = list(await letters.newest(LettersAsked(), 1000))
        for letter, choice in zip(parked, made, strict=False):
            await desk.act(letter, choice)
            await line.relay_all()
        await line.count_all()
        if made:
            await desk.go_on(made[0])
            await line.relay_all()
            await line.count_all()
        await _is_exact(line, parked, made)
        before = list(await letters.newest(LettersAsked(), 1000))
        rebuilt = await line.rebuild().run("prove it")
        assert rebuilt.comparison is not None
        assert rebuilt.comparison.equal
        assert await letters.newest(LettersAsked(), 1000) == before
        await _is_exact(line, parked, made)

    in_virtual_time(decided)


async def _is_exact(line: Line, parked: Sequence[Letter], made: Sequence[Choice]) -> None:
    """The figures are the log's, each corrected event is in it once, and the rest waits for a decision."""
    await assert_figures(line.read_model, line.oracle())
    acts = [*(choice.act for choice in made), *["nothing"] * len(parked)][: len(parked)]
    ids = [line.codec.id_of(value) for value in line.shown()]
    for letter, act in zip(parked, acts, strict=True):
        assert ids.count(event_id_of(letter.dead.tp, letter.dead.offset)) == (act == "redrive")
    progress = await line.read_model.progress(await line.read_model.serving())
    assert sum(one.undecided for one in progress) == acts.count("nothing")
    assert sum(one.dead for one in progress) == len(parked)
