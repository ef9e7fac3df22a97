"""`/saved-views`: what was saved of the pages with figures. Everybody opens it; analysts save and remove."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl

from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler

from backoffice.instants import utc
from backoffice.problems import sentence
from backoffice.saved_views import LONGEST_QUERY, SavedViews, ViewRefused
from backoffice.sign_in.access import MOST_FORM_BYTES, needs
from backoffice.sign_in.roles import Role

from .forms import entry_of, fields, page, to
from .frame import Page, Sources, WebRequest
from .selection import selected

ANALYSTS = needs(Role.ANALYST)


def routes(views: SavedViews, pages: Sequence[Page], sources: Sources) -> Sequence[HTTPRouteHandler]:
    by_path = {one.path: one for one in pages if one.shows_figures}

    async def shown(status_code: int = 200, trouble: str = "") -> Response[Any]:
        titles = {path: one.title for path, one in by_path.items()}
        context = {"views": await views.all(), "titles": titles, "trouble": trouble, "utc": utc}
        return page("saved_views.html", "Saved views", "/saved-views", status_code, context)

    @get("/saved-views", include_in_schema=False, opt=needs(Role.VIEWER))
    async def show() -> Response[Any]:
        return await shown()

    @post("/saved-views", include_in_schema=False, opt=ANALYSTS, request_max_body_size=MOST_FORM_BYTES)
    async def add(request: WebRequest) -> Response[Any]:
        form = await fields(request)
        path = form.get("path", "")
        try:
            query = _chosen(by_path.get(path), form.get("query", ""), sources)
            await views.add(form.get("name", ""), path, query, entry_of(request))
        except ViewRefused as error:
            return await shown(422, sentence(error))
        return to(f"{path}?{query}")

    @post("/saved-views/remove", include_in_schema=False, opt=ANALYSTS, request_max_body_size=MOST_FORM_BYTES)
    async def remove(request: WebRequest) -> Response[Any]:
        await views.remove((await fields(request)).get("name", ""), entry_of(request))
        return to("/saved-views")

    return [show, add, remove]


def _chosen(kind: Page | None, query: str, sources: Sources) -> str:
    """What the query chooses there, without what it names in vain. Raises QuestionError and ViewRefused."""
    if kind is None:
        raise ViewRefused("only what a page with figures shows is saved")
    if len(query) > LONGEST_QUERY:
        raise ViewRefused(f"the view chooses too much: its URL has more than {LONGEST_QUERY:,} characters")
    named: Mapping[str, str] = dict(parse_qsl(query))
    now_us = sources.pipeline.now_us()
    return selected(named, sources.default_tz, now_us, kind.choices, None, kind.preset).query
