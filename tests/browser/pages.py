"""Every page of the dashboard, at addresses where the stocked shop has something to show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import urlencode

import pytest

from tests.web.shop import HOSTILE_ID

AUTUMN = {"range": "custom", "from": "2011-10-28", "to": "2011-11-07", "tz": "Europe/London"}
COMPARED = {"range": "custom", "from": "2011-10-30", "to": "2011-11-02", "compare": "before"}
"""Days before which there are figures as well."""
PLACE = {"topic": "catalog-events", "partition": 0, "offset": 0}
"""Of the record that can't be read."""


def _at(path: str, **query: object) -> str:
    return f"{path}?{urlencode(query)}"


PAGES: Mapping[str, Sequence[str]] = {
    "/": ["/", _at("/", **AUTUMN), _at("/", **COMPARED)],
    "/products": [_at("/products", **AUTUMN), _at("/products", **COMPARED), _at("/products", q="<b>", **AUTUMN)],
    "/product": [_at("/product", id=HOSTILE_ID, **AUTUMN), _at("/product", id="A", **COMPARED)],
    "/behind": [_at("/behind", id=HOSTILE_ID, metric="gross_minor", **AUTUMN)],
    "/pipeline": ["/pipeline"],
    "/outbox": ["/outbox"],
    "/dead-letters": ["/dead-letters?state=all"],
    "/dead-letter": [_at("/dead-letter", **PLACE)],
    "/rebuild": ["/rebuild"],
    "/saved-views": ["/saved-views"],
    "/events": ["/events", _at("/events", q=HOSTILE_ID)],
    "/record": [_at("/record", **PLACE), _at("/record", topic="order-events", partition=0, offset=0)],
    "/audit": ["/audit?of=backoffice", "/audit?of=commerce"],
    "/api": ["/api"],
    "/users": ["/users"],
    "/tokens": ["/tokens"],
    "/account": ["/account"],
    "/sign-in": ["/sign-in?next=/products"],
}
"""Route → addresses. A new page is a line here."""
NOT_THERE = "/nowhere"
ADDRESSES = [*(address for addresses in PAGES.values() for address in addresses), NOT_THERE]
EACH = pytest.mark.parametrize("address", ADDRESSES, ids=lambda address: address[:40])
OF_NOBODY = "/sign-in"
"""The page that somebody sees who isn't signed in."""
