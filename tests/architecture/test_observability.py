"""The alert rules and the dashboard speak of metrics that there are, with labels that they have."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from backoffice.declared_metrics import declared
from producer_api.backpressure import Backpressure
from producer_api.metrics import ApiCollector, ApiMeter
from tests.architecture.promql import read
from tests.architecture.sources import ROOT

FOLDER = ROOT / "docs" / "observability"
OF_PROMETHEUS = {"job", "instance"}
"""Labels that every scraped metric has."""
OTHERS = {"up": OF_PROMETHEUS, "process_resident_memory_bytes": OF_PROMETHEUS}
"""Metrics of Prometheus itself and of its client for Python."""
DURATION = re.compile(r"\d+[smhd]")
TEMPLATED = re.compile(r"\{\{\s*(?:\$labels\.)?(\w+)\s*\}\}")


def labels_of_metrics() -> dict[str, set[str]]:
    """Metric, as a query may name it → its labels."""
    meter = ApiMeter()
    meter.request("POST", "/v1/orders", 201, 0.01)
    known: dict[str, set[str]] = dict(OTHERS)
    for metrics in declared(ApiCollector(meter, Backpressure())).values():
        for one in metrics:
            labels = known.get(one.name, set()) | set(one.labels) | OF_PROMETHEUS
            known[one.name] = labels
            if one.type == "histogram":
                known |= {f"{one.name}_sum": labels, f"{one.name}_count": labels, f"{one.name}_bucket": labels | {"le"}}
    return known


KNOWN = labels_of_metrics()


def faults(expression: str) -> list[str]:
    """What an expression names that isn't there."""
    query = read(expression)
    unknown = [name for name in query.metrics if name not in KNOWN]
    had = set[str]().union(*(KNOWN.get(name, set()) for name in query.metrics))
    for name, selecting in query.metrics.items():
        unknown += [f"{name}{{{label}}}" for label in selecting - KNOWN.get(name, had)]
    return unknown + [f"by ({label})" for label in query.grouped_by - had]


def left(expression: str) -> set[str]:
    """The labels of what comes out."""
    query = read(expression)
    if query.grouped_by or query.aggregates:
        return set(query.grouped_by)
    return set().union(*(KNOWN[name] for name in query.metrics))


def alerts() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load((FOLDER / "alerts.yaml").read_text())["groups"]
    rules: list[dict[str, Any]] = group["rules"]
    return rules


def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / "grafana.json").read_text())
    return found


def panels() -> list[dict[str, Any]]:
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


def titles(panel: dict[str, Any]) -> str:
    return str(panel["title"])


def anchors(page: str) -> Iterator[str]:
    """Of its headings, as GitHub makes them."""
    for heading in re.findall(r"^#+ (.+)$", (ROOT / page).read_text(), re.MULTILINE):
        yield re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("rule", alerts(), ids=lambda rule: rule["alert"])
def test_an_alert_asks_for_what_is_measured_and_says_what_to_do(rule: dict[str, Any]) -> None:
    assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
    assert re.fullmatch(r"Countinghouse[A-Z]\w+", rule["alert"])
    assert faults(rule["expr"]) == []
    assert DURATION.fullmatch(rule.get("for", "0s"))
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    assert set(rule["annotations"]) == {"summary", "description", "runbook"}
    (page, _, anchor) = rule["annotations"]["runbook"].partition("#")
    assert anchor in set(anchors(page))


@pytest.mark.parametrize("rule", alerts(), ids=lambda rule: rule["alert"])
def test_an_alerts_words_name_only_labels_that_are_left_of_its_series(rule: dict[str, Any]) -> None:
    words = " ".join([rule["annotations"]["summary"], rule["annotations"]["description"]])
    assert set(TEMPLATED.findall(words)) <= left(rule["expr"])


def test_every_alert_has_a_name_of_its_own_and_every_runbook_an_alert() -> None:
    names = [rule["alert"] for rule in alerts()]
    assert len(set(names)) == len(names) >= 15
    explained = re.findall(r"^### (\w+)$", (ROOT / "docs" / "observability.md").read_text(), re.MULTILINE)
    assert sorted(explained) == sorted(names)


@pytest.mark.parametrize("panel", panels(), ids=titles)
def test_a_panel_shows_what_is_measured(panel: dict[str, Any]) -> None:
    assert panel["description"]
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert [target["refId"] for target in panel["targets"]] == [chr(65 + n) for n in range(len(panel["targets"]))]
    for target in panel["targets"]:
        assert target["datasource"] == panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert faults(target["expr"]) == []
        assert set(TEMPLATED.findall(target["legendFormat"])) <= left(target["expr"])


def test_the_dashboard_is_laid_out_without_overlaps_and_asks_for_its_prometheus() -> None:
    found = dashboard()
    assert len({panel["id"] for panel in found["panels"]}) == len(found["panels"])
    covered: set[tuple[int, int]] = set()
    for panel in found["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert max(x for x, _ in cells) < 24
        assert not cells & covered
        covered |= cells
    (source,) = found["templating"]["list"]
    assert (source["name"], source["type"], source["query"]) == ("datasource", "datasource", "prometheus")


def test_every_metric_of_ours_is_on_its_page_and_has_our_prefix() -> None:
    page = (ROOT / "docs" / "metrics.md").read_text()
    ours = [name for name in KNOWN if name not in OTHERS and not name.endswith(("_bucket", "_sum", "_count"))]
    assert len(ours) > 45
    assert [name for name in ours if f"| `{name}` |" not in page] == []
    assert [name for name in ours if not re.fullmatch(r"countinghouse_[a-z]+(_[a-z]+)+", name)] == []


@pytest.mark.parametrize("page", ["observability.md", "status.md"])
def test_a_page_speaks_of_no_metric_that_is_not_there(page: str) -> None:
    named = set(re.findall(r"`(countinghouse_\w+)", (ROOT / "docs" / page).read_text()))
    assert named
    assert named - KNOWN.keys() == set()


def test_metrics_have_few_labels_and_none_that_grows() -> None:
    used = set().union(*KNOWN.values()) - OF_PROMETHEUS - {"le"}
    assert used == {"topic", "partition", "part", "group", "reason", "phase", "method", "route", "status", "version"}


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("sum(countinghouse_consumer_lags)", ["countinghouse_consumer_lags"]),
        ('countinghouse_consumer_lag{products="1"}', ["countinghouse_consumer_lag{products}"]),
        ("sum by (visitor) (rate(countinghouse_consumer_lag[5m]))", ["by (visitor)"]),
        ("countinghouse_consumer_batch_size_p99", ["countinghouse_consumer_batch_size_p99"]),
        ("max(up) and on (le) countinghouse_build_info", ["by (le)"]),
    ],
)
def test_what_is_not_measured_is_found(expression: str, found: list[str]) -> None:
    assert faults(expression) == found


@pytest.mark.parametrize("expression", ["mystery(up)", "up §", "up{job}"])
def test_what_is_not_understood_is_not_taken_for_good(expression: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        read(expression)
