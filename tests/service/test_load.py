"""Some clients at once for some seconds; `tests.service.load` is the long form."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import requests

from postproc.service.engine import DELETED
from tests.service.digits import SECONDS, client_of, digits_in, ended, log_of, post_image, publish
from tests.service.load import WARM_UP, measure, number_of
from tests.service.running import running

_NETWORKS = 3


def test_service_under_load_answers_all_clients_alike(tmp_path: Path) -> None:
    with running(tmp_path) as service:
        measured = measure(service, clients=8, seconds=5)
        assert service.stop() in (0, -15)
    assert measured.errors == []
    assert len(measured.inferences) >= 8
    assert set(measured.digits) == {17}
    assert number_of(measured.metrics, "postproc_batch_size_sum") == len(measured.inferences) + WARM_UP
    assert measured.report().startswith(f"{len(measured.inferences)} inferences in ")


def test_networks_deleted_under_load_end_their_tasks_and_leave_nothing(tmp_path: Path) -> None:
    tasks: list[int] = []
    refused: list[int] = []

    with running(tmp_path) as service, client_of(service) as client:

        def infer(version: int) -> None:
            with client_of(service) as own:
                while (response := post_image(own, version)).status_code == 201:
                    tasks.append(response.json()["task_id"])
            refused.append(response.status_code)

        for _ in range(_NETWORKS):
            published, before = publish(client), len(tasks)
            threads = [threading.Thread(target=infer, args=(published.version,)) for _ in range(6)]
            for thread in threads:
                thread.start()
            while len(tasks) < before + 12 and any(thread.is_alive() for thread in threads):
                time.sleep(0.01)
            assert client.delete(f"/networks/{published.network}").status_code == 204
            for thread in threads:
                thread.join(SECONDS)
        found = [ended(client, task) for task in tasks]
        metrics = requests.get(f"{service.host}/metrics", timeout=SECONDS).text
        log = log_of(service)
    assert refused == [404] * 6 * _NETWORKS
    assert {task["error"] for task in found} <= {None, DELETED}
    assert {digits_in(task["data"]) for task in found if task["error"] is None} == {17}
    assert number_of(metrics, "postproc_sessions") == 0
    assert [line for line in log if line["level"] not in ("info", "debug")] == []
