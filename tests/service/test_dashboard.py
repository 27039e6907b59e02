"""The dashboard of docs/grafana: what it asks for is there, and Grafana finds in it what it needs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import combinations
from typing import Any

import pytest

from postproc.service.metrics import METRICS, REPLICA_METRICS, STAGES, Metric, Metrics
from tools import grafana_dashboard

promql_parser = pytest.importorskip("promql_parser")

DASHBOARD: dict[str, Any] = json.loads(grafana_dashboard.FILE.read_text("utf-8"))
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
EXPRESSIONS = sorted({target["expr"] for panel in PANELS for target in panel["targets"]})
VARIABLES = {item["name"]: item for item in DASHBOARD["templating"]["list"]}
# Ids of https://github.com/grafana/grafana/blob/main/packages/grafana-data/src/valueFormats/categories.ts
UNITS = {"none", "s", "bytes", "Bps", "ops", "reqps", "percentunit"}
_OF_PROMETHEUS = {"up", "process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds"}


def test_file_is_what_the_tool_makes() -> None:
    assert grafana_dashboard.FILE.read_text("utf-8") == grafana_dashboard.text(), (
        "python -m tools.grafana_dashboard"
    )


def series_of(name: str, metric: Metric) -> set[str]:
    if metric.kind == "counter":
        return {f"{name}_total"}
    return {name} if metric.kind == "gauge" else {f"{name}_{end}" for end in ("bucket", "sum", "count")}


def known() -> dict[str, set[str]]:
    """Return the labels of each series that there is, beside those that Prometheus and Ray add."""
    found = {name: {"job", "instance"} for name in _OF_PROMETHEUS}
    of_ray = {"application", "replica"}
    for metrics, prefix, added in ((METRICS, "", {"job", "instance"}), (REPLICA_METRICS, "ray_", of_ray)):
        for name, metric in metrics.items():
            for series in series_of(name, metric):
                le = {"le"} if series.endswith("_bucket") else set()
                found[prefix + series] = {*metric.labels, *added, *le}
    return found


def parsed(expression: str) -> Any:
    """Parse an expression as Grafana sends it, which puts values in place of variables."""
    return promql_parser.parse(expression.replace("$__rate_interval", "1m"))


def selectors(node: Any) -> Iterator[Any]:
    if isinstance(node, promql_parser.VectorSelector):
        yield node
    elif isinstance(node, promql_parser.MatrixSelector):
        yield node.vector_selector
    elif isinstance(node, promql_parser.Call):
        for argument in node.args:
            yield from selectors(argument)
    elif isinstance(node, promql_parser.BinaryExpr):
        yield from selectors(node.lhs)
        yield from selectors(node.rhs)
    elif isinstance(node, promql_parser.AggregateExpr | promql_parser.ParenExpr):
        yield from selectors(node.expr)


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_expression_asks_for_series_and_labels_that_there_are(expression: str) -> None:
    tree, there = parsed(expression), known()
    found = list(selectors(tree))
    assert len(found) == len(re.findall(r"\{", expression)), "none is left out"
    for selector in found:
        assert selector.name in there
        for matcher in selector.matchers.matchers:
            assert matcher.name in there[selector.name]
            if matcher.name == "stage":
                assert set(matcher.value.split("|")) <= set(STAGES)
            if matcher.value.startswith("$"):
                assert matcher.value[1:] in VARIABLES
    for labels in re.findall(r" by \(([^)]*)\)", expression):
        for selector in found:
            assert set(filter(None, labels.split(", "))) <= there[selector.name]


def test_every_metric_is_shown() -> None:
    shown = {selector.name for expression in EXPRESSIONS for selector in selectors(parsed(expression))}
    missing = [
        name
        for metrics, prefix in ((METRICS, ""), (REPLICA_METRICS, "ray_"))
        for name, metric in metrics.items()
        if not {prefix + series for series in series_of(name, metric)} & shown
    ]
    assert missing == []


def test_series_are_those_that_a_scrape_has() -> None:
    metrics = Metrics()
    metrics.request("/v0.7/networks", "GET", 200, 0.1)
    scraped = {sample.name for family in metrics.registry.collect() for sample in family.samples}
    assert {name for name in known() if not name.startswith("ray_")} - {"up"} <= scraped


def test_legends_name_labels_of_what_their_expressions_give() -> None:
    for panel in PANELS:
        for target in panel["targets"]:
            named = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            kept = re.findall(r"\bby \(([^)]*)\)", target["expr"])
            (selector, *_) = selectors(parsed(target["expr"]))
            given = set(kept[0].split(", ")) if kept else known()[selector.name]
            assert named <= given, panel["title"]


def test_grafana_finds_what_it_needs() -> None:
    assert DASHBOARD["schemaVersion"] >= 36  # before it, sources were texts
    assert DASHBOARD["title"] == DASHBOARD["uid"] == "postproc"
    assert "id" not in DASHBOARD, "that is of one Grafana"
    assert VARIABLES["datasource"]["type"] == "datasource"
    source = {"type": "prometheus", "uid": "${datasource}"}
    assert all(panel["datasource"] == source for panel in PANELS)
    assert all(target["datasource"] == source for panel in PANELS for target in panel["targets"])
    assert all(item["datasource"] == source for item in VARIABLES.values() if item["type"] == "query")
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    assert [panel["title"] for panel in DASHBOARD["panels"] if panel["type"] == "row"] == list(
        grafana_dashboard.ROWS
    )
    for panel in PANELS:
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS
        letters = [target["refId"] for target in panel["targets"]]
        assert len(set(letters)) == len(letters) > 0


def test_variables_ask_for_labels_of_series_that_there_are() -> None:
    for name in ("job", "instance", "application"):
        inside = re.fullmatch(r"label_values\((.+), (\w+)\)", VARIABLES[name]["definition"])
        assert inside is not None
        (selector,) = selectors(parsed(inside[1]))
        assert inside[2] in known()[selector.name]


def test_panels_lie_beside_each_other() -> None:
    places = [panel["gridPos"] for panel in DASHBOARD["panels"]]
    for place in places:
        assert place["x"] >= 0
        assert place["x"] + place["w"] <= 24
    for a, b in combinations(places, 2):
        beside = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"]
        assert beside or a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"]
