"""Some clients at once for some seconds; `tests.service.load` is the long form."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from postproc.service.engine.engine import DELETED
from postproc.service.settings import ServiceSettings
from tests.service.digits import SECONDS, client_of, digits_in, ended, log_of, post_image, publish
from tests.service.load.clients import WARM_UP, measure, number_of
from tests.service.load.mix import ALONE, ATTACKED, REST, Mix, Result, run_mix
from tests.service.load.reporting import report
from tests.service.load.watching import MIB, Watch
from tests.service.running import Running, running

_NETWORKS = 2


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("data")) as started:
        yield started
        assert started.stop() in (0, -15)


def test_service_under_load_answers_all_clients_alike(service: Running) -> None:
    measured = measure(service, clients=8, seconds=3)
    assert measured.errors == []
    assert len(measured.inferences) >= 8
    assert set(measured.digits) == {17}
    assert number_of(measured.metrics, "postproc_batch_size_sum") == len(measured.inferences) + WARM_UP
    assert measured.report().startswith(f"{len(measured.inferences)} inferences in ")


def test_hostile_tenant_costs_others_neither_answers_nor_tasks(tmp_path: Path) -> None:
    attacks = {"flood": 6, "slow-bodies": 2, "noise": 4}
    mix = Mix(
        good=1, hostile=1, clients=2, pause=0.1, seconds=4, attacks=attacks, most=8 << 30, idle=0.5, rest=0.5
    )
    settings = ServiceSettings(data=tmp_path, queue_length=64)  # all that the flood queues is waited for
    with running(tmp_path, "--queue-length", str(settings.queue_length)) as service:
        result = run_mix(service, mix, settings)
        assert service.stop() in (0, -15)
    assert result.errors == []
    assert result.problems == []
    assert result.lost == []
    assert result.watch.reason == ""
    assert all(result.seen[phase].seconds["inference"] for phase in (ALONE, ATTACKED))
    (damage,) = result.damage
    assert damage.answers.keys() == attacks.keys()
    assert all(answers.total() for answers in damage.answers.values())
    assert result.tasks > set(damage.tasks) > set()
    assert report(result).startswith("seconds")


def test_load_says_which_limits_were_passed(tmp_path: Path) -> None:
    service = Running(
        subprocess.Popen([sys.executable, "-c", ""], text=True), "http://127.0.0.1:9", "", tmp_path
    )
    service.process.wait(SECONDS)
    result = Result(Watch(service, most=1), {"networks": MIB})
    assert result.faults() == []
    result.seen[ALONE].seconds["post"] = [0.1, 0.1]
    result.seen[ATTACKED].seconds["post"] = [0.1, 0.4]
    result.seen[ATTACKED].errors.append("503")
    result.watch.memory[ATTACKED] = 3 * MIB
    result.watch.health[REST] = 0.6
    result.after = 500 * MIB
    result.lost = [7]
    assert result.faults() == [
        "1 errors of good tenants",
        "1 acknowledged tasks did not end in time: [7]",
        "p99 of post is 4.0 times that without, at most 3",
        "3 MiB above idle, at most 1",
        "500 MiB above idle afterwards, at most 461",
        "/healthz took 0.60 s, rest, at most 0.5",
    ]
    assert report(result).count("FAILS: ") == 6


def test_networks_deleted_under_load_end_their_tasks_and_leave_nothing(service: Running) -> None:
    tasks: list[int] = []
    refused: list[int] = []

    with client_of(service) as client:
        for network in client.get("/networks").json()["results"]:  # of the test before
            assert client.delete(f"/networks/{network['id']}").status_code == 204

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
