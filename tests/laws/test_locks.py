"""Per-product locks: they wait and never skip, in order of arrival; nothing of them is left when nobody holds one."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from projections.locks import ProductLocks
from tests.simulation.virtual_time import VirtualTimeLoop, run_virtual

PRODUCTS = ("a", "b", "c", "d")


@dataclass(slots=True)
class Shelf:
    """Who holds which product, as the holders see it."""

    locks: ProductLocks = field(default_factory=ProductLocks)
    inside: Counter[str] = field(default_factory=Counter)
    worked: Counter[int] = field(default_factory=Counter)

    async def work(self, number: int, products: Iterable[str], seconds: float, nested: Iterable[str] = ()) -> None:
        async with self.locks.hold(products):
            self.inside.update(set(products))
            assert max(self.inside.values(), default=0) <= 1, "two hold one product"
            try:
                await asyncio.sleep(seconds)
                async with self.locks.hold(nested):
                    await asyncio.sleep(seconds)
                self.worked[number] += 1
            finally:
                self.inside.subtract(set(products))


_sets = st.sets(st.sampled_from(PRODUCTS), max_size=4)
_workers = st.lists(
    st.tuples(st.integers(0, 9), _sets, st.integers(0, 3), st.booleans(), st.none() | st.integers(0, 9)),
    min_size=1,
    max_size=10,
)


@given(_workers)
@settings(max_examples=150, deadline=None)
def test_any_schedule_ends_with_all_work_done_one_at_a_time_and_nothing_held(
    workers: list[tuple[int, set[str], int, bool, int | None]],
) -> None:
    """Some take again what they hold, some are cancelled: waiting, in the moment of their turn, or inside."""

    async def main(loop: VirtualTimeLoop) -> None:
        shelf = Shelf()

        async def worker(number: int) -> None:
            (start, products, seconds, again, _) = workers[number]
            await asyncio.sleep(start)
            await shelf.work(number, products, seconds, products if again else ())

        tasks = [asyncio.create_task(worker(number)) for number in range(len(workers))]
        for task, (*_, cancelled_at) in zip(tasks, workers, strict=True):
            if cancelled_at is not None:
                loop.call_at(float(cancelled_at), task.cancel)
        results = await asyncio.gather(*tasks, return_exceptions=True)
        for number, result in enumerate(results):
            finished = result is None
            assert shelf.worked[number] == finished or isinstance(result, asyncio.CancelledError)
            assert finished or workers[number][4] is not None
        assert len(shelf.locks) == 0
        assert not +shelf.inside

    run_virtual(main)


def test_who_comes_first_is_served_first() -> None:
    async def main(loop: VirtualTimeLoop) -> None:
        locks = ProductLocks()
        order: list[int] = []

        async def worker(number: int) -> None:
            async with locks.hold(["a"]):
                order.append(number)
                await asyncio.sleep(1.0)

        tasks = [asyncio.create_task(worker(number)) for number in range(10)]
        await asyncio.sleep(0.5)
        tasks[4].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert order == [0, 1, 2, 3, 5, 6, 7, 8, 9]
        assert len(locks) == 0

    run_virtual(main)


def test_a_lock_handed_to_a_task_in_the_moment_of_its_cancellation_goes_on_to_the_next() -> None:
    async def main(loop: VirtualTimeLoop) -> None:
        shelf = Shelf()
        first = asyncio.create_task(shelf.work(1, ["a"], 1.0))
        second = asyncio.create_task(shelf.work(2, ["a", "b"], 1.0))
        third = asyncio.create_task(shelf.work(3, ["a"], 1.0))
        await asyncio.sleep(0.5)
        assert len(shelf.locks) == 1
        loop.call_at(2.0, second.cancel)  # The first ends then, and the second is next.
        await asyncio.gather(first, second, third, return_exceptions=True)
        assert (shelf.worked[1], shelf.worked[2], shelf.worked[3]) == (1, 0, 1)
        assert len(shelf.locks) == 0

    run_virtual(main)


def test_a_task_cancelled_in_the_moment_before_the_lock_comes_to_it_is_passed_over() -> None:
    async def main(loop: VirtualTimeLoop) -> None:
        shelf = Shelf()
        freed = asyncio.Event()

        async def holder() -> None:
            async with shelf.locks.hold(["a"]):
                await freed.wait()

        first = asyncio.create_task(holder())
        await asyncio.sleep(0)
        second = asyncio.create_task(shelf.work(2, ["a"], 1.0))
        third = asyncio.create_task(shelf.work(3, ["a"], 1.0))
        await asyncio.sleep(0.5)
        freed.set()  # The first gives the lock back before the second hears of its cancellation.
        second.cancel()
        outcomes = await asyncio.gather(first, second, third, return_exceptions=True)
        assert isinstance(outcomes[1], asyncio.CancelledError)
        assert (shelf.worked[2], shelf.worked[3]) == (0, 1)
        assert len(shelf.locks) == 0

    run_virtual(main)


def test_a_busy_product_makes_a_batch_wait_and_not_go_without_it() -> None:
    async def main(loop: VirtualTimeLoop) -> None:
        shelf = Shelf()
        slow = asyncio.create_task(shelf.work(1, ["b"], 50.0))
        await asyncio.sleep(1.0)
        waiting = asyncio.create_task(shelf.work(2, ["a", "b", "c"], 0.0))
        await asyncio.sleep(90.0)
        assert (shelf.worked[2], waiting.done()) == (0, False)
        assert len(shelf.locks) == 2
        await asyncio.gather(slow, waiting)
        assert shelf.worked[2] == 1
        assert len(shelf.locks) == 0

    run_virtual(main)


def test_locks_that_are_switched_off_hold_nothing() -> None:
    async def main(loop: VirtualTimeLoop) -> None:
        locks = ProductLocks(enabled=False)
        async with locks.hold(["a"]), locks.hold(["a"]):
            assert len(locks) == 0

    run_virtual(main)
