"""As much of PromQL as it takes to see which metrics and labels a query names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

FUNCTIONS = {"rate", "increase", "delta", "deriv", "changes", "histogram_quantile", "time"}
AGGREGATIONS = {"sum", "max", "min", "count", "avg"}
WORDS = {"and", "or", "unless", "bool", "offset"}
GROUPING = {"by", "without", "on", "ignoring", "group_left", "group_right"}

_TOKEN = re.compile(
    r"""(?P<name>[a-zA-Z_:][\w:]*)
      | (?P<matchers>\{[^}]*\})
      | (?P<range>\[[^\]]*\])
      | (?P<text>"(?:[^"\\]|\\.)*")
      | (?P<number>\d[\w.+-]*)
      | (?P<sign>[-+*/%^()<>=!,]+?)
      | (?P<space>\s+)""",
    re.VERBOSE,
)
_MATCHER = re.compile(r'\s*(\w+)\s*(?:=~|!~|!=|=)\s*"[^"]*"\s*')


@dataclass(frozen=True, slots=True)
class Query:
    metrics: Mapping[str, set[str]]
    """Metric → the labels that select its series."""
    grouped_by: set[str] = field(default_factory=set)
    aggregates: bool = False
    """Whether series are added up, or the like, so that only those labels are left by which they are grouped."""


def read(text: str) -> Query:
    """Raises ValueError for what is not understood: it can't be checked then."""
    metrics: dict[str, set[str]] = {}
    grouped_by: set[str] = set()
    tokens = list(_tokens(text))
    at = 0
    while at < len(tokens):
        (kind, token) = tokens[at]
        following = tokens[at + 1][1] if at + 1 < len(tokens) else ""
        at += 1
        if kind != "name" or token in WORDS:
            continue
        if token in GROUPING:
            end = tokens.index(("sign", ")"), at)
            grouped_by |= {name for sort, name in tokens[at:end] if sort == "name"}
            at = end
        elif token in AGGREGATIONS or (token in FUNCTIONS and following == "("):
            continue
        elif following == "(":
            raise ValueError(f"{token} in {text!r} is no function that we know")
        else:
            selectors = following if following.startswith("{") else "{}"
            metrics.setdefault(token, set()).update(_selecting(selectors))
    return Query(metrics, grouped_by, any(token in AGGREGATIONS for _, token in tokens))


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise ValueError(f"what is {text[at : at + 20]!r} in {text!r}?")
        at = found.end()
        if found.lastgroup != "space":
            yield str(found.lastgroup), found[0]


def _selecting(selectors: str) -> Sequence[str]:
    inside = selectors[1:-1]
    names = _MATCHER.findall(inside)
    if len(names) != len([one for one in inside.split(",") if one.strip()]):
        raise ValueError(f"{selectors!r} is not understood")
    return names
