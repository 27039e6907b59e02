"""What docs/operations.md hands out: Prometheus' files and the systemd unit fit the service that there is."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from postproc.cli.app import app
from postproc.service.engine.engine import _DRAIN
from postproc.service.errors import CAUSES
from postproc.service.http.middleware import PROBES
from postproc.service.metrics import METRICS, REPLICA_METRICS, STAGES, Metrics
from postproc.service.routes import account, networks, operations, public, specs, tasks, versions
from postproc.service.serving import _STOP_SECONDS
from postproc.service.settings import ServiceSettings
from tests.service.running import ROOT
from tools import metrics_page
from tools.markers import part

FOLDER = ROOT / "docs" / "prometheus"
PAGE = metrics_page.PAGE
UNIT = ROOT / "docs" / "postproc.service"
DEFAULTS = {name: field.default for name, field in ServiceSettings.model_fields.items()}


def rules() -> dict[str, dict[str, Any]]:
    groups = yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


def known_names() -> set[str]:
    """Return the names of all samples that the service exports."""
    metrics = Metrics()
    metrics.request("/v0.7/networks", "GET", 200, 0.1)
    return {sample.name for family in metrics.registry.collect() for sample in family.samples}


def test_alerts_name_metrics_that_there_are() -> None:
    named = {
        name for rule in rules().values() for name in re.findall(r"\bpostproc_[a-z_]+", str(rule["expr"]))
    }
    assert len(named) >= 5
    assert named <= known_names()


def test_alerts_name_labels_that_there_are() -> None:
    text = " ".join(str(rule["expr"]) for rule in rules().values())
    assert set(re.findall(r'stage="(\w+)"', text)) <= set(STAGES)
    assert set(re.findall(r'outcome="(\w+)"', text)) <= {"success", "error"}
    assert set(re.findall(r'cause!?="(\w+)"', text)) <= set(CAUSES)
    parts = (account, networks, operations, public, specs, tasks, versions)
    routes = {route.path for part in parts for route in part.router.routes}  # type: ignore[attr-defined]
    for pattern in re.findall(r'route=~"([^"]+)"', text):
        matched = {route for route in routes if re.fullmatch(pattern, route)}
        assert len(matched) > 10
        assert not matched & set(PROBES)


def test_page_lists_the_metrics_that_there_are() -> None:
    text = PAGE.read_text("utf-8")
    for name, made in metrics_page.parts().items():
        assert part(text, name) == made, "python -m tools.metrics_page"
    families = {family.name: family for family in Metrics().registry.collect()}
    own = {name for name in families if name.startswith("postproc_")}
    assert own == set(METRICS)
    for name, metric in METRICS.items():
        assert families[name].type == metric.kind
    named = set(re.findall(r"\bpostproc_[a-z_]+", text))
    assert named <= known_names() | {f"{name}_total" for name in METRICS} | set(METRICS) | replica_names()


def test_names_of_metrics_are_of_prometheus_conventions() -> None:
    for name, metric in {**METRICS, **REPLICA_METRICS}.items():
        assert re.fullmatch("postproc(_[a-z]+)+", name)
        assert not name.endswith(("_total", "_count", "_sum", "_bucket", "_info")), name
        assert "milli" not in name
        if metric.kind == "histogram":
            assert name.endswith(("_seconds", "_bytes", "_size")), name
        assert metric.text.endswith("."), name


def replica_names() -> set[str]:
    return {f"{name}{end}" for name in REPLICA_METRICS for end in ("", "_total", "_bucket", "_count", "_sum")}


def test_alerts_are_of_the_default_settings_and_tell_what_to_do() -> None:
    assert f"> {DEFAULTS['lease_seconds']:g}" in rules()["PostprocHeartbeatFails"]["expr"]
    assert f"> 0.8 * {DEFAULTS['queue_length']}" in rules()["PostprocQueueNearlyFull"]["expr"]
    for name, rule in rules().items():
        assert {"summary", "action"} <= rule["annotations"].keys(), name
        assert rule["labels"]["severity"] in ("page", "ticket"), name


def test_scrape_config_asks_for_what_is_served() -> None:
    config = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
    job, ray = config["scrape_configs"]
    assert str(ray["file_sd_configs"][0]["files"][0]) in PAGE.read_text("utf-8")
    assert job["metrics_path"] in {route.path for route in operations.router.routes}  # type: ignore[attr-defined]
    assert job["static_configs"] == [{"targets": [f"{DEFAULTS['host']}:{DEFAULTS['port']}"]}]
    assert config["rule_files"] == ["alerts.yml"]
    assert all(f'job="{job["job_name"]}"' in str(rules()[name]["expr"]) for name in ("PostprocDown",))


ANSWERS = "postproc_http_request_seconds_count"
# Which alert fires on which series, and on which it does not; a minute an entry.
FIRING = {
    "PostprocDown": (
        {'up{job="postproc", instance="a"}': "0x20"},
        {'up{job="postproc", instance="a"}': "1x20"},
    ),
    "PostprocStoreBehind": (
        {'postproc_store_behind_seconds{instance="a"}': "20+60x20"},
        {'postproc_store_behind_seconds{instance="a"}': "0 20 0 20 0 20 0 0 0 0 0 0 0 0 0 0 0 0 0 0"},
    ),
    "PostprocQueueNearlyFull": (
        {'postproc_queue_length{instance="a"}': "230x20"},
        {'postproc_queue_length{instance="a"}': "100x20"},
    ),
    "PostprocRefusing": (
        {'postproc_refused_total{instance="a", cause="queue"}': "0+10x20"},
        {
            'postproc_refused_total{instance="a", cause="queue"}': "7x20",
            'postproc_refused_total{instance="a", cause="stopping"}': "0+10x20",
        },
    ),
    "PostprocTasksFail": (
        {
            'postproc_tasks_total{instance="a", outcome="error"}': "0+10x30",
            'postproc_tasks_total{instance="a", outcome="success"}': "0+100x30",
        },
        {
            'postproc_tasks_total{instance="a", outcome="error"}': "0+1x30",
            'postproc_tasks_total{instance="a", outcome="success"}': "0+100x30",
        },
    ),
    "PostprocAnswersFail": (
        {
            ANSWERS + '{instance="a", route="/v0.7/tasks", status="503"}': "0+10x20",
            ANSWERS + '{instance="a", route="/v0.7/tasks", status="200"}': "0+100x20",
        },
        {
            ANSWERS + '{instance="a", route="/readyz", status="503"}': "0+10x20",
            ANSWERS + '{instance="a", route="/v0.7/tasks", status="404"}': "0+100x20",
        },
    ),
    "PostprocHeartbeatFails": (
        {'postproc_heartbeat_age_seconds{instance="a"}': "20+60x20"},
        {'postproc_heartbeat_age_seconds{instance="a"}': "1 2 1 20 1 2 1 1 1 20 1 1 1 1 1 1 1 1 1 1"},
    ),
    "PostprocTasksAbandoned": (
        {'postproc_leases_waiting{instance="a"}': "3x20"},
        {'postproc_leases_waiting{instance="a"}': "0 3 0 0 3 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0"},
    ),
    "PostprocFilesAway": (
        {'postproc_files_away{instance="a"}': "1x20"},
        {'postproc_files_away{instance="a"}': "0x20"},
    ),
    "PostprocClusterAway": (
        {'postproc_cluster_away{instance="a"}': "1x20"},
        {'postproc_cluster_away{instance="a"}': "0x20"},
    ),
    "PostprocNetworksHeld": (
        {'postproc_networks_held{instance="a"}': "0 0 1x20"},
        {'postproc_networks_held{instance="a"}': "0x20"},
    ),
    "PostprocWaitsLong": (
        {
            'postproc_stage_seconds_bucket{instance="a", stage="wait", le="5"}': "0+10x30",
            'postproc_stage_seconds_bucket{instance="a", stage="wait", le="10"}': "0+100x30",
            'postproc_stage_seconds_bucket{instance="a", stage="wait", le="+Inf"}': "0+100x30",
        },
        {
            'postproc_stage_seconds_bucket{instance="a", stage="wait", le="5"}': "0+100x30",
            'postproc_stage_seconds_bucket{instance="a", stage="wait", le="10"}': "0+100x30",
            'postproc_stage_seconds_bucket{instance="a", stage="wait", le="+Inf"}': "0+100x30",
        },
    ),
}


@pytest.fixture
def promtool() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Give a function that runs promtool in a folder."""
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("promtool is not installed: apt-get install prometheus")
    return lambda *arguments: subprocess.run(
        [program, *arguments], cwd=FOLDER, capture_output=True, text=True, timeout=60, check=False
    )


