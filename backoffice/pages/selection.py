"""What somebody chose to see: a range of days in a time zone, read from the URL and written back into links."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from urllib.parse import urlencode

from projections.periods import ALWAYS, QuestionError, Range, day_named, today, zone_named

PRESETS = {
    "all": "All",
    "today": "Today",
    "yesterday": "Yesterday",
    "7d": "Last 7 days",
    "30d": "Last 30 days",
    "custom": "Custom",
}
ZONES = (
    "UTC",
    "Europe/London",
    "Europe/Berlin",
    "America/New_York",
    "America/Los_Angeles",
    "America/Sao_Paulo",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Asia/Tokyo",
    "Australia/Sydney",
)
"""What is offered; any other IANA name can be typed."""


class UnknownPreset(QuestionError):
    """No such preset range."""


@dataclass(frozen=True, slots=True)
class Selection:
    preset: str
    tz: str
    asked: Range
    more: Mapping[str, str] = field(default_factory=dict)
    """The page's own choices, by their names in the URL."""

    @property
    def state(self) -> dict[str, str]:
        """Everything chosen, as it stands in the URL."""
        custom = self.preset == "custom"
        days = {"from": self.asked.first, "to": self.asked.last} if custom else {}
        written = {name: day.isoformat() for name, day in days.items() if day}
        return {"range": self.preset, "tz": self.tz, **written, **self.more}

    def link(self, path: str = "", **changes: object) -> str:
        """The URL with some choices changed; None and "" take a choice out."""
        chosen: dict[str, object] = {**self.state, **changes}
        return f"{path}?{urlencode({name: value for name, value in chosen.items() if value not in (None, '')})}"

    def kept(self, *without: str) -> list[tuple[str, str]]:
        """Hidden fields that carry the state through a form which sets the rest."""
        return [(name, value) for name, value in self.state.items() if name not in without and value]

    @property
    def sentence(self) -> str:
        if self.preset != "custom":
            return PRESETS[self.preset]
        (first, last) = (self.asked.first, self.asked.last)
        return f"{first or 'the beginning'} to {last or 'now'}"


def selected(query: Mapping[str, str], default_tz: str, now_us: int, more: tuple[str, ...] = ()) -> Selection:
    """Raises QuestionError for a zone, a preset or days that can't be."""
    tz = query.get("tz") or default_tz
    (first, last) = (query.get("from"), query.get("to"))
    preset = query.get("range") or ("custom" if first or last else "all")
    if preset not in PRESETS:
        raise UnknownPreset(f"no range {preset[:32]!r}; there are {', '.join(PRESETS)}")
    now = today(zone_named(tz), now_us)
    asked = _custom(first, last) if preset == "custom" else _preset(preset, now)
    return Selection(preset, tz, asked, {name: query[name] for name in more if query.get(name)})


def _custom(first: str | None, last: str | None) -> Range:
    return Range(day_named(first) if first else None, day_named(last) if last else None)


def _preset(preset: str, now: date) -> Range:
    if preset == "all":
        return ALWAYS
    if preset == "yesterday":
        return Range(now - timedelta(days=1), now - timedelta(days=1))
    back = {"today": 0, "7d": 6, "30d": 29}[preset]
    return Range(now - timedelta(days=back), now)
