"""The dashboard of docs/grafana/postproc.json: ``python -m tools.grafana_dashboard`` writes it.

A row a part, panels from left to right; tests look whether the service has what they show.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

FILE = Path(__file__).resolve().parents[1] / "docs" / "grafana" / "postproc.json"
# 10.4 and later read it; newer ones bring it to their own form when they do.
_SCHEMA = 39
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
_WIDTH, _HEIGHT, _ACROSS = 24, 7, 4
_OWN = 'job=~"$job", instance=~"$instance"'
_RAY = 'application=~"$application"'


@dataclass(frozen=True)
class Panel:
    """A panel of one or more lines.

    Parameters
    ----------
    title, unit, text : str
        Its heading, the unit of Grafana's catalogue, and what it is for.
    lines : sequence of (str, str)
        PromQL and its legend.
    """

    title: str
    unit: str
    text: str
    lines: Sequence[tuple[str, str]]


def _rate_of(name: str, by: str = "", labels: str = _OWN) -> str:
    return f"sum by ({by}) (rate({name}{{{labels}}}[$__rate_interval]))"


def _gauge(
    title: str, unit: str, name: str, text: str, labels: str = _OWN, legend: str = "instance"
) -> Panel:
    return Panel(title, unit, text, [(f"{name}{{{labels}}}", f"{{{{{legend}}}}}")])


def _rate(title: str, unit: str, name: str, by: str, text: str, labels: str = _OWN) -> Panel:
    return Panel(title, unit, text, [(_rate_of(name, by, labels), f"{{{{{by}}}}}")])


def _quantiles(title: str, name: str, text: str, labels: str = _OWN) -> Panel:
    rate = _rate_of(f"{name}_bucket", "le", labels)
    parts = (0.5, 0.95, 0.99)
    return Panel(title, "s", text, [(f"histogram_quantile({part}, {rate})", f"{part:.0%}") for part in parts])


def _mean(title: str, unit: str, name: str, by: str, text: str, labels: str = _OWN) -> Panel:
    expression = f"{_rate_of(f'{name}_sum', by, labels)} / {_rate_of(f'{name}_count', by, labels)}"
    return Panel(title, unit, text, [(expression, f"{{{{{by}}}}}")])


_API = f'{_OWN}, route=~"/v0.7/.*"'
_HTTP, _STAGE, _REPLICA = "postproc_http_request_seconds", "postproc_stage_seconds", "ray_postproc_replica"
_TAKEN = f"sum(increase(postproc_tasks_taken_over_total{{{_OWN}}}[$__rate_interval]))"

ROWS: dict[str, Sequence[Panel]] = {
    "Front ends": (
        _gauge("Scraped", "none", "up", "1 while Prometheus has answers."),
        _rate("Answers", "reqps", f"{_HTTP}_count", "status", "Requests of the API, by status.", _API),
        _quantiles("Time of answers", _HTTP, "From the first byte to the last.", _API),
        _rate(
            "Refused", "reqps", "postproc_refused_total", "cause", "With a 503, by what was short or away."
        ),
        _gauge("Under way", "none", "postproc_http_requests_under_way", "Requests that are being answered."),
        _rate("Processor", "none", "process_cpu_seconds_total", "instance", "Cores; networks run elsewhere."),
        _gauge("Memory", "bytes", "process_resident_memory_bytes", "Of the service's own process."),
        _gauge("Open files", "none", "process_open_fds", "Connections among them."),
    ),
    "Queue and fairness": (
        _gauge("Queue", "none", "postproc_queue_length", "Beyond --queue-length requests are refused."),
        _gauge("Tenants that wait", "none", "postproc_queue_tenants", "Their requests run in turns."),
        _gauge(
            "Inputs", "bytes", "postproc_queue_bytes", "Of what waits or runs: --max-inputs-bytes at most."
        ),
        _quantiles("Wait", _STAGE, "Of a request for its call.", f'{_OWN}, stage="wait"'),
        _rate("Tasks", "ops", "postproc_tasks_total", "outcome", "That ended."),
        _quantiles("Time of tasks", "postproc_task_seconds", "From their acknowledgement to their outcome."),
        _gauge("Pending", "none", "postproc_tasks_pending", "Tasks without a written outcome."),
        _mean("Requests a call", "none", "postproc_batch_size", "instance", "On average."),
    ),
    "Taking over": (
        _gauge("Alive", "none", "postproc_front_ends", "As each front end sees it; 0 for a single process."),
        _gauge("Last sign of life", "s", "postproc_heartbeat_age_seconds", "--lease-seconds at most."),
        _rate("Signs that failed", "ops", "postproc_heartbeat_failures_total", "instance", "See the log."),
        Panel(
            "Tasks of others",
            "none",
            "That wait for a front end, and that one took over since the last point.",
            [(f"max(postproc_leases_waiting{{{_OWN}}})", "wait"), (_TAKEN, "taken over")],
        ),
    ),
    "Networks": (
        _mean("Images", "s", _STAGE, "stage", "On average.", f'{_OWN}, stage=~"fetch|decode|prepare"'),
        _mean("Calls", "s", _STAGE, "stage", "On average.", f'{_OWN}, stage=~"network|post"'),
        _gauge("Loaded", "none", "postproc_sessions", "Networks, without those of replicas."),
        _gauge(
            "Memory of networks", "bytes", "postproc_session_bytes", "Of those; --session-memory at most."
        ),
        _rate("Loads", "ops", "postproc_session_loads_total", "outcome", "Of networks."),
        _rate("Evictions", "ops", "postproc_session_evictions_total", "instance", "Memory was short."),
        _rate("Calls that were ended", "ops", "postproc_calls_ended_total", "cause", "Hung, or crashed."),
        _gauge(
            "Held back", "none", "postproc_networks_held", "Networks whose calls hung or crashed in a row."
        ),
    ),
    "Ray replicas": (
        _gauge("Cluster away", "none", "postproc_cluster_away", "1 while it takes no calls of a front end."),
        Panel(
            "Calls that lost their replica",
            "ops",
            "Tried again at another one, or their tasks handed over.",
            [
                (_rate_of("postproc_calls_retried_total"), "tried again"),
                (_rate_of("postproc_calls_lost_total"), "handed over"),
            ],
        ),
        Panel(
            "Replicas",
            "none",
            "That have run a call.",
            [(f"count({_REPLICA}_networks{{{_RAY}}})", "replicas")],
        ),
        _gauge("Networks of replicas", "none", f"{_REPLICA}_networks", "In each.", _RAY, "replica"),
        _gauge("Memory of these", "bytes", f"{_REPLICA}_network_bytes", "In each.", _RAY, "replica"),
        _quantiles("Time in networks", f"{_REPLICA}_network_seconds", "Of a call.", _RAY),
        _rate("Calls", "ops", f"{_REPLICA}_network_seconds_count", "replica", "Of a request or more.", _RAY),
        _rate("Calls that were ended", "ops", f"{_REPLICA}_calls_ended_total", "cause", "By replicas.", _RAY),
    ),
    "Store of network files": (
        _gauge("Away", "none", "postproc_files_away", "1 while it does not answer a front end."),
        _rate(
            "Networks fetched", "ops", "postproc_file_fetches_total", "outcome", "Into copies of front ends."
        ),
        _rate("Bytes fetched", "Bps", "postproc_file_fetch_bytes_total", "instance", "Of their files."),
        _rate("Copies evicted", "ops", "postproc_file_evictions_total", "instance", "Beyond --store-cache."),
        _rate("Fetched by replicas", "ops", f"{_REPLICA}_file_fetches_total", "outcome", "Networks.", _RAY),
        _rate("Bytes", "Bps", f"{_REPLICA}_file_fetch_bytes_total", "replica", "Fetched by replicas.", _RAY),
        _rate("Evicted", "ops", f"{_REPLICA}_file_evictions_total", "replica", "Copies of nodes.", _RAY),
    ),
    "Database": (
        _gauge("Outcomes that wait", "none", "postproc_outcomes_waiting", "To be written."),
        _gauge("Longest wait", "s", "postproc_store_behind_seconds", "Of the oldest of them."),
        _gauge("Memory of outcomes", "bytes", "postproc_outcomes_waiting_bytes", "That wait."),
        _quantiles("Writes", _STAGE, "Of outcomes together.", f'{_OWN}, stage="store"'),
        _gauge("Connections", "none", "postproc_database_connections", "In use."),
    ),
}


def dashboard() -> dict[str, Any]:
    """Return the dashboard, as Grafana imports it."""
    return {
        "uid": "postproc",
        "title": "postproc",
        "tags": ["postproc"],
        "schemaVersion": _SCHEMA,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "timezone": "browser",
        "annotations": {"list": []},
        "templating": {
            "list": [
                {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"},
                _variable("job", "Job", "label_values(postproc_queue_length, job)"),
                _variable(
                    "instance", "Front end", 'label_values(postproc_queue_length{job=~"$job"}, instance)'
                ),
                _variable(
                    "application",
                    "Application of Ray",
                    "label_values(ray_postproc_replica_networks, application)",
                ),
            ]
        },
        "panels": list(_panels()),
    }


def _variable(name: str, label: str, query: str) -> dict[str, Any]:
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": _SOURCE,
        "definition": query,
        "query": {"query": query, "refId": name},
        "refresh": 2,  # with the time range
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    }


def _panels() -> Iterator[dict[str, Any]]:
    ids, top = count(1), 0
    for title, panels in ROWS.items():
        place = {"x": 0, "y": top, "w": _WIDTH, "h": 1}
        yield {
            "id": next(ids),
            "type": "row",
            "title": title,
            "collapsed": False,
            "gridPos": place,
            "panels": [],
        }
        top += 1
        width = _WIDTH // _ACROSS
        for row, panel in enumerate(panels):
            place = {
                "x": row % _ACROSS * width,
                "y": top + row // _ACROSS * _HEIGHT,
                "w": width,
                "h": _HEIGHT,
            }
            yield _panel(next(ids), panel, place)
        top += -(-len(panels) // _ACROSS) * _HEIGHT


def _panel(identifier: int, panel: Panel, place: dict[str, int]) -> dict[str, Any]:
    return {
        "id": identifier,
        "type": "timeseries",
        "title": panel.title,
        "description": panel.text,
        "datasource": _SOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "options": {
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
        "targets": [
            {"refId": chr(ord("A") + row), "datasource": _SOURCE, "expr": expression, "legendFormat": legend}
            for row, (expression, legend) in enumerate(panel.lines)
        ],
    }


def text() -> str:
    """Return the file."""
    return json.dumps(dashboard(), indent=1) + "\n"


def main() -> None:
    """Write the file."""
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(text(), "utf-8")


if __name__ == "__main__":
    main()
