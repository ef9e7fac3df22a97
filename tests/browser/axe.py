"""axe-core, which looks at a page for what keeps somebody from using it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from playwright.async_api import Page

SCRIPT = Path(__file__).parents[2] / "backoffice" / "frontend" / "node_modules" / "axe-core" / "axe.min.js"
TAGS = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22a", "wcag22aa")
_RUN = """async (tags) => {
  // Who presses what the foot of a table half covers has scrolled there first: it is looked at uncovered.
  const tall = [...document.querySelectorAll(".tall")];
  for (const one of tall) one.style.maxHeight = "none";
  const found = await axe.run(document, { runOnly: { type: "tag", values: tags }, resultTypes: ["violations"] });
  for (const one of tall) one.style.maxHeight = "";
  return found.violations.flatMap(({ id, nodes }) =>
    nodes.map(({ target, failureSummary }) => [id, target.join(" "), failureSummary]));
}"""


async def violations(page: Page) -> list[str]:
    """Of WCAG 2.0, 2.1 and 2.2, levels A and AA: rule, element and what to do about it."""
    if not await page.evaluate("typeof axe === 'object'"):
        assert SCRIPT.is_file(), "axe-core is missing: `make test` installs it"
        await page.evaluate(SCRIPT.read_text())
    found: list[Any] = await page.evaluate(_RUN, list(TAGS))
    return [": ".join(part.replace("\n", " ") for part in one) for one in found]
