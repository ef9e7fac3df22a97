"""A tab of the browser at the dashboard, and everything that it did which none of our pages may do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from playwright.async_api import ConsoleMessage, Dialog, Page, Request

BY_ITSELF = ("data:", "blob:", "about:")
"""What is asked of nobody."""
NOT_LOADED = "Failed to load resource"

FOREIGN = """() => [...document.querySelectorAll("*")].filter((one) =>
  (one.localName === "script" && !one.src.startsWith(location.origin + "/static/dist/"))
  || (one.localName === "img" && !one.src.startsWith(location.origin + "/static/"))
  || [...one.attributes].some((own) => own.name.startsWith("on"))
).map((one) => one.outerHTML)"""


@dataclass
class Visit:
    page: Page
    origin: str
    complaints: list[str] = field(default_factory=list)
    """Errors of scripts and of the page's policy, dialogs, and requests to somebody else."""
    asked: list[str] = field(default_factory=list)
    """Paths of all requests, in their order."""
    opening: str = ""
    """The address of the page that was opened last, which may be answered with what went wrong."""

    def __post_init__(self) -> None:
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self.complaints.append(f"script: {error}"))
        self.page.on("dialog", self._dialog)
        self.page.on("request", self._request)

    async def to(self, path: str) -> None:
        """Opens a page of the dashboard, until its scripts have run."""
        self.opening = self.origin + path
        await self.page.goto(self.opening)

    async def foreign_elements(self) -> list[str]:
        """Those that no template of ours has: a name must have made them."""
        found: list[str] = await self.page.evaluate(FOREIGN)
        return found

    def _said(self, message: ConsoleMessage) -> None:
        is_its_answer = message.text.startswith(NOT_LOADED) and message.location["url"] == self.opening
        if message.type in ("error", "warning") and not is_its_answer:
            self.complaints.append(f"{message.type}: {message.text}")

    async def _dialog(self, dialog: Dialog) -> None:
        self.complaints.append(f"dialog: {dialog.message}")
        await dialog.dismiss()

    def _request(self, request: Request) -> None:
        if request.url.startswith(self.origin + "/"):
            self.asked.append(request.url.removeprefix(self.origin))
        elif not request.url.startswith(BY_ITSELF):
            self.complaints.append(f"request: {request.method} {request.url}")


Visiting = Callable[..., Awaitable[Visit]]
"""Opens another tab."""
