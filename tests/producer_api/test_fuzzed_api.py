"""The commerce API keeps to its OpenAPI document, whatever it is sent: never a 5xx, never an answer of another kind."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzzing import fuzzed

from .real_shop import RealShop

CHECKS = """
[checks]
# What a schema allows the shop may still refuse with 422: a time of the year 3000, a product that isn't listed.
positive_data_acceptance.enabled = false
# The framework answers OPTIONS where a path has several handlers with the first one's methods; nobody asks that here.
allow_header_conformance.enabled = false

[[operations]]
include-name = "POST /v1/events"
# The intake judges each event for itself: a batch with a malformed one is answered with 200 and that one's refusal.
checks.negative_data_rejection.enabled = false
"""


@pytest.mark.timeout(600)
async def test_every_operation_of_the_commerce_api_answers_as_its_document_says(
    real_shop: RealShop, tmp_path: Path
) -> None:
    assert await fuzzed(real_shop.url, CHECKS, tmp_path) == ""
    assert real_shop.events(), "nothing was ever accepted, so little was tried"
