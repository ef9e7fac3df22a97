"""One record of every event type there ever was, as it stands in the log. Lines are only ever added here.

A record that was written once must decode for ever: a sample that stops decoding means that a payload changed by
more than an addition, and needs a new version and an upcaster.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

NAMES: Mapping[str, tuple[str, str, dict[str, Any]]] = {
    "com.countinghouse.catalog.ProductListed.v1": (
        "ProductListed",
        "product/85123A",
        {
            "product_id": "85123A",
            "version": 3,
            "name": "White hanging heart t-light holder",
            "price_minor": 255,
            "currency": "GBP",
        },
    ),
    "com.countinghouse.catalog.ProductView.v1": (
        "ProductView",
        "product/85123A",
        {"product_id": "85123A", "visitor_id": "visitor-17", "currency": "GBP"},
    ),
    "com.countinghouse.catalog.LikeChanged.v1": (
        "LikeChanged",
        "product/85123A",
        {"product_id": "85123A", "user_id": "17850", "currency": "GBP", "delta": -1},
    ),
    "com.countinghouse.orders.PaymentCompleted.v1": (
        "PaymentCompleted",
        "order/536365",
        {
            "order_id": "536365",
            "payment_id": "536365",
            "currency": "GBP",
            "lines": [
                {"product_id": "85123A", "quantity": 6, "amount_minor": 1530},
                {"product_id": "71053", "quantity": 6, "amount_minor": 2034},
            ],
            "buyer_id": "17850",
        },
    ),
    "com.countinghouse.orders.PaymentFailed.v1": (
        "PaymentFailed",
        "order/536366",
        {"order_id": "536366", "payment_id": "536366", "buyer_id": "17850"},
    ),
    "com.countinghouse.orders.PaymentRefunded.v1": (
        "PaymentRefunded",
        "order/C536379",
        {
            "refund_id": "C536379",
            "currency": "GBP",
            "lines": [{"product_id": "D", "quantity": 1, "amount_minor": 2750}],
        },
    ),
    "com.countinghouse.lane.RecordWithheld.v1": (
        "RecordWithheld",
        "event/01936b2c-8f00-7000-8000-0000000000ff",
        {
            "event_id": "01936b2c-8f00-7000-8000-0000000000ff",
            "event_type": "com.countinghouse.orders.PaymentCompleted.v1",
            "reason": "the record has 300000 bytes, the log takes 262144",
        },
    ),
}
"""CloudEvents type → (name, subject, data)."""


def record(event_type: str, sequence: int = 1) -> bytes:
    """The record's value, with place `sequence` of the samples' lane."""
    (name, subject, data) = NAMES[event_type]
    version = event_type.rpartition(".v")[2]
    return msgspec.json.encode(
        {
            "type": event_type,
            "specversion": "1.0",
            "id": f"01936b2c-8f00-7000-8000-{sequence:012x}",
            "time": "2010-12-01T08:26:00.000000Z",
            "subject": subject,
            "datacontenttype": "application/json",
            "dataschema": f"urn:countinghouse:event:{name}:{version}",
            "data": data,
            "source": "/countinghouse/commerce/01936b2c-8f00-7000-8000-000000000000/1",
            "sequence": f"{sequence:016d}",
        }
    )


SAMPLES: Mapping[str, bytes] = {event_type: record(event_type, place) for place, event_type in enumerate(NAMES, 1)}
"""CloudEvents type → the value of one record."""
