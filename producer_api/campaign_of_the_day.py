"""Campaigns: now and then the shop puts one product into its window, and everybody looks at it."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from .online_retail import Product

EVERY_VISITS = 150
LASTS_VISITS = 50


@dataclass(frozen=True, slots=True)
class Campaigns:
    """Which product is in the window, decided by the seed and the number of the visit alone."""

    seed: int
    goods: Sequence[Product]

    def at_visit(self, number: int) -> Product | None:
        """The product of the campaign that runs at a visit, counted from 0; the first one begins after a while."""
        (round_, since) = divmod(number, EVERY_VISITS)
        if since < EVERY_VISITS - LASTS_VISITS:
            return None
        return random.Random(f"campaign {self.seed} {round_}").choice(self.goods)
