"""The laws, looked at after every call that acted. What breaks one raises AssertionError with the place.

The letters are those of the laws' list: I2 acknowledged means in the log, I5 first appearances in order, I6 figures
equal the oracle's, I7 positions never fall, I8 every record accounted for, I9 ranges exact, I10 once, I12 memory
follows the table, I17 no transient error buries, I18 one epoch acknowledges, I20 readers never go back.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from event_store.memory_inbox import MemoryInbox
from event_store.memory_log import MemoryLog
from event_store.memory_outbox import MemoryOutbox
from event_store.outbox import Acknowledgement, Lane
from event_store.record import TopicPartition
from projections.memory_read_model import MemoryReadModel
from projections.projector import Projector
from projections.read_model import State

from .oracle import Oracle

NOTHING: Callable[[Any], None] = lambda result: None  # noqa: E731
PROJECTIONS = {"sales": 3, "returns": 3, "interest": 3, "listing": 1}
"""Projection → how many of its columns are the key."""


@dataclass(slots=True)
class Counted:
    """One generation as the laws want it."""

    oracle: Oracle = field(default_factory=Oracle)
    next_offset: dict[TopicPartition, int] = field(default_factory=dict)
    sequences: dict[tuple[TopicPartition, str], set[int]] = field(default_factory=dict)
    dead: set[tuple[TopicPartition, int]] = field(default_factory=set)
    duplicates: Counter[TopicPartition] = field(default_factory=Counter)


def place_of(value: bytes | None) -> tuple[str, int, str] | None:
    """(source, sequence, event id) of a record that has its place in a lane."""
    try:
        event = json.loads(value or b"")
        return event["source"], int(event["sequence"]), event["id"]
    except (ValueError, KeyError, TypeError):
        return None


@dataclass(slots=True)
class Watch:
    log: MemoryLog
    outboxes: Mapping[str, MemoryOutbox]
    """Place → outbox."""
    read_model: MemoryReadModel
    tally: Counter[str]
    lanes: dict[tuple[TopicPartition, str], list[str]] = field(default_factory=dict)
    """(partition, source) → event ids by sequence, in the order in which the log showed them first."""
    projectors: list[tuple[Any, Projector]] = field(default_factory=list)
    """With the life each belongs to."""
    counted: dict[int, Counted] = field(default_factory=dict)
    _appended: Counter[TopicPartition] = field(default_factory=Counter)
    _epochs: dict[tuple[str, TopicPartition], int] = field(default_factory=dict)
    _acknowledged: dict[tuple[str, TopicPartition], int] = field(default_factory=dict)
    _rows: dict[int, dict[str, int]] = field(default_factory=dict)
    _serving: int = 1

    def acting(self, place: str, name: str, args: Sequence[Any]) -> Callable[[Any], None]:
        """Asked before a call acts; the answer is told its result."""
        if place == "read model":
            self._memory_follows()
        if name == "append":
            return lambda result: self._log_grew(args[0])
        if name == "acknowledge":
            return self._acknowledging(place, args[0])
        if name == "advance":
            return self._acknowledging(place, [args[0]])
        if name == "hold_lanes":
            return lambda result: self._lanes_held(place, result)
        if name == "commit":
            return lambda result: self._committed(args[0].generation)
        if name == "switch":
            return lambda result: self._switched(args[0])
        if name == "note_positions":
            return lambda result: self._noted(args[1])
        return NOTHING

    def values(self, tp: TopicPartition) -> Sequence[bytes | None]:
        return self.log._partitions[tp].values if tp in self.log._partitions else []

    def _log_grew(self, tp: TopicPartition) -> None:
        """I5, and the same sequence is the same event for ever."""
        values = self.values(tp)
        for offset in range(self._appended[tp], len(values)):
            place = place_of(values[offset])
            if place is None:
                continue
            (source, sequence, event_id) = place
            ids = self.lanes.setdefault((tp, source), [])
            if sequence == len(ids) + 1:
                ids.append(event_id)
            else:
                assert 1 <= sequence <= len(ids), f"I5 {tp}/{offset}: sequence {sequence} of {source} after {len(ids)}"
                assert ids[sequence - 1] == event_id, f"{tp}/{offset}: another event under sequence {sequence}"
                self.tally["duplicate in the log"] += 1
        self._appended[tp] = len(values)

    def _lanes_held(self, place: str, lanes: Sequence[Lane]) -> None:
        for lane in lanes:
            before = self._epochs.get((place, lane.tp), 0)
            assert lane.epoch >= before, f"{lane.tp}: epoch {lane.epoch} after {before}"
            if before and lane.epoch > before:
                self.tally["lane changed hands"] += 1
            self._epochs[place, lane.tp] = lane.epoch

    def _acknowledging(self, place: str, asked: Sequence[Acknowledgement]) -> Callable[[Any], None]:
        """I2 and I18."""
        lanes = self.outboxes[place]._contents.lanes
        stale = {one.lane.tp for one in asked if one.lane.epoch < self._epochs[place, one.lane.tp]}
        before = {tp: lanes[tp].acknowledged for tp in stale}

        def acknowledged(result: Any) -> None:
            for tp in stale:
                assert lanes[tp].acknowledged == before[tp], f"I18 {tp}: an old epoch acknowledged"
                self.tally["acknowledgement of an old epoch refused"] += 1
            for one in asked:
                self._in_the_log(place, one.lane.tp, one.lane.source)

        return acknowledged

    def _in_the_log(self, place: str, tp: TopicPartition, source: str) -> None:
        lane = self.outboxes[place]._contents.lanes[tp]
        assert lane.acknowledged >= self._acknowledged.get((place, tp), 0), f"{tp}: acknowledged fell"
        self._acknowledged[place, tp] = lane.acknowledged
        if lane.acknowledged:
            assert len(self.lanes.get((tp, source), [])) >= lane.acknowledged, f"I2 {tp}: SENT and not in the log"
            shown = place_of(self.values(tp)[lane.acknowledged_offset])
            assert shown is not None, f"I2 {tp}: offset {lane.acknowledged_offset}"
            assert shown[:2] == (source, lane.acknowledged), f"I2 {tp}: offset {lane.acknowledged_offset}"

    def _committed(self, generation: int) -> None:
        """I6 to I10: the generation is what the oracle makes of the records below its positions."""
        cell = self.read_model._cells[generation]
        want = self.counted.setdefault(generation, Counted())
        for tp, position in cell.inbox.positions.items():
            before = want.next_offset.get(tp, 0)
            assert position.next_offset >= before, f"I7 generation {generation}, {tp}: {position.next_offset}"
            for offset in range(before, position.next_offset):
                self._show(want, tp, offset)
            want.next_offset[tp] = position.next_offset
            self._ranges_are_exact(want, tp, cell.inbox)
        self._figures_are_exact(generation, want.oracle)
        unlike = cell.inbox.dead.keys() ^ want.dead
        assert not unlike, f"I8, I17 generation {generation}: dead letters at {sorted(unlike)}"
        self._rows[generation] = {name: id(frame) for name, frame in cell.rows.items()}
        self._others_unchanged()

    def _show(self, want: Counted, tp: TopicPartition, offset: int) -> None:
        value = self.values(tp)[offset]
        before = want.oracle.duplicates
        if not want.oracle.show(value):
            want.dead.add((tp, offset))
        want.duplicates[tp] += want.oracle.duplicates - before
        place = place_of(value)
        if place is not None:
            want.sequences.setdefault((tp, place[0]), set()).add(place[1])

    def _ranges_are_exact(self, want: Counted, tp: TopicPartition, inbox: MemoryInbox) -> None:
        """I9. No lane has a hole here, so each is one range from 1 on: the memory of what was handled stays small."""
        handled = inbox.positions[tp].handled
        shown = {source: sequences for (one, source), sequences in want.sequences.items() if one == tp}
        assert {source: ranges.ranges for source, ranges in handled.items()} == {
            source: ((1, len(sequences)),) for source, sequences in shown.items()
        }, f"I9 {tp}"
        duplicates = inbox.counted[tp].duplicates if tp in inbox.counted else 0
        assert duplicates == want.duplicates[tp], f"I8 {tp}: {duplicates} duplicates, {want.duplicates[tp]} expected"

    def _figures_are_exact(self, generation: int, oracle: Oracle) -> None:
        rows = self.read_model._cells[generation].rows
        for name, width in PROJECTIONS.items():
            found = {row[:width]: row[width:] for row in rows[name].iter_rows()} if name in rows else {}
            assert found == oracle.rows(name), f"I6 generation {generation}, {name}"

    def _others_unchanged(self) -> None:
        """I21: figures change with their own generation's batches and never else."""
        for generation, cell in self.read_model._cells.items():
            if cell.generation.state is State.ABANDONED:
                self._rows.pop(generation, None)
                self.counted.pop(generation, None)
            known = self._rows.get(generation, {})
            assert {name: id(frame) for name, frame in cell.rows.items()} == known, f"I21 generation {generation}"

    def _switched(self, to: int) -> None:
        """I20."""
        (new, old) = (self.read_model._cells[to].inbox.positions, self.read_model._cells[self._serving].inbox.positions)
        for tp, position in old.items():
            assert new[tp].next_offset >= position.next_offset if position.next_offset else True, f"I20 {tp}"
        self.tally["switched to an earlier generation" if to < self._serving else "switched to a new generation"] += 1
        self._serving = to

    def _noted(self, positions: Mapping[TopicPartition, int]) -> None:
        """I11."""
        for tp, offset in positions.items():
            table = max(cell.inbox.position(tp).next_offset for cell in self.read_model._cells.values())
            assert offset <= table, f"I11 {tp}: {offset} published, {table} counted"

    def _memory_follows(self) -> None:
        """I12: what a process remembers is what the table says, or older; never newer."""
        self.projectors = [(life, one) for life, one in self.projectors if not life.dead]
        for _, projector in self.projectors:
            cell = self.read_model._cells[projector.generation]
            if cell.generation.state is State.ABANDONED:
                continue
            for tp, known in projector._positions.items():
                table = cell.inbox.position(tp)
                assert known.next_offset <= table.next_offset, f"I12 {tp}: memory {known}, table {table}"
                assert known.next_offset < table.next_offset or known == table, f"I12 {tp}: memory {known}"