def test_promtool_takes_the_files(promtool: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    ended = promtool("check", "config", "prometheus.yml")
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.parametrize("fires", [True, False], ids=["fires", "is silent"])
@pytest.mark.parametrize("name", sorted(rules()))
def test_alert_fires_where_it_should(
    promtool: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path, name: str, fires: bool
) -> None:
    ended = promtool("test", "rules", str(write_test(tmp_path, name, FIRING[name][0 if fires else 1])))
    told = ended.stdout + ended.stderr
    assert ("got:[]" not in told and f'alertname="{name}"' in told) == fires, told
    assert (ended.returncode == 0) == (not fires), told


def write_test(folder: Path, name: str, series: dict[str, str]) -> Path:
    """Write promtool's test that an alert does not fire."""
    path = folder / "test.yml"
    test = {
        "interval": "1m",
        "input_series": [{"series": key, "values": values} for key, values in series.items()],
        "alert_rule_test": [{"eval_time": "19m", "alertname": name, "exp_alerts": []}],
    }
    path.write_text(yaml.safe_dump({"rule_files": [str(FOLDER / "alerts.yml")], "tests": [test]}))
    return path


def directives() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in UNIT.read_text().splitlines():
        name, is_one, value = line.partition("=")
        if is_one and not line.startswith("#"):
            found.setdefault(name, []).append(value)
    return found


def test_unit_starts_the_service_with_options_that_there_are() -> None:
    [line] = directives()["ExecStart"]
    words = line.split()
    command = get_command(app).commands["serve"]  # type: ignore[attr-defined]
    known = {option for parameter in command.params for option in parameter.opts}
    assert words[:2] == ["/opt/postproc/bin/postproc", "serve"]
    assert {word for word in words if word.startswith("--")} <= known
    assert words[words.index("--data") + 1] == f"/var/lib/{directives()['StateDirectory'][0]}"


def test_unit_waits_for_what_is_under_way_and_starts_again() -> None:
    found = directives()
    assert int(found["TimeoutStopSec"][0]) >= 2 * (_STOP_SECONDS + 2 * _DRAIN)
    assert found["Restart"] == ["on-failure"]
    assert int(found["LimitNOFILE"][0]) >= DEFAULTS["max_connections"] + 400
    assert f"NUMBA_CACHE_DIR=/var/cache/{found['CacheDirectory'][0]}" in found["Environment"]
    assert found["User"] == ["postproc"]
    assert "MemoryDenyWriteExecute" not in found, "kernels are compiled into memory"


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd is not installed")
    path = tmp_path / UNIT.name
    path.write_text(UNIT.read_text().replace("/opt/postproc/bin/postproc", sys.executable))
    ended = subprocess.run(
        [program, "verify", str(path)], capture_output=True, text=True, timeout=60, check=False
    )
    assert (ended.returncode, ended.stdout + ended.stderr) == (0, "")
