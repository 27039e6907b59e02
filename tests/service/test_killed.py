"""The service after a kill -9, and at the end of a disk."""

from __future__ import annotations

import resource
import threading
import time
from pathlib import Path

import httpx

from tests.service.digits import client_of, digits_in, post_image, post_network, publish
from tests.service.killing import run_rounds
from tests.service.objects import complaint, made
from tests.service.running import running
from tests.service.waiting import wait_until

_STOP_SECONDS = 20


def test_service_killed_at_random_keeps_what_it_acknowledged(tmp_path: Path) -> None:
    counted = run_rounds(tmp_path, rounds=2, seed=1)
    assert counted.networks > 1
    assert counted.tasks > 0


def test_service_that_is_terminated_under_load_ends_what_it_took_in_bounded_time(tmp_path: Path) -> None:
    tasks: list[int] = []
    with running(tmp_path) as service:
        with client_of(service) as client:
            version = publish(client).version

        def infer() -> None:
            with client_of(service) as client:
                try:
                    while True:
                        tasks.append(made(post_image(client, version))["task_id"])
                except (httpx.TransportError, AssertionError):
                    return  # it is ending

        threads = [threading.Thread(target=infer) for _ in range(8)]
        for thread in threads:
            thread.start()
        time.sleep(1.0)
        started = time.monotonic()
        assert service.stop() in (0, -15)
        assert time.monotonic() - started < _STOP_SECONDS
        for thread in threads:
            thread.join(_STOP_SECONDS)
        assert not any(thread.is_alive() for thread in threads)
        assert "Traceback" not in "".join(service.lines)
    assert tasks
    with running(tmp_path) as service, client_of(service) as client:
        found = [client.get(f"/tasks/{task}").json() for task in tasks]
        done = [task for task in found if task["status"] == "success"]
        assert {task["status"] for task in found} <= {"success", "error"}
        assert len(done) > len(tasks) // 2
        assert {digits_in(task["data"]) for task in done} == {17}


def test_service_whose_disk_is_full_says_so_and_loses_nothing(tmp_path: Path) -> None:
    """A limit on the size of a file stands for a disk: both refuse what is written beyond them."""
    with running(tmp_path) as service, client_of(service) as client:
        known = publish(client)
        pid = service.process.pid
        before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (100_000, before[1]))
        response = post_network(client)
        assert response.status_code == 507, response.text
        assert "disk" in complaint(response, 507)
        wait_until(lambda: not list((tmp_path / "staging").iterdir()))
        assert len(list((tmp_path / "networks").iterdir())) == 1
        resource.prlimit(pid, resource.RLIMIT_FSIZE, before)
        again = made(post_network(client))["id"]
        assert {row["id"] for row in client.get("/networks").json()["results"]} == {known.network, again}
        task = made(post_image(client, known.version))["task_id"]
        assert client.get(f"/tasks/{task}").status_code == 200
        assert service.stop() in (0, -15)
