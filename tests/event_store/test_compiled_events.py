"""Compiled code reads what our relay writes, and nothing that Python would not read alike."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec import Meta

import hatch_build
from event_store import compiled
from event_store.codec import Codec
from event_store.compiled_events import CompiledEvents, Read, compiled_events
from event_store.decoded_batch import decode_batch
from event_store.envelope import format_time, stamp
from event_store.events import EVENT_TYPES, EventType, Line, Payload, PaymentCompleted, PaymentRefunded, ProductView
from event_store.facts import FACTS
from event_store.pieces import Pieces
from event_store.topics import ORDER_EVENTS
from tests import samples

from .compiled_mutations import mutated, same_in_python
from .records import AT, CODEC, PAID, PAYLOADS, SOURCE, TIMES, batch_of, stamped, swapped

ROOT = Path(__file__).parents[2]
FIRST = 1_000_000
WARNED = ("-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Werror")


def read(*values: bytes | None) -> Read | None:
    return reader().read(Pieces.of(values), FIRST)


def reader(event_types: tuple[EventType, ...] = EVENT_TYPES) -> CompiledEvents:
    found = compiled_events(event_types)
    assert found is not None, "nothing was compiled: make test needs a C compiler (cc)"
    return found


def test_it_was_compiled_here() -> None:
    assert compiled.reader() is not None, "nothing was compiled: make test needs a C compiler (cc)"


@pytest.mark.parametrize("event_type", samples.NAMES)
def test_it_reads_every_event_type(event_type: str) -> None:
    assert read(samples.record(event_type)) is not None


def is_plain(payload: Payload) -> bool:
    """Whether JSON writes its texts without a backslash."""
    return b"\\" not in msgspec.json.encode(payload)


@given(PAYLOADS.filter(is_plain), TIMES, st.integers(1, 10**16 - 1))
def test_it_reads_whatever_our_relay_writes_without_a_backslash(payload: Payload, at: datetime, sequence: int) -> None:
    assume(not isinstance(payload, PaymentRefunded) or (payload.sold_at or "") <= format_time(at))  # Two clocks.
    found = read(stamped(payload, sequence, at=at))
    assert found is not None
    [place] = found.places
    assert (place.record, place.sequence, place.source) == (0, sequence, SOURCE)
    assert found.latest_minute == int(at.timestamp()) // 60


def test_it_reads_what_comes_with_an_event_of_another_service() -> None:
    traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    draft = CODEC.draft(PAID, AT, origin_source="/till/7", origin_id="8", traceparent=traceparent)
    assert read(stamp(draft.payload, SOURCE, 1)) is not None


def test_fields_may_stand_in_any_order_behind_the_type() -> None:
    value = stamped(PAID, 7)
    fields = list(msgspec.json.decode(value, type=dict[str, msgspec.Raw]).items())
    chance = random.Random(1)
    for _ in range(20):
        (first, *rest) = fields
        chance.shuffle(rest)
        assert read(msgspec.json.encode(dict([first, *rest]))) is not None


def test_values_that_are_cut_up_otherwise_are_read_alike() -> None:
    values = [stamped(PAID, number) for number in range(1, 6)]
    parts = Pieces(part for some in (values[:2], values[2:]) for part in Pieces.of(some).parts)
    (whole, cut) = (read(*values), reader().read(parts, FIRST))
    assert whole is not None
    assert cut is not None
    assert (whole.places, whole.latest_minute) == (cut.places, cut.latest_minute)
    assert {name: frame.rows() for name, frame in whole.facts.items()} == {
        name: frame.rows() for name, frame in cut.facts.items()
    }


@pytest.mark.parametrize("products", [1, 2, 7, 8, 9, 500, 2000])
def test_the_first_line_of_each_product_is_told_from_its_others(products: int) -> None:
    ids = [f"{number % products:x}" for number in range(2000)]
    paid = PaymentCompleted("o", "p", "GBP", [Line(product_id, 1, 2) for product_id in ids])
    found = read(stamped(paid, 1))
    assert found is not None
    firsts = found.facts["PaymentCompleted"]["first_of_product"].to_list()
    assert firsts == [1] * products + [0] * (2000 - products)


def test_a_record_that_it_cannot_read_leaves_the_batch_to_python() -> None:
    good = [stamped(PAID, number) for number in range(1, 9)]
    for at in range(9):
        for bad in (None, b"", b"{", good[0][:-1], good[0] + b" ", swapped(b'"GBP"', b'"G\\u0042P"')(good[0])):
            assert read(*good[:at], bad, *good[at:]) is None


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"quantity":6', b'"quantity":0'),
        (b'"quantity":6', b'"quantity":1000001'),
        (b'"quantity":6', b'"quantity":06'),
        (b'"quantity":6', b'"quantity":6.0'),
        (b'"quantity":6', b'"quantity":6e0'),
        (b'"quantity":6', b'"quantity":-6'),
        (b'"quantity":6', b'"quantity":18446744073709551622'),
        (b'"amount_minor":1530', b'"amount_minor":1000000000000001'),
        (b'"amount_minor":1530', b'"amount_minor":-0'),
        (b'"GBP"', b'"GB"'),
        (b'"GBP"', "€€€€".encode()),
        (b'"85123A"', b'"%b"' % ("€" * 65).encode()),
        (b'"85123A"', b'""'),
        (b'"85123A"', b'"\xed\xa0\x80"'),
        (b'"85123A"', b'"\xc0\xaf"'),
        (b'"85123A"', b'"\xf4\x90\x80\x80"'),
        (b'"85123A"', b'"a\x1fb"'),
        (b'"17850"', b"17850"),
        (b'"specversion":"1.0"', b'"specversion":"1.1"'),
        (b'"sequence":"0000000000000007"', b'"sequence":"0000000000000000"'),
        (b'"sequence":"0000000000000007"', b'"sequence":"000000000000000a"'),
        (b'"sequence":"0000000000000007"', b'"sequence":null'),
        (b',"sequence":"0000000000000007"', b""),
        (b'"source":"%b"' % SOURCE.encode(), b'"source":""'),
        (b"12:30:00.", b"12:30:60."),
        (b"2011-03-04", b"2011-02-29"),
        (b"2011-03-04", b"1999-12-31"),
        (b'"lines":[{', b'"lines":[{},{'),
        (b'"currency":"GBP"', b'"currency":"GBP","currency":"GBP"'),
        (b'"buyer_id":', b'"buyer":'),
    ],
)  # fmt: skip
def test_what_is_out_of_bounds_or_otherwise_written_is_left_to_python(old: bytes, new: bytes) -> None:
    value = swapped(old, new)(stamped(PAID, 7))
    assert read(value) is None


def test_whatever_it_reads_of_damaged_records_python_reads_alike() -> None:
    chance = random.Random(11)
    taken = 0
    for _ in range(20_000):
        value = mutated(chance)
        if (found := read(value)) is not None:
            taken += 1
            same_in_python(value, found, FIRST)
    assert 500 < taken < 15_000, "the damage is too small or too great to tell anything"


def test_an_event_type_that_it_cannot_be_told_is_read_in_python() -> None:
    class Weighed(Payload, frozen=True, gc=False):
        product_id: Annotated[str, Meta(min_length=1, max_length=64)]
        weight_kg: float

    kind = EventType(Weighed, "orders", 1, ORDER_EVENTS, key=("product_id",))
    assert compiled_events((*EVENT_TYPES, kind)) is None


def test_a_type_with_new_bounds_is_read_within_them() -> None:
    class Brief(Payload, frozen=True, gc=False):
        product_id: Annotated[str, Meta(min_length=2, max_length=3)]
        steps: Annotated[int, Meta(ge=-4, le=9)]

    kind = EventType(Brief, "orders", 1, ORDER_EVENTS, key=("product_id",))

    def is_read(product_id: str, steps: int) -> bool:
        value = stamp(Codec([kind]).draft(Brief(product_id, steps), AT).payload, SOURCE, 1)
        return reader((kind,)).read(Pieces.of([value]), 0) is not None

    assert [is_read("€" * length, 0) for length in (1, 2, 3, 4)] == [False, True, True, False]
    assert [is_read("ab", steps) for steps in (-5, -4, 0, 9, 10)] == [False, True, True, True, False]


@pytest.fixture
def looked_for_anew() -> Iterator[None]:
    """The library, which is otherwise looked for once a process."""
    for known in (compiled.reader, compiled_events):
        known.cache_clear()
    yield
    for known in (compiled.reader, compiled_events):
        known.cache_clear()


@pytest.mark.usefixtures("looked_for_anew")
def test_without_compiled_code_everything_is_read_in_python(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    batch = batch_of([stamped(PAID, 1)])
    with monkeypatch.context() as patched:
        patched.setattr(compiled, "LIBRARY", tmp_path / "reader.so")
        assert compiled_events(EVENT_TYPES) is None
        in_python = decode_batch(CODEC, batch)
        compiled.reader.cache_clear()
        compiled_events.cache_clear()
    assert compiled_events(EVENT_TYPES) is not None
    decoded = decode_batch(CODEC, batch)
    assert {name: frame.rows() for name, frame in in_python.facts.items()} == {
        name: frame.rows() for name, frame in decoded.facts.items()
    }


@pytest.mark.usefixtures("looked_for_anew")
def test_what_was_compiled_from_other_sources_is_not_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for path in compiled.SOURCES.glob("*.[ch]"):
        (tmp_path / path.name).write_bytes(path.read_bytes() + b"\n")
    with monkeypatch.context() as patched:
        patched.setattr(compiled, "SOURCES", tmp_path)
        assert compiled.reader() is None


def test_the_compiler_has_nothing_to_say(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert hatch_build.compile_c(tmp_path / "reader.so", *WARNED) is None
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(("compiler", "why"), [("no-such-compiler", "no-such-compiler"), ("false", "false failed")])
def test_without_a_compiler_nothing_is_made_and_it_is_said_why(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, compiler: str, why: str
) -> None:
    monkeypatch.setenv("CC", compiler)
    assert why in (hatch_build.compile_c(tmp_path / "reader.so") or "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.processes
def test_no_memory_is_misused_whatever_is_read(tmp_path: Path) -> None:
    """By the compiler's own watch over memory and arithmetic, in a process of its own."""
    library = tmp_path / "reader.so"
    watch = ("-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
    assert hatch_build.compile_c(library, *watch) is None
    runtimes = [_runtime(name) for name in ("libasan.so", "libubsan.so")]
    environment = {
        **os.environ,
        "LD_PRELOAD": " ".join(runtimes),
        "ASAN_OPTIONS": "detect_leaks=0",
        "PYTHONMALLOC": "malloc",
        "PYTHONPATH": str(ROOT),
    }
    script = ROOT / "tests" / "event_store" / "compiled_mutations.py"
    ended = subprocess.run(
        [sys.executable, str(script), str(library)], env=environment, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr[-4000:]
    assert ended.stdout.startswith("read "), ended.stdout


def _runtime(name: str) -> str:
    found = subprocess.run(["cc", f"-print-file-name={name}"], capture_output=True, text=True, check=True)
    return found.stdout.strip()


def test_every_column_of_facts_is_filled() -> None:
    values = [samples.record(name, number) for number, name in enumerate(samples.NAMES, start=1)]
    found = read(*values)
    assert found is not None
    assert set(found.facts) == {payload.__name__ for payload in FACTS}
    for payload, columns in FACTS.items():
        assert dict(found.facts[payload.__name__].schema) == columns


def test_a_view_has_no_more_than_it_says() -> None:
    found = read(stamped(ProductView("x" * 64, "v", "GBP"), 1), stamped(ProductView("y" * 13, "v", "GBP"), 2))
    assert found is not None
    assert found.facts["ProductView"]["product_id"].to_list() == ["x" * 64, "y" * 13]
    assert [(place.record, place.sequence) for place in found.places] == [(0, 1)], "they are neighbours in a lane"
