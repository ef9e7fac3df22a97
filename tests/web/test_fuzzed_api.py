"""The JSON API of the dashboard keeps to its OpenAPI document, whatever it is asked."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from tests.fuzzing import fuzzed
from tests.producer_api.serving import Serving
from tests.web.shop import OPENED, Shop, busy_days
from tests.web.visitors import NO_SIGN_IN

CHECKS = """
[checks]
# Not every text is a day, a time zone, a topic or a cursor: what a schema allows may still be refused with 400.
positive_data_acceptance.enabled = false
"""


@pytest.mark.timeout(600)
async def test_every_operation_of_the_json_api_answers_as_its_document_says(shop: Shop, tmp_path: Path) -> None:
    await shop.happened(*busy_days(shop, seed=61, first=OPENED - timedelta(days=5), days=4, events=100))
    serving = Serving()
    await serving.open(shop.dashboard(gate=NO_SIGN_IN))
    try:
        assert await fuzzed(serving.url, CHECKS, tmp_path) == ""
    finally:
        await serving.die()
