"""How throughput grows with replicas: ``python -m tests.service.on_ray.scaling``.

A cluster on the loopback runs a network whose post-processing sleeps for 200 ms, so that the processor is no
limit, one call a task, first with one replica and then with some.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import ray
from ray import serve

from tests.service.engine.test_engine import averaging, shade, small
from tests.service.on_ray.nodes import nodes
from tests.service.on_ray.replicas import Front, keep, settings_of
from tests.service.posts import Sleeping

SECONDS = 0.2


def rate(address: str, folder: Path, replicas: int, tasks: int) -> float:
    """Return tasks a second, with so many replicas of which each has run some before."""
    settings = settings_of(
        folder,
        ray=address,
        ray_app=f"replicas-{replicas}",
        ray_min_replicas=replicas,
        ray_max_replicas=replicas,
        max_batch=1,
        task_timeout=300.0,
    )
    files = small(folder, averaging(), replicas)
    keep(files, folder)
    front = Front(settings)
    front.engine.start()
    took = 0.0
    for count in (8 * replicas, tasks):
        started = time.monotonic()
        for task_id in range(count):
            front.submit(task_id, files, Sleeping(SECONDS), shade(255))
        failed = [outcome for outcome in front.collect(count).values() if outcome.error is not None]
        assert not failed, failed[0]
        took = time.monotonic() - started
    front.engine.stop()
    ray.init(address, log_to_driver=False, configure_logging=False)
    serve.delete(settings.ray_app)
    ray.shutdown()
    return tasks / took


def main() -> None:
    """Measure, and print tasks a second and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replicas", type=int, default=4, help="how many, beside one")
    parser.add_argument("--tasks", type=int, default=120, help="tasks of a measurement, 200 at most")
    given = parser.parse_args()
    with (
        nodes([1] * given.replicas) as cluster,
        tempfile.TemporaryDirectory(prefix="postproc-") as folder,
    ):
        rates = []
        for count in (1, given.replicas):  # each from a process of its own: Ray is for one connection in each
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as front:
                rates.append(front.submit(rate, cluster.address, Path(folder), count, given.tasks).result())
        one, some = rates
    print(f"{one:.1f} tasks/s with 1 replica, {some:.1f} with {given.replicas}: {some / one:.2f}-fold")  # noqa: T201


if __name__ == "__main__":
    main()
