"""Where every page leads, and the frame of those that have no range to carry there."""

from __future__ import annotations

from typing import Any

PAGES = (
    ("/", "Overview"),
    ("/products", "Products"),
    ("/pipeline", "Pipeline"),
    ("/dead-letters", "Dead letters"),
    ("/rebuild", "Rebuild"),
    ("/events", "Events"),
)


def plain_frame(title: str, here: str = "") -> dict[str, Any]:
    """Of a page without figures: it has no range and no stamp."""
    return {"title": title, "here": here, "pages": PAGES, "carried": lambda path: path, "picker": False}
