"""The frame of every page: where it reads from, what was chosen, and how complete the figures are."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

import polars as pl
from litestar import Request, get
from litestar.datastructures import State
from litestar.handlers import HTTPRouteHandler
from litestar.response import Template

from backoffice.pipeline import Pipeline
from backoffice.pipeline_status import CompletenessStamp
from backoffice.saved_views import SavedViews
from backoffice.sign_in.access import needs
from backoffice.sign_in.roles import Role
from event_store.errors import LogUnavailable
from projections.explain import Explainer
from projections.periods import zone_named
from projections.read_model import FiguresReader

from .behind_links import BehindLinks
from .compared import COMPARISONS, NONE
from .navigation import leads
from .selection import PRESETS, ZONES, Selection, selected

WebRequest = Request[Any, Any, State]


@dataclass(frozen=True, slots=True)
class Sources:
    """Where pages read from."""

    figures: FiguresReader
    pipeline: Pipeline
    explainer: Explainer
    default_tz: str
    saved: SavedViews | None = None
    """None where there are no accounts."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page: its template and what fills it. `choices` are its own names in the URL."""

    path: str
    title: str
    template: str
    fill: Callable[[Sources, Selection], Awaitable[Mapping[str, Any]]]
    choices: tuple[str, ...] = ()
    under: str = ""
    """The page of the navigation that it belongs to, where that isn't itself."""
    shows_figures: bool = True
    """Whether what it shows stays the same as long as nothing more is counted."""
    comparable: bool = True
    """Whether what it shows can stand beside the same of another range."""
    preset: str = "today"
    """The range that it shows where the URL names none."""
    role: Role = Role.VIEWER
    """Who may see it."""
    export: Callable[[Sources, Selection], Awaitable[pl.DataFrame]] | None = None
    """What it shows, as rows for a file."""


def route(page: Page, sources: Sources) -> HTTPRouteHandler:
    """The handler of a page. The stamp is read before the figures, so that they hold at least what it says.

    A page that asks for itself again says in `X-Figures-Version` what it shows. As long as that is true, the stamp
    alone is the answer: sums over months are not added up again because two seconds have passed.
    """

    @get(page.path, include_in_schema=False, name=page.template, opt=needs(page.role))
    async def show(request: WebRequest) -> Template:
        selection = await choice(request, sources, page)
        stamp = await sources.pipeline.completeness()
        frame = framed(page, selection, stamp)
        if page.shows_figures and request.headers.get("x-figures-version") == frame["version"]:
            return Template(template_name="stamp.html", context=frame)
        saved = await sources.saved.all() if sources.saved and page.shows_figures else None
        filled = await page.fill(sources, selection)
        return Template(template_name=page.template, context={**frame, "path": page.path, "saved": saved, **filled})

    return show


async def choice(request: WebRequest, sources: Sources, page: Page) -> Selection:
    """What the request's URL chooses on a page."""
    extent = await sources.figures.extent(await sources.figures.serving()) if page.shows_figures else None
    now_us = sources.pipeline.now_us()
    return selected(request.query_params, sources.default_tz, now_us, page.choices, extent, page.preset)


async def answer(
    page: Page,
    sources: Sources,
    request: WebRequest,
    status_code: int = 200,
    *,
    chosen: Mapping[str, str] | None = None,
    **told: Any,
) -> Template:
    """A page that forms answer with as well, which `told` is about; `chosen` stands for the page's own names then."""
    selection = await choice(request, sources, page)
    selection = selection if chosen is None else replace(selection, more=chosen)
    try:
        stamp = await sources.pipeline.completeness()
    except LogUnavailable:
        stamp = None  # It shows what the databases know, which is most when something is broken.
    # An answer to a form stands where nothing is to be read again.
    context = {**framed(page, selection, stamp), "still": request.method == "POST"}
    filled = await page.fill(sources, selection)
    return Template(page.template, context={**context, **filled, **told}, status_code=status_code)


def carried(page: Page, selection: Selection, path: str, **more: object) -> str:
    """The URL of another page with what is chosen here, but for what is this page's own."""
    return selection.link(path, **{**dict.fromkeys(page.choices), **more})


def framed(page: Page, selection: Selection, stamp: CompletenessStamp | None) -> dict[str, Any]:
    """Without a stamp where the log can't be asked."""
    zone = zone_named(selection.tz)
    links = BehindLinks(selection)

    def when(instant: datetime | None) -> str:
        if instant is None:
            return ""
        local = instant.astimezone(zone)
        return f"{local.day} {local:%b %Y, %H:%M:%S}"

    return {
        **leads(page.under or page.path),
        "title": page.title,
        "selection": selection,
        "presets": PRESETS,
        "zones": ZONES,
        "stamp": stamp,
        "comparisons": COMPARISONS,
        "comparable": page.comparable,
        "compares": selection.comparison != NONE,
        "newest": _newest(selection),
        "exports": page.title.lower() if page.export else "",
        "version": _version(selection, stamp) if stamp else "",
        "when": when,
        "exactly": lambda time: when(datetime.fromisoformat(time)),
        "behind": links.number,
        "figure_cells": links.cells,
        "carried": partial(carried, page, selection),
        "picker": True,
    }


def _version(selection: Selection, stamp: CompletenessStamp) -> str:
    """A preset names other days after midnight, and a running range another time every quarter of an hour."""
    asked = selection.asked
    return f"{stamp.generation}-{stamp.offset}-{asked.first}-{asked.last}-{selection.until}"


def _newest(selection: Selection) -> str:
    """The link to the newest figures there are: the last month of them."""
    last = selection.extent_days[1]
    return selection.range_link("custom", last.replace(day=1), last)
