"""The archive spares work and decides nothing: with it, without it, and with a damaged one, figures are the same."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backoffice.silence import Silence
from event_store.archive import Archive
from event_store.archiver import Archiver
from event_store.codec import Codec
from event_store.errors import LogChanged
from event_store.events import EVENT_TYPES
from event_store.record import TopicPartition
from projections.catalogue import FIGURES, PROJECTIONS
from projections.explain import Explainer
from projections.explained import Asked, Contribution, Explanation, one_cell
from projections.read_model import Period

from .histories import Values, arranged, partitions
from .line import CATALOG, TPS, Line, assert_figures, in_virtual_time

Damage = Callable[[Path], None]
EVER = Period("ever", 0, 2**40)


async def _counted(line: Line, log: dict[TopicPartition, Values]) -> None:
    for tp, values in log.items():
        if values:
            await line.append(tp, values)
    await line.count_all()


async def _seal(line: Line, folder: Path, min_records: int = 1) -> None:
    await Archiver(line.history(folder), Silence(), min_records=min_records).seal_all()


async def _rebuilt_is_live(line: Line, folder: Path) -> None:
    rebuilt = await line.rebuild(line.history(folder)).run("prove it")
    assert rebuilt.comparison is not None
    assert rebuilt.comparison.equal
    await assert_figures(line.read_model, line.oracle())


async def _every_figure_adds_up(line: Line, folder: Path) -> None:
    """Each product's figures, as a whole and in each of their buckets, are the sums of what explains them."""
    explainer = Explainer(line.read_model, line.history(folder), PROJECTIONS)
    generation = await line.read_model.serving()
    for projection in FIGURES:
        rows = await line.read_model.rows(generation, projection.name)
        buckets = {(row[1], row[0]) for row in rows.select("bucket", "product_id").rows()}
        periods = [(product, Period("bucket", start, start + 900)) for product, start in sorted(buckets)]
        periods += [(product, EVER) for product in sorted({product for product, _ in buckets})]
        for product, period in periods:
            for metric in projection.metrics:
                await _adds_up(line, explainer, product, metric.name, period)
    for name in ("net_minor", "orders", "views", "sale_refunded_minor", "untraced_refunds", "untraced_refunded_minor"):
        await _is_explained(line, explainer, Asked(name, [Period("", EVER.start, EVER.end)]))


async def _adds_up(line: Line, explainer: Explainer, product: str, metric: str, period: Period) -> None:
    await _is_explained(line, explainer, one_cell(metric, product, period))


async def _is_explained(line: Line, explainer: Explainer, asked: Asked) -> None:
    for one in await explainer.explain(asked):
        assert one.adds_up, f"{asked}: {one.figure}, explained {one.total}"
        parts = await explainer.contributions(one)
        assert sum(part.contribution for part in parts) == one.figure
        assert [(part.bucket, part.time) for part in parts] == sorted((part.bucket, part.time) for part in parts)
        for part in parts:
            value = line.log._partitions[part.tp].values[part.offset]
            assert json.loads(value or b"")["id"] == part.event_id
        assert await _in_pages(explainer, one) == parts
        unsorted = replace(explainer, most_sorted=2)
        assert await _in_pages(unsorted, one) == await unsorted.contributions(one)


async def _in_pages(explainer: Explainer, one: Explanation) -> list[Contribution]:
    pages = [await explainer.contributions(one, first, 3) for first in range(0, one.events, 3)]
    return [part for page in pages for part in page]


@given(log=partitions(most=4), data=st.data(), min_records=st.integers(1, 4))
@settings(max_examples=25, deadline=None)
def test_rebuilt_is_live_is_the_oracle_with_segments_and_without(
    log: dict[TopicPartition, Values], data: st.DataObject, min_records: int
) -> None:
    arranged_log = {tp: data.draw(arranged(values)) for tp, values in log.items()}

    async def rebuild_twice(line: Line) -> None:
        with tempfile.TemporaryDirectory() as name:
            await _counted(line, arranged_log)
            await _rebuilt_is_live(line, Path(name))
            await _seal(line, Path(name), min_records)
            await _rebuilt_is_live(line, Path(name))

    in_virtual_time(rebuild_twice)


