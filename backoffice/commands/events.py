"""`countinghouse events schema`: JSON Schema of every event, as it stands in the log."""

from __future__ import annotations

import json

from event_store.codec import Codec


def events_schema() -> str:
    return json.dumps(Codec().schema(), indent=2, ensure_ascii=False)
