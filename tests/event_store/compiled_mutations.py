"""Records with damage of many kinds, and what is read of them; run by itself, it reads them with the library given.

python tests/event_store/compiled_mutations.py LIBRARY
"""

from __future__ import annotations

import ctypes
import random
import sys
from array import array
from functools import cache
from pathlib import Path

from aiokafka.record.default_records import DefaultRecordBatchBuilder

from event_store import compiled
from event_store.codec import Codec
from event_store.compiled_events import Read, compiled_events
from event_store.decoded_batch import decode_batch
from event_store.events import EVENT_TYPES
from event_store.kafka_records import SUMMED_FROM, unpacked
from event_store.pieces import NONE, Part, Pieces
from event_store.record import RecordBatch, TopicPartition
from tests import samples

TP = TopicPartition("order-events", 2)
FAR_US = 2**62
TOKENS = (
    b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b"null", b"0", b"9", b"-", b"1e3", b"1.5", b" ", b"\n", b"\x00",
    b"\x1f", b"\x7f", b"\xc3\xa9", b"\xe2\x82\xac", b"\xf0\x9f\x8e\x84", b"\xc3", b"\xed\xa0\x80", b"\xff", b"true",
    b'"lines":[]', b'"sold_at":"2010-11-30T08:26:00.000000Z",', b'"sold_at":"2010-12-01T08:27:00.000000Z",',
    b'"sold_at":null,', b'"buyer_id":null,', b'"order_id":null,', b'"traceparent":null,', b"2011-02-29",
    b"99999999999999999999",
)  # fmt: skip


@cache
def whole() -> list[bytes]:
    return [samples.record(name, number) for number, name in enumerate(samples.NAMES, start=1)]


@cache
def in_python() -> Codec:
    return Codec(is_compiled=False)


def mutated(chance: random.Random) -> bytes:
    """A record of any type, some of whose bytes were replaced, taken out or put elsewhere."""
    value = chance.choice(whole())
    for _ in range(chance.choice([0, 1, 1, 1, 2, 3])):
        at = chance.randrange(len(value) + 1)
        gone = chance.choice([0, 0, 1, 1, 2, 10])
        put = chance.choice([b"", chance.choice(TOKENS), bytes([chance.randrange(256)]), value[at : at + 12]])
        value = value[:at] + put + value[at + gone :]
    if chance.random() < 0.1:
        value = value[: chance.randrange(len(value) + 1)]
    if chance.random() < 0.2:
        old = chance.choice([b'"data":{', b'"specversion"', b'"currency"'])
        value = (
            value.replace(old, old + chance.choice(TOKENS), 1) if chance.random() < 0.5 else _shuffled(value, chance)
        )
    return value


def _shuffled(value: bytes, chance: random.Random) -> bytes:
    fields = value[1:-1].split(b',"')
    chance.shuffle(fields)
    return b"{%b}" % b',"'.join(fields)


def same_in_python(value: bytes, found: Read, first_offset: int) -> None:
    batch = RecordBatch(TP, first_offset, [value], [None], [FAR_US])
    decoded = decode_batch(in_python(), batch)
    assert not decoded.dead, (value, decoded.dead)
    assert not decoded.foreign, value
    places = [(place.source, place.sequence) for place in found.places]
    assert places == [(run.source, run.sequences[0]) for run in decoded.lanes], value
    assert {name: frame.rows() for name, frame in found.facts.items()} == {
        name: frame.rows() for name, frame in decoded.facts.items()
    }, value


def _alone(value: bytes) -> tuple[Part, ctypes.Array[ctypes.c_char]]:
    """With nothing behind it, so that whoever reads on is caught."""
    memory = (ctypes.c_char * len(value)).from_buffer_copy(value)
    return Part(memory, array("q", [0]), array("q", [len(value)])), memory  # type: ignore[arg-type]


def _read_all(chance: random.Random) -> int:
    taken = 0
    reader = compiled_events(EVENT_TYPES)
    assert reader is not None
    for _ in range(20_000):
        value = mutated(chance)
        if not value:
            continue
        (part, memory) = _alone(value)
        taken += reader.read(Pieces([part]), 0) is not None
        assert len(memory) == len(value)
    return taken


def built(chance: random.Random) -> bytes:
    """A record batch as a producer makes it."""
    builder = DefaultRecordBatchBuilder(2, 0, False, -1, -1, -1, 1_000_000)
    for offset in range(chance.randrange(1, 6)):
        (key, value) = (chance.choice([None, b"", b"key"]), chance.choice([None, b"", b"v" * chance.randrange(300)]))
        builder.append(offset, 1000 + chance.randrange(-500, 500), key, value, [("h", b"1")][: chance.randrange(2)])
    return bytes(builder.build())


def _unpack_all(chance: random.Random) -> int:
    taken = 0
    for _ in range(5_000):
        summed = bytearray(built(chance)[SUMMED_FROM:])
        for _ in range(chance.randrange(4)):
            summed[chance.randrange(40, len(summed))] = chance.randrange(256)
        if (
            batch := unpacked(TP, 0, bytes(summed[: chance.choice([len(summed), chance.randrange(40, 90)])]))
        ) is not None:
            taken += 1
            for column in (batch.values, batch.keys):
                assert isinstance(column, Pieces)
                for part in column.parts:
                    ends = zip(part.starts, part.sizes, strict=True)
                    assert all(size == NONE or 0 <= start <= start + size <= len(part.text) for start, size in ends)
    return taken


def main(library: str) -> None:
    compiled.LIBRARY = Path(library)
    chance = random.Random(7)
    print(f"read {_read_all(chance)}, unpacked {_unpack_all(chance)}")  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