@given(log=partitions(most=4), data=st.data())
@settings(max_examples=15, deadline=None)
def test_every_figure_of_a_random_history_is_explained_to_the_last_event(
    log: dict[TopicPartition, Values], data: st.DataObject
) -> None:
    arranged_log = {tp: data.draw(arranged(values)) for tp, values in log.items()}
    sealed = data.draw(st.booleans())

    async def explain_all(line: Line) -> None:
        with tempfile.TemporaryDirectory() as name:
            await _counted(line, arranged_log)
            if sealed:
                await _seal(line, Path(name))
            await _every_figure_adds_up(line, Path(name))

    in_virtual_time(explain_all)


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _remove(path: Path) -> None:
    path.unlink()


def _flip(fraction: float) -> Damage:
    def flip(path: Path) -> None:
        content = bytearray(path.read_bytes())
        content[int(fraction * (len(content) - 1))] ^= 0x10
        path.write_bytes(bytes(content))

    return flip


DAMAGES: dict[str, Damage] = {"truncated": _truncate, "emptied": _empty, "removed": _remove}
DAMAGES |= {f"a bit flipped at {percent} %": _flip(percent / 100) for percent in (0, 15, 30, 60, 100)}


def _history(line: Line) -> dict[TopicPartition, Values]:
    """Every kind of event, two lanes, another service, poison and repetitions, always the same."""
    from .histories import Event, events_of_every_kind

    kinds = events_of_every_kind()
    log: dict[TopicPartition, Values] = {}
    for tp in TPS:
        own = [event.placed(f"/a {tp}", number) for number, event in enumerate(kinds, start=1)]
        log[tp] = [*own, *own[2:4], Event(kinds[0].payload, 0).foreign(1), b"not JSON", *own[-1:]]
    return log


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_segment_is_read_over(tmp_path: Path, damage: str) -> None:
    """Each of its files in turn, in a copy of its own."""

    async def damage_each(line: Line) -> None:
        whole = tmp_path / "whole"
        await _counted(line, _history(line))
        await _seal(line, whole)
        files = sorted(path.relative_to(whole) for path in whole.rglob("0001/*/*") if path.is_file())
        assert len(files) > 10
        for number, file in enumerate(files):
            copy = tmp_path / str(number)
            shutil.copytree(whole, copy)
            DAMAGES[damage](copy / file)
            await _rebuilt_is_live(line, copy)
            explainer = Explainer(line.read_model, line.history(copy), PROJECTIONS)
            await _adds_up(line, explainer, "lantern", "views", EVER)
            await _adds_up(line, explainer, "lantern", "gross_minor", EVER)

    in_virtual_time(damage_each)


def test_a_segment_of_other_decoding_rules_is_read_over(tmp_path: Path) -> None:
    """Sealed by a reader that did not know one of the types: what it left out is decoded from the log."""

    async def seal_by_another(line: Line) -> None:
        older = Codec(event_types=[kind for kind in EVENT_TYPES if kind.name != "PaymentCompleted"])
        await _counted(line, _history(line))
        await Archiver(line.history(tmp_path, older), Silence(), min_records=1).seal_all()
        assert Archive(tmp_path, older).read(Archive(tmp_path, older).segments(TPS[2])[0]) is not None
        assert Archive(tmp_path, line.codec).read(Archive(tmp_path, line.codec).segments(TPS[2])[0]) is None
        await _rebuilt_is_live(line, tmp_path)
        await _every_figure_adds_up(line, tmp_path)

    in_virtual_time(seal_by_another)


def test_a_segment_of_another_log_stops_a_rebuild(tmp_path: Path) -> None:
    async def replace_the_log(line: Line) -> None:
        other = Line(line.now_us, line.clock)
        await other.prepare()
        await _counted(other, _history(other))
        await _seal(other, tmp_path)
        values = list(_history(line)[CATALOG])
        await _counted(line, {CATALOG: [*values[:-1], values[0]]})
        with pytest.raises(LogChanged, match="segment"):
            await line.rebuild(line.history(tmp_path)).run("prove it")
        assert await line.read_model.serving() == 1

    in_virtual_time(replace_the_log)


def test_sealing_again_seals_only_what_is_new(tmp_path: Path) -> None:
    async def seal_twice(line: Line) -> None:
        log = _history(line)
        await _counted(line, log)
        await _seal(line, tmp_path)
        assert not await Archiver(line.history(tmp_path), Silence(), min_records=1).seal_all()
        await line.append(CATALOG, log[CATALOG][:3])
        (segment,) = await Archiver(line.history(tmp_path), Silence(), min_records=1).seal_all()
        assert (segment.tp, segment.first_offset, segment.next_offset) == (CATALOG, 13, 16)
        await line.count_all()
        await _rebuilt_is_live(line, tmp_path)

    in_virtual_time(seal_twice)
