"""Eight mistakes of an earlier life of this house and some easy ones, each as replacements in the source of a copy.

A replacement names its text exactly and must be found exactly once: where the source has changed, it is to be written
anew. `selection` are quick tests of the suite that turn red, each for its own reason.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Replacement:
    file: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Mistake:
    name: str
    replacements: tuple[Replacement, ...]
    selection: tuple[str, ...]
    """Test ids; every one of them fails."""
    simulated: bool = True
    """Whether the simulation runs the mistaken lines, and so has to see them, too."""


INTERRUPTIONS = "tests/laws/test_interruptions.py::"
FIGURES = "tests/laws/test_figures.py::"
COMMUTE = "tests/contracts/test_figures_commute.py::"
COMPILED = "tests/event_store/test_compiled_events.py::"
DECODED = "tests/event_store/test_decoded_batch.py::"
PAUSES = "tests/laws/test_pauses.py::"
CROWDED = "tests/laws/test_crowded_lanes.py::"
AWAY = "tests/laws/test_relay.py::test_a_lane_whose_log_is_away_is_tried_again_and_sent_only_when_the_log_says_so"

MISTAKES = (
    Mistake(
        "a product's lock is busy, and its event is skipped",
        (
            Replacement(
                "projections/projector.py",
                "        increments = self.fold([one.new for one in admitted])\n",
                '        free = ~pl.col("product_id").is_in(list(self.locks._held))\n'
                "        folded = self.fold([one.new for one in admitted])\n"
                "        increments = {name: rows.filter(free) for name, rows in folded.items()}\n",
            ),
        ),
        (FIGURES + "test_two_batches_that_meet_in_a_product_are_both_counted_whole",),
    ),
    Mistake(
        "an exception is caught, and the batch acknowledged all the same",
        (
            Replacement(
                "backoffice/partition.py",
                "            except TransientError as error:\n"
                "                failures += 1\n"
                "                await self._back_off(error, failures)\n"
                "            except ForeignIdTaken:\n",
                "            except TransientError:\n"
                "                import dataclasses\n"
                "                await self._apply(dataclasses.replace(batch, facts={}))\n"
                "                return True\n"
                "            except ForeignIdTaken:\n",
            ),
        ),
        (
            "tests/laws/test_consumer.py::test_a_batch_whose_storage_is_away_is_counted_when_it_is_back_and_nothing_before",
        ),
    ),
    Mistake(
        "what was handled is written after the figures, in a transaction of its own",
        (
            Replacement(
                "projections/sqlite_read_model.py",
                "            for entry in effect.entries:\n"
                "                sqlite_inbox.apply(connection, entry)\n"
                "            for name, values in cells.items():\n"
                "                self._merge(connection, name, values)\n"
                "\n"
                "        await self._file.write(apply, grouped=True)\n",
                "            for name, values in cells.items():\n"
                "                self._merge(connection, name, values)\n"
                "\n"
                "        await self._file.write(apply)\n"
                "        for entry in effect.entries:\n"
                "            await self._file.write(lambda opened, one=entry: sqlite_inbox.apply(opened, one))\n",
            ),
        ),
        (INTERRUPTIONS + "test_a_batch_broken_off_while_a_file_is_written_is_counted_once",),
        simulated=False,
    ),
    Mistake(
        "every handled event is remembered for itself, without bound",
        (
            Replacement(
                "event_store/handled.py",
                "        return (*ranges[:-1], (ranges[-1][0], last))\n    return (*ranges, (first, last))\n",
                "        pass\n    return (*ranges, *((one, one) for one in range(first, last + 1)))\n",
            ),
        ),
        (FIGURES + "test_what_was_handled_stays_one_range_a_lane_however_much_it_is",),
    ),
    Mistake(
        "the outbox row is written after the commit of the state it speaks of",
        (
            Replacement(
                "producer_api/sqlite_commerce.py",
                "            sqlite_outbox.write(connection, books.recording.drafts)\n",
                "            self._topics = {**self._topics, 'drafts': books.recording.drafts}\n",
            ),
            Replacement(
                "producer_api/sqlite_commerce.py",
                "        self._committed(len(calls), time.perf_counter() - begun_s)\n",
                "        drafts = self._topics.pop('drafts', [])\n"
                "        await self._file.write(lambda connection: sqlite_outbox.write(connection, drafts))\n"
                "        self._committed(len(calls), time.perf_counter() - begun_s)\n",
            ),
        ),
        (
            "tests/laws/test_commerce.py::test_state_and_event_are_recorded_together_or_not_at_all[sqlite-after_commit-1]",
        ),
        simulated=False,
    ),
    Mistake(
        "records are sent without awaiting the log's acknowledgement",
        (
            Replacement(
                "event_store/relay.py",
                "            offset = await self.log.append(lane.tp, records)\n",
                "            sending = asyncio.ensure_future(self.log.append(lane.tp, records))\n"
                "            sending.add_done_callback(lambda done: done.cancelled() or done.exception())\n"
                "            offset = lane.acknowledged_offset + 1\n",
            ),
        ),
        (AWAY,),
    ),
    Mistake(
        "a lane that failed is never tried again",
        (
            Replacement(
                "event_store/held_lanes.py",
                "        self._retry_at[lane.tp] = self.clock() + wait_s\n",
                '        self._retry_at[lane.tp] = float("inf")\n',
            ),
        ),
        (AWAY,),
    ),
    Mistake(
        "memory is changed before the commit",
        (
            Replacement(
                "projections/projector.py",
                "        async with self.locks.hold(_products(increments)):\n"
                "            await self._commit(Effect([one.entry for one in admitted], increments))\n",
                "        for one in admitted:\n"
                "            self._remember(one)\n"
                "        async with self.locks.hold(_products(increments)):\n"
                "            effect = Effect([one.entry for one in admitted], increments)\n"
                "            await self.read_model.commit(effect, serving=self.serving)\n",
            ),
        ),
        (INTERRUPTIONS + "test_a_batch_broken_off_at_every_await_is_counted_once",),
    ),
    Mistake(
        "a batch takes no note of the last of the days that it changes",
        (
            Replacement(
                "projections/touched_days.py",
                "for day in touched_by(effect.increments)]\n",
                "for day in touched_by(effect.increments)[:-1]]\n",
            ),
        ),
        ("tests/laws/test_kept_figures.py::test_a_batch_that_changes_one_day_is_seen_in_what_is_kept",),
        simulated=False,
    ),
    Mistake(
        "a relay that an operator paused goes on sending",
        (
            Replacement(
                "event_store/relay.py",
                "        claimed = [] if self.pause.is_paused else await",
                "        claimed = await",
            ),
        ),
        (PAUSES + "test_a_paused_relay_sends_nothing_keeps_its_leases_and_then_sends_everything_once",),
    ),
    Mistake(
        "a crowded lane goes on though an operator paused the relay",
        (
            Replacement(
                "event_store/relay.py",
                "            if stop.is_set() or self.pause.is_paused:\n",
                "            if stop.is_set():\n",
            ),
        ),
        (CROWDED + "test_a_pause_holds_up_what_waits_in_a_crowded_lane",),
        simulated=False,
    ),
    Mistake(
        "a crowded lane goes on though the log is to be looked at again",
        (
            Replacement(
                "event_store/held_lanes.py",
                "        return self._held(lane) if _mark(lane) in self._checked else None\n",
                "        return self._held(lane)\n",
            ),
        ),
        (CROWDED + "test_a_crowded_lane_goes_no_further_once_the_database_may_be_an_older_copy",),
        simulated=False,
    ),
    Mistake(
        "a consumer that an operator paused goes on counting",
        (
            Replacement(
                "backoffice/partition.py",
                "            if self.pause.is_paused:\n",
                "            if self.pause.is_paused and self.leave.is_set():\n",
            ),
        ),
        (PAUSES + "test_a_paused_consumer_moves_no_position_keeps_its_leases_and_then_counts_everything_once",),
        simulated=False,
    ),
    Mistake(
        "a refund is counted in the bucket of its own time, where that of its sale is meant",
        (
            Replacement(
                "projections/projection.py",
                "        return SALE_BUCKET if metric in self.by_sale else BUCKET\n",
                "        return BUCKET\n",
            ),
        ),
        (COMMUTE + "test_any_order_split_and_repetition_gives_the_figures_counted_by_hand",),
    ),
    Mistake(
        "compiled code takes a text that is too long",
        (
            Replacement(
                "event_store/compiled/values.h",
                "    if (characters < bounds->least || characters > bounds->most) return NULL;\n",
                "    if (characters < bounds->least) return NULL;\n",
            ),
        ),
        (COMPILED + "test_whatever_it_reads_of_damaged_records_python_reads_alike",),
        simulated=False,
    ),
    Mistake(
        "compiled code takes neighbours in number for neighbours in a lane",
        (
            Replacement(
                "event_store/compiled/events.c",
                "    if (goes_on) {\n",
                "    if (goes_on) return true;\n    if (goes_on) {\n",
            ),
        ),
        (DECODED + "test_lanes_that_alternate_are_told_apart",),
        simulated=False,
    ),
    Mistake(
        "compiled code takes a refund of a sale that came after it",
        (
            Replacement(
                "event_store/compiled/events.c",
                "    if (earlier != NULL && ",
                "    if (false && earlier != NULL && ",
            ),
        ),
        (
            DECODED + "test_a_refund_is_taken_where_its_sale_was_before_and_is_written_as_we_write_times"
            "[2011-03-04T12:35:00.000001Z-None]",
        ),
        simulated=False,
    ),
    Mistake(
        "compiled code reads behind the end of a record",
        (
            Replacement(
                "event_store/compiled/values.h",
                "    if (end - at < TIME_LENGTH + 2 || ",
                "    if (",
            ),
        ),
        (COMPILED + "test_no_memory_is_misused_whatever_is_read",),
        simulated=False,
    ),
)
