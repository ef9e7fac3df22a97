"""An import that is killed and run again ends in the same figures."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from tests import retail_oracle
from tests.faults.shop import Shop, until

from .half_year import HalfYear, copies_of_the_excerpt

pytestmark = [pytest.mark.processes, pytest.mark.timeout(240)]


async def test_an_import_killed_half_way_and_run_again_ends_in_the_same_figures(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    file = copies_of_the_excerpt(tmp_path / "copies.csv", 5)
    one = HalfYear(shop, file, retail_oracle.judge(file))
    try:
        (api, *_) = shop.start_line()
        await api.is_up()
        for share in (0.3, 0.7):
            importer = shop.start("import", "online-retail", str(file))
            await until(partial(_is_past, one, share), importer)
            importer.kill()
        assert await one.work_of("api") < one.events
        shop.ok("import", "online-retail", str(file))
        await shop.counted_exactly(retail_oracle.oracle(file))
    finally:
        shop.close()
    assert shop.complaints() == []


async def _is_past(one: HalfYear, share: float) -> bool:
    return await one.work_of("api") > share * one.events
