"""Where every page leads, and the frame of those that have no range to carry there."""

from __future__ import annotations

from typing import Any

PIPELINE = "/pipeline"
PAGES = (("/", "Overview"), ("/products", "Products"), (PIPELINE, "Pipeline"), ("/events", "Events"))
OF_PIPELINE = ((PIPELINE, "Flow"), ("/outbox", "Dead rows"), ("/dead-letters", "Dead letters"), ("/rebuild", "Rebuild"))
"""The pipeline's own pages, each of which leads to the others."""


def leads(here: str) -> dict[str, Any]:
    """What a page needs for its navigation that is at the path `here`, or belongs to the page there."""
    tabs = OF_PIPELINE if here in dict(OF_PIPELINE) else ()
    return {"here": here, "pages": PAGES, "tabs": tabs, "under": PIPELINE if tabs else here}


def plain_frame(title: str, here: str = "") -> dict[str, Any]:
    """Of a page without figures: it has no range and no stamp."""
    return {**leads(here), "title": title, "carried": lambda path: path, "picker": False}
