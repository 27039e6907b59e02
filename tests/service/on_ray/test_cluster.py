"""Networks on a Ray cluster of two nodes: results, and a replica that is killed."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("ray.serve", reason="the extra ray-serve is not installed")

import ray
from ray import serve
from ray.cluster_utils import Cluster

from tests.service import digits
from tests.service.engine.test_engine import averaging, greys, shade, small
from tests.service.objects import made
from tests.service.on_ray.nodes import nodes, replica_logs
from tests.service.on_ray.replicas import Front, keep, settings_of
from tests.service.posts import GREY, Held, wait_for
from tests.service.running import running
from tests.service.waiting import wait_until

# Ray warns of what it deprecates in itself.
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.cluster]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with nodes() as started:
        yield started


def test_service_runs_networks_on_a_cluster(
    cluster: Cluster, postgres: Callable[[], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.service.running.START_SECONDS", 180)  # Ray starts some processes, too
    options = (
        *("--database", postgres(), "--store", f"file://{tmp_path}/store", "--ray", cluster.address),
        *("--ray-app", "whole", "--ray-max-replicas", "1", "--ray-copies", str(tmp_path / "copies")),
    )
    with running(tmp_path / "data", *options) as service:
        with digits.client_of(service) as client:
            version = digits.publish(client).version
            answer = digits.post_image(client, version)
            task = digits.ended(client, made(answer)["task_id"])
            assert (task["status"], task["error"]) == ("success", None)
            assert digits.digits_in(task["data"]) > 3
        assert service.stop() in (0, -signal.SIGTERM)
        log = [json.loads(line) for line in service.lines if line.strip()]  # each line is JSON, Ray's too
    assert not any(line["level"] in ("error", "critical") for line in log)
    assert f"request ids: {answer.headers['X-Request-ID']}" in replica_logs(cluster)
    ray.init(cluster.address, log_to_driver=False, configure_logging=False)
    serve.delete("whole")  # it stays where its service ends
    ray.shutdown()


def test_task_whose_replica_is_killed_is_run_by_another(cluster: Cluster, tmp_path: Path) -> None:
    settings = settings_of(
        tmp_path, ray=cluster.address, ray_min_replicas=2, ray_max_replicas=2, task_timeout=100.0
    )
    files = small(tmp_path, averaging())
    keep(files, tmp_path)
    front = Front(settings)
    front.engine.start()
    front.submit(1, files, GREY, shade(255), request_id="request-1")
    assert greys(front.collect(1)) == {1: 1.0}
    front.submit(2, files, Held(tmp_path), shade(255), request_id="request-2")
    wait_for(tmp_path / "process")
    os.kill(int((tmp_path / "parent").read_text()), signal.SIGKILL)
    front.submit(3, files, GREY, shade(255))
    assert greys(front.collect(2)) == {2: 1.0, 3: 1.0}
    process = int((tmp_path / "process").read_text())
    wait_until(lambda: not Path(f"/proc/{process}").exists(), 30, 0.1)  # the network's went with it
    front.engine.stop()
    logged = replica_logs(cluster)
    assert "request ids: request-1" in logged
    assert "request ids: request-2" in logged
