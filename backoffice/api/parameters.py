"""The days and the zone, as every address of the API that has figures takes them."""

from __future__ import annotations

from typing import Annotated

from litestar.params import QueryParameter

Zone = Annotated[str, QueryParameter(description="IANA name of the time zone whose days and hours are meant")]
First = Annotated[str | None, QueryParameter(name="from", description="first day, e.g. 2011-03-01; default: all")]
Last = Annotated[str | None, QueryParameter(name="to", description="last day, included; default: all")]
