"""A service that is killed at random moments under uploads and inferences, and what must be left of it.

``python -m tests.service.killing --rounds 30`` runs more rounds than the suite does.
"""

from __future__ import annotations

import argparse
import random
import sqlite3
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests.service.digits import (
    IMAGE,
    SOURCE,
    client_of,
    digits_in,
    ended,
    post_image,
    post_network,
    spec_document,
    version_document,
)
from tests.service.objects import made
from tests.service.running import Running, running

DIGITS = {"yolo": 17, "direct": 18}  # found in the photograph, by kind; one of the latter is none
_LONGEST = 2.5  # seconds before a kill
_SECONDS = 30


@dataclass
class Acknowledged:
    """What the service said it keeps."""

    networks: dict[int, str] = field(default_factory=dict)
    versions: dict[int, int] = field(default_factory=dict)  # the network of each
    digits: dict[int, int] = field(default_factory=dict)  # what each version finds
    tasks: dict[int, int] = field(default_factory=dict)  # the version of each
    unexpected: list[str] = field(default_factory=list)


@dataclass
class Counted:
    """What rounds went through."""

    networks: int = 0
    versions: int = 0
    tasks: int = 0
    interrupted: int = 0


def run_rounds(data: Path, rounds: int, seed: int) -> Counted:
    """Kill a service so many times; each time, check what is left of it."""
    rng, known, counted = random.Random(seed), Acknowledged(), Counted()
    for number in range(rounds):
        with running(data) as service:
            counted.interrupted += _check(service, data, known)
            if not number:
                with client_of(service) as client:
                    _make_version(client, known, "yolo", "first")
            _strain(service, known, rng, number)
        assert not known.unexpected, known.unexpected
    with running(data) as service:
        counted.interrupted += _check(service, data, known)
        assert service.stop() in (0, -15)
    counted.networks, counted.versions = len(known.networks), len(known.versions)
    counted.tasks = len(known.tasks)
    return counted


def _strain(service: Running, known: Acknowledged, rng: random.Random, number: int) -> None:
    """Upload and infer from some threads until the service is killed."""
    version = rng.choice(sorted(known.versions))

    def upload(kind: str) -> None:
        with client_of(service) as client:
            for place in range(10**6):
                _make_version(client, known, kind, f"{number} {kind} {place}")

    def infer() -> None:
        with client_of(service) as client:
            while True:
                response = post_image(client, version)
                if response.status_code == 503:  # the queue is full: nothing was acknowledged
                    time.sleep(0.05)
                    continue
                known.tasks[made(response)["task_id"]] = version

    def work(target: Any, *given: Any) -> None:
        try:
            target(*given)
        except httpx.TransportError:
            return  # it was killed
        except BaseException as error:
            known.unexpected.append(repr(error))

    threads = [threading.Thread(target=work, args=(upload, kind)) for kind in DIGITS]
    threads += [threading.Thread(target=work, args=(infer,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    if number % 2:  # soon after an upload, whose check takes longer than all else
        before, deadline = len(known.networks), time.monotonic() + _SECONDS
        while len(known.networks) == before and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(rng.uniform(0.0, 0.05))
    else:
        time.sleep(rng.uniform(0.05, _LONGEST))
    service.kill()
    for thread in threads:
        thread.join(_SECONDS)
        assert not thread.is_alive()


def _make_version(client: httpx.Client, known: Acknowledged, kind: str, name: str) -> None:
    network = made(post_network(client, kind, name))["id"]
    known.networks[network] = name
    spec = made(client.post("/recognition/specs", json=spec_document(kind)))["id"]
    document = version_document(spec, network, kind)
    version = made(client.post("/recognition/versions", json=document))["id"]
    known.digits[version] = DIGITS[kind]
    known.versions[version] = network


def _check(service: Running, data: Path, known: Acknowledged) -> int:
    """Check what is there after a start, and return how many tasks the kill interrupted."""
    with sqlite3.connect(f"file:{data}/postproc.sqlite?mode=ro", uri=True) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        folders = {row[0] for row in database.execute("SELECT folder FROM network")}
    database.close()
    assert {path.name for path in (data / "networks").iterdir()} == folders
    assert list((data / "staging").iterdir()) == []
    with client_of(service) as client:
        networks = {row["id"]: row["name"] for row in _rows(client, "/networks")}
        assert known.networks.items() <= networks.items()
        versions = {row["id"]: row["network_id"] for row in _rows(client, "/recognition/versions")}
        assert known.versions.items() <= versions.items()
        for network in networks:  # those too whose upload was cut off before the answer
            _run(client, f"/networks/{network}/inference")
        for version in versions:
            digits = digits_in(_run(client, f"/recognition/versions/{version}/inference"))
            assert digits in ([known.digits[version]] if version in known.digits else DIGITS.values())
        return sum(_ended(client, task, known.digits[version]) for task, version in known.tasks.items())


def _ended(client: httpx.Client, task: int, digits: int) -> bool:
    """Whether a kill interrupted a task; if not, it found as many digits."""
    response = client.get(f"/tasks/{task}")
    assert response.status_code == 200, response.text
    document = response.json()
    if document["status"] == "success":
        assert digits_in(document["data"]) == digits
        return False
    assert document["status"] == "error", document
    assert "stopped before this task was done" in document["error"]
    return True


def _rows(client: httpx.Client, path: str) -> list[dict[str, Any]]:
    page = client.get(path, params={"limit": 1000}).json()
    assert page["next"] is None
    rows: list[dict[str, Any]] = page["results"]
    return rows


def _run(client: httpx.Client, path: str) -> dict[str, Any]:
    task = made(client.post(path, files={SOURCE: ("a.jpg", IMAGE)}))["task_id"]
    document = ended(client, task)
    assert document["status"] == "success", document
    data: dict[str, Any] = document["data"]
    return data


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        sys.stdout.write(f"{run_rounds(Path(folder), given.rounds, given.seed)}\n")


if __name__ == "__main__":
    main()
