"""The market stall of the living shop, whose till writes into the log by itself and does it wrong.

Its receipt gives an amount in pounds where pence are meant. So it can't be counted until somebody corrects it.
"""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from backoffice.settings import Settings
from backoffice.stores import Stores
from event_store.envelope import format_time, new_event_id
from event_store.record import Record, TopicPartition
from event_store.topics import ORDER_EVENTS, PARTITIONS, newest_versions, partition_for

SOURCE = "/market-stall"
PRODUCT_ID = "85123A"
QUANTITY = 6
AMOUNT = 17.70
"""In pounds: it should be 1770."""


async def leave_receipt(settings: Settings) -> bool:
    """Unless another waits to be corrected. Says whether it did."""
    async with Stores(settings) as stores:
        if any(one.undecided for one in await stores.read_model().letters.counts()):
            return False
        await stores.topic_admin().require(PARTITIONS)
        topics = await stores.log().topics()
        topic = newest_versions(topics)[ORDER_EVENTS.name]
        order_id = f"stall-{new_event_id()}"
        tp = TopicPartition(topic, partition_for(order_id.encode(), topics[topic]))
        await stores.log().append(tp, [Record(order_id.encode(), receipt(order_id, datetime.now(UTC)))])
        return True


def receipt(order_id: str, at: datetime) -> bytes:
    """The record's value, laid out as its till does."""
    event = {
        "specversion": "1.0",
        "type": "com.countinghouse.orders.PaymentCompleted.v1",
        "source": SOURCE,
        "id": new_event_id(),
        "time": format_time(at),
        "subject": f"order/{order_id}",
        "datacontenttype": "application/json",
        "data": {
            "order_id": order_id,
            "payment_id": new_event_id(),
            "currency": "GBP",
            "lines": [{"product_id": PRODUCT_ID, "quantity": QUANTITY, "amount_minor": AMOUNT}],
        },
    }
    return msgspec.json.format(msgspec.json.encode(event), indent=2)
