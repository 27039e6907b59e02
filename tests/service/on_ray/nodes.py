"""A Ray cluster of several nodes on this machine's loopback, for tests and commands."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import ray
from ray import serve
from ray.cluster_utils import Cluster

from tests.ports import free_port

LEAST_STORE = 80_000_000  # bytes; Ray takes 75 MiB at least
# Ray takes 127.0.0.1 to mean the address by which others reach this machine.
LOOPBACK = "127.0.0.2"


@contextmanager
def nodes(cpus: Sequence[int] = (1, 1), port: int = 0) -> Iterator[Cluster]:
    """Start nodes of so many cores each, the first of which is the head, at a port; they end with the block.

    Whatever else the machine does, and without a network: Ray listens on the loopback alone and on ports of
    its own, kills no worker where memory gets short, and keeps its files in a folder that goes.
    """
    # A short path, since it becomes that of sockets, which may have 107 characters; macOS's own is long.
    folder = tempfile.mkdtemp(prefix="ray", dir="/tmp" if sys.platform == "darwin" else None)
    given = {"node_ip_address": LOOPBACK, "object_store_memory": LEAST_STORE, "temp_dir": folder}
    changed = {
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_memory_monitor_refresh_ms": "0",
        "RAY_metrics_report_interval_ms": "1000",
        "RAY_TMPDIR": folder,  # where it keeps the address that `auto` means
    }
    Path(folder, "ray").mkdir()
    patch = pytest.MonkeyPatch()
    for name, value in changed.items():
        patch.setenv(name, value)
    cluster = Cluster()
    try:
        cluster.add_node(
            num_cpus=cpus[0],
            include_dashboard=False,
            gcs_server_port=port or free_port(LOOPBACK),
            dashboard_agent_listen_port=free_port(LOOPBACK),
            **given,
        )
        for count in cpus[1:]:
            cluster.add_node(num_cpus=count, **given)
        yield cluster
    finally:
        if ray.is_initialized():
            serve.shutdown()
            ray.shutdown()
        cluster.shutdown()
        patch.undo()
        shutil.rmtree(folder, ignore_errors=True)


def replica_logs(cluster: Cluster, app: str = "*") -> list[str]:
    """Return what each replica of an application, that there is or was, has logged."""
    folder = Path(cluster.head_node.get_logs_dir_path()) / "serve"
    return [path.read_text() for path in folder.glob(f"replica_{app}_networks_*.log")]


def scraped() -> str:
    """Return what nodes of the cluster that this process is connected to tell Prometheus."""
    ports = [(node["NodeManagerAddress"], node["MetricsExportPort"]) for node in ray.nodes() if node["Alive"]]
    pages = (httpx.get(f"http://{host}:{port}/metrics", trust_env=False).text for host, port in ports)
    return "".join(pages)
