"""The service after a kill -9, and at the end of a disk."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import httpx

from tests.service.digits import client_of, digits_in, post_image, publish
from tests.service.killing import run_rounds
from tests.service.objects import made
from tests.service.running import running

_STOP_SECONDS = 20


def test_service_killed_at_random_keeps_what_it_acknowledged(tmp_path: Path) -> None:
    counted = run_rounds(tmp_path, rounds=4, seed=1)
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
