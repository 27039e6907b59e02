"""Networks on a Ray cluster of two nodes, whose parts are killed one after the other."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

pytest.importorskip("ray.serve", reason="the extra ray-serve is not installed")

import ray
from prometheus_client.parser import text_string_to_metric_families
from ray import serve
from ray.cluster_utils import Cluster

from postproc.service.errors import QueueFullError
from postproc.service.on_ray.messages import ReplicaSettings
from postproc.service.on_ray.replica import DEPLOYMENT, application
from postproc.service.work import STOPPED
from tests.service import digits
from tests.service.engine.engines import averaging, greys, shade, small
from tests.service.objects import made
from tests.service.on_ray.nodes import nodes, replica_logs, scraped
from tests.service.on_ray.replicas import Front, keep, settings_of
from tests.service.posts import GREY, Held, Killing, Sleeping, Slow
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
    assert f"request ids: {answer.headers['X-Request-ID']}" in "".join(replica_logs(cluster))
    with driver(cluster):
        found: dict[str, set[str]] = {}
        wait_until(lambda: "ray_postproc_replica_network_seconds_bucket" in _scrape(found), 30, 1.0)
        serve.delete("whole")  # it stays where its service ends
    of_calls, of_files = ("networks", "network_bytes", "network_seconds_count"), ("fetches", "fetch_bytes")
    for name in (*of_calls, *(f"file_{name}_total" for name in of_files)):
        assert found[f"ray_postproc_replica_{name}"] >= {"application", "replica"}


def _scrape(found: dict[str, set[str]]) -> dict[str, set[str]]:
    """Add the labels of each series that the nodes have for Prometheus."""
    for family in text_string_to_metric_families(scraped()):
        found.update({sample.name: set(sample.labels) for sample in family.samples})
    return found


# --- as many replicas as have work


def test_replicas_come_and_go_with_the_calls_that_wait(cluster: Cluster, tmp_path: Path) -> None:
    with driver(cluster):
        _come_and_go(cluster, tmp_path)


def _come_and_go(cluster: Cluster, tmp_path: Path) -> None:
    settings = settings_of(tmp_path, ray=cluster.address, ray_app="elastic", ray_max_replicas=2, max_batch=1)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("_UPSCALE_SECONDS", "_DOWNSCALE_SECONDS"):
            patch.setattr(f"postproc.service.on_ray.replica.{name}", 1.0)
        serve.start(proxy_location="Disabled")
        app = application(ReplicaSettings.of(settings))
        serve.run(app, name=settings.ray_app, route_prefix=None)
    front = Front(settings)
    front.engine.start()
    files = small(tmp_path, averaging(), 1)
    keep(files, tmp_path)
    assert replicas_of(settings.ray_app) == 1
    for task_id in range(8):
        front.submit(task_id, files, Sleeping(3.0), shade(255))
    wait_until(lambda: replicas_of(settings.ray_app) == 2, 60, 0.1)
    assert all(outcome.error is None for outcome in front.collect(8).values())
    wait_until(lambda: replicas_of(settings.ray_app) == 1, 60, 0.1)
    front.submit(9, files, Slow(tmp_path), shade(255))
    wait_until((tmp_path / "started").exists, 30)
    serve.delete(settings.ray_app, _blocking=False)  # drains its replica
    wait_until(lambda: replicas_of(settings.ray_app) == 0, 30, 0.1)
    (tmp_path / "go").touch()
    assert greys(front.collect(1)) == {9: 1.0}
    front.engine.stop()


# --- two front ends that start at once; what is killed is most at the end


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ray")


@pytest.fixture(scope="module")
def fronts(cluster: Cluster, folder: Path) -> Iterator[list[Front]]:
    given = {"ray": cluster.address, "ray_min_replicas": 2, "ray_max_replicas": 2, "task_timeout": 300.0}
    made = [Front(settings_of(folder, **given, run_seconds=seconds)) for seconds in (50.0, 51.0)]
    with ThreadPoolExecutor() as threads:
        list(threads.map(lambda front: front.engine.start(), made))
    yield made
    for front in made:
        front.engine.stop()


def test_application_of_two_front_ends_is_made_once(
    fronts: list[Front], cluster: Cluster, folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files = small(tmp_path, averaging())
    keep(files, folder)
    for front in fronts:
        front.submit(1, files, GREY, shade(255), request_id="request-1")
    assert [greys(front.collect(1)) for front in fronts] == [{1: 1.0}] * 2
    logs = replica_logs(cluster, "postproc")
    assert len(logs) == 2  # of the replicas that there are at least
    assert "".join(logs).count("request ids: request-1") == 2
    (said,) = [
        record.getMessage()
        for record in caplog.get_records("setup")
        if "run_seconds" in record.msg % record.args
    ]
    assert "50.0" in said
    assert "51.0" in said


def test_networks_that_were_deleted_leave_the_memory_of_replicas(
    fronts: list[Front], cluster: Cluster
) -> None:
    fronts[0].engine.forget_network(1)
    wait_until(lambda: all("forget" in log for log in replica_logs(cluster, "postproc")), 60, 0.1)


def test_task_that_kills_every_replica_ends_in_error(
    fronts: list[Front], folder: Path, tmp_path: Path
) -> None:
    files = small(tmp_path, averaging(), 2)
    keep(files, folder)
    (tmp_path / "killed").mkdir()
    fronts[0].submit(2, files, Killing(tmp_path / "killed"), shade(255))
    error = fronts[0].collect(1)[2].error or ""
    assert "3 replicas ended while they ran it" in error
    assert 3 <= len(list((tmp_path / "killed").iterdir())) <= 5  # more where one died before it was heard


def test_tasks_of_a_replica_and_of_a_node_that_die_are_run_elsewhere(
    fronts: list[Front], cluster: Cluster, folder: Path, tmp_path: Path
) -> None:
    front = fronts[0]
    with driver(cluster):
        wait_until(lambda: replicas_of("postproc") == 2, 60, 0.1)
    held = {row: tmp_path / f"held-{row}" for row in (3, 4, 5)}
    for row, place in held.items():  # more than one replica takes
        place.mkdir()
        files = small(tmp_path, averaging(), row)
        keep(files, folder)
        front.submit(row, files, Held(place), shade(255), request_id=f"request-{row}")
    head = cluster.head_node.all_processes["raylet"][0].process.pid
    wait_until(lambda: len(raylets(held.values())) == 2, 40, 0.1)
    (replica,) = (pid for pid, raylet in raylets(held.values()).items() if raylet == head)
    processes = [int(path.read_text()) for path in tmp_path.glob("*/process")]
    for place in held.values():
        (place / "process").touch()  # the third has not begun, and is not to be held later
    os.kill(replica, signal.SIGKILL)
    cluster.remove_node(cluster.worker_nodes.copy().pop(), allow_graceful=False)
    assert greys(front.collect(3)) == dict.fromkeys(held, 1.0)
    for process in processes:  # the networks' went with their replicas
        wait_until(lambda number=process: not Path(f"/proc/{number}").exists(), 30, 0.1)


def test_front_end_outlives_its_cluster(
    fronts: list[Front], cluster: Cluster, folder: Path, tmp_path: Path
) -> None:
    front = fronts[0]
    files = small(tmp_path, averaging(), 5)
    keep(files, folder)
    front.submit(5, files, Held(tmp_path), shade(255))
    wait_until((tmp_path / "process").exists, 60)
    cluster.head_node.kill_all_processes(check_alive=False, allow_graceful=False)
    wait_until(lambda: front.engine.is_away, 60, 0.1)  # it may be silent for 30
    with pytest.raises(QueueFullError):
        front.submit(6, files, GREY, shade(255))
    port = int(cluster.address.rpartition(":")[2])
    with nodes([2], port):
        wait_until(lambda: not front.engine.is_away, 120, 0.1)
        front.submit(7, files, GREY, shade(255))
        outcomes = front.collect(2)
        assert outcomes.pop(5).error in (None, STOPPED)  # run again, or handed over
        assert greys(outcomes) == {7: 1.0}
        for other in fronts:
            other.engine.stop()


@contextmanager
def driver(cluster: Cluster) -> Iterator[None]:
    """Let this process be a driver of a cluster, too."""
    ray.init(cluster.address, log_to_driver=False, configure_logging=False)
    try:
        yield
    finally:
        ray.shutdown()


def replicas_of(app: str) -> int:
    """Return how many replicas of an application run."""
    found = serve.status().applications.get(app)
    deployment = found.deployments.get(DEPLOYMENT) if found else None
    return deployment.replica_states.get("RUNNING", 0) if deployment else 0


def raylets(held: Iterable[Path]) -> dict[int, int]:
    """Return the replicas that hold calls, and the raylet of each."""
    replicas = {int((place / "parent").read_text()) for place in held if (place / "process").exists()}
    return {pid: parent_of(pid) for pid in replicas}


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
