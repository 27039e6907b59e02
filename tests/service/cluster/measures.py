"""What the whole service does in a second: as replicas grow, and beside a single process."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import httpx

from tests.service.digits import all_ended, wait_for_kernels
from tests.service.load.attack import image_of
from tests.service.load.clients import Measured, measure
from tests.service.load.networks import SIDE, preprocessing, small
from tests.service.objects import made
from tests.service.running import Running, running

if TYPE_CHECKING:
    from tests.service.cluster.scene import Scene

_MODULE = "tests.service.cluster.slow_front", "serve"
_POSTS_AT_ONCE = 8
_TASKS = 25  # of each replica
_LEAST_GROWTH = 3.5
_CLIENTS, _SECONDS, _TURNS = 16, 5.0, 3


def growth(scene: Scene, faults: list[str]) -> str:
    """Measure how throughput grows from one replica to four, whose calls sleep for 200 ms."""
    one, four = _rate(scene, 1), _rate(scene, 4)
    said = (
        f"calls of 200 ms: {one:.1f} tasks/s with 1 replica, {four:.1f} with 4: {four / one:.2f}-fold, of "
        f"{_LEAST_GROWTH} at least"
    )
    if four < _LEAST_GROWTH * one:
        faults.append(said)
    return said


def _rate(scene: Scene, replicas: int) -> float:
    """Return tasks a second of replicas, each of which has run some before."""
    options = "--ray-cpus", "0.25", "--max-batch", "1"
    app, url = f"slow{replicas}", ""
    with (
        scene.ground.serving(app, replicas, *options, module=_MODULE) as (fronts, before),
        fronts[0].client(scene.keys["default"]) as client,
    ):
        url = f"{before.url}/v0.7/recognition/versions/{_grey(client)}/inference"
        image = {"inputs[0]image.source": ("a.png", image_of("PNG", SIDE, SIDE, white=True))}
        took = 0.0
        for count in (8 * replicas, _TASKS * replicas):
            started = time.monotonic()
            with ThreadPoolExecutor(_POSTS_AT_ONCE) as threads:
                posted = threads.map(lambda _: made(client.post(url, files=image)), range(count))
                tasks = [answer["task_id"] for answer in posted]
            rows = all_ended(client, tasks)
            took = time.monotonic() - started
            assert {row["status"] for row in rows.values()} == {"success"}, rows
    return _TASKS * replicas / took


def _grey(client: httpx.Client) -> int:
    """Upload a network that finds how grey an image is; return a version of it."""
    fields = {"name": "grey", "framework": "onnx", "preprocessing": preprocessing()}
    network = made(client.post("/networks", data=fields, files={"model.onnx": ("m", small())}))["id"]
    outputs = [{"labels": {"roi": "NONE", "exclusive": False, "labels": [{"id": 0, "name": "white"}]}}]
    spec = made(client.post("/recognition/specs", json={"name": "grey", "outputs": outputs}))["id"]
    post = {"classification": {"output_tensor": "grey", "thresholds": [0.1]}}
    version = {"spec_id": spec, "network_id": network, "post_processings": [post]}
    return int(made(client.post("/recognition/versions", json=version))["id"])


def overhead(scene: Scene, faults: list[str]) -> str:
    """Measure the demo's network in turns: the whole service, and a single process with SQLite.

    What went wrong meanwhile is a fault.
    """
    front = scene.fronts[0].service
    assert front is not None
    whole = Running(front.process, scene.balancer.url, front.key, front.data)
    with running(scene.ground.folder / "single") as single:
        wait_for_kernels(single.host)
        services = {"single process": single, "cluster": whole}
        busy = _in_turns(services, lambda service: measure(service, _CLIENTS, _SECONDS))
        idle = _in_turns(services, lambda service: measure(service, 1, _SECONDS / 2))
    rates = {name: max(len(run.inferences) / run.seconds for run in runs) for name, runs in busy.items()}
    times = {name: min(statistics.median(run.inferences) for run in runs) for name, runs in idle.items()}
    faults += sorted(
        {error for runs in (*busy.values(), *idle.values()) for run in runs for error in run.errors}
    )
    return "\n".join(
        [
            f"the demo's network, {_CLIENTS} clients, best of {_TURNS}: "
            + ", ".join(f"{name} {rate:.1f} tasks/s" for name, rate in rates.items())
            + f": {rates['cluster'] / rates['single process']:.2f} of it",
            "one client, median time of a task, best: "
            + ", ".join(f"{name} {seconds * 1000:.0f} ms" for name, seconds in times.items())
            + f": {times['cluster'] / times['single process']:.2f}-fold",
        ]
    )


def _in_turns(services: dict[str, Running], run: Callable[[Running], Measured]) -> dict[str, list[Measured]]:
    found: dict[str, list[Measured]] = {name: [] for name in services}
    for _ in range(_TURNS):
        for name, service in services.items():
            found[name].append(run(service))
    return found
