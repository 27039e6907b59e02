"""Clients that upload, delete and infer all the time, and write down what was acknowledged."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import Any

import httpx

from tests.service.digits import IMAGE, SOURCE, post_network, spec_document, version_document
from tests.service.killing import DIGITS
from tests.service.outages.ledger import Ledger, Promised
from tests.service.outages.scene import Scene

CLIENT_SECONDS = 8.0  # as the vendor's client waits for an answer
_INFERRING = 8
_PAUSES = (0.05, 0.1, 0.2, 0.4)  # before each further attempt, the last one again and again
_MOST_NETWORKS = 8
_JOIN_SECONDS = 60

Send = Callable[[httpx.Client], httpx.Response]


class Load:
    """Threads of clients, from `start` to `stop`."""

    def __init__(self, scene: Scene, ledger: Ledger, seed: int) -> None:
        self._scene, self._ledger = scene, ledger
        self._stopping = threading.Event()
        targets = [self._upload, self._read, *[self._infer] * _INFERRING]
        self._threads = [
            threading.Thread(target=self._work, args=(target, random.Random(seed + row)), daemon=True)
            for row, target in enumerate(targets)
        ]

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Let each end what it does, and wait for it."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(_JOIN_SECONDS)
            if thread.is_alive():
                self._ledger.violation("a client hangs")

    def _work(self, target: Any, rng: random.Random) -> None:
        try:
            with self._scene.client(CLIENT_SECONDS) as client:
                while not self._stopping.is_set():
                    target(client, rng)
        except Exception as error:
            self._ledger.violation("a client failed", repr(error))

    def _infer(self, client: httpx.Client, rng: random.Random) -> None:
        ledger = self._ledger
        with ledger.lock:
            version = rng.choice(sorted(ledger.versions) or [0])
        if not version:  # all are lost
            self._stopping.wait(0.1)
            return
        stops = self._scene.stops
        response = self._send(
            client,
            lambda client: client.post(
                f"/recognition/versions/{version}/inference", files={SOURCE: ("a.jpg", IMAGE)}
            ),
        )
        if response is None:
            return
        if response.status_code == 201:
            with ledger.lock:
                promised = Promised(version, ledger.digits[version], stops, time.monotonic())
                ledger.tasks[response.json()["task_id"]] = promised
            ledger.acknowledged.set()
        elif response.status_code != 404 or version not in ledger.deleting:
            ledger.violation(f"an inference is a {response.status_code}", response.text)
            ledger.forget(ledger.versions.get(version, -1))
        self._stopping.wait(rng.uniform(0.0, 0.05))

    def _read(self, client: httpx.Client, rng: random.Random) -> None:
        """Ask for tasks, as clients do while they wait."""
        ledger = self._ledger
        with ledger.lock:
            tasks = rng.sample(sorted(ledger.tasks), min(20, len(ledger.tasks)))
        for row, asked in self._listed(client, tasks):
            promised = ledger.tasks[row["id"]]
            if row["status"] != "pending":
                promised.seen = row["status"]
            elif asked - promised.since > self._scene.bound:
                ledger.violation("a task is pending beyond its time, during the fault", row)
        self._stopping.wait(0.2)

    def _listed(self, client: httpx.Client, tasks: list[int]) -> list[tuple[dict[str, Any], float]]:
        """Return tasks, and when the answer was asked for."""
        asked = 0.0

        def ask(client: httpx.Client) -> httpx.Response:
            nonlocal asked
            asked = time.monotonic()
            return client.get("/tasks", params={"task_ids": tasks})

        response = self._send(client, ask) if tasks else None
        if response is None:
            return []
        if response.status_code != 200:
            self._ledger.violation(f"a list of tasks is a {response.status_code}", response.text)
            return []
        rows: list[dict[str, Any]] = response.json()["results"]
        if {row["id"] for row in rows} != set(tasks):
            self._ledger.violation("tasks are missing in their list, during the fault")
        return [(row, asked) for row in rows]

    def _upload(self, client: httpx.Client, rng: random.Random) -> None:
        kind, name = rng.choice(sorted(DIGITS)), f"{rng.getrandbits(64):x}"
        make_version(self._ledger, lambda send: self._send(client, send), kind, name)
        with self._ledger.lock:
            surplus = sorted(self._ledger.networks)[1:-_MOST_NETWORKS]
        for network in surplus:
            remove_network(self._ledger, lambda send: self._send(client, send), network)
        self._stopping.wait(rng.uniform(0.5, 2.0))

    def _send(self, client: httpx.Client, send: Send) -> httpx.Response | None:
        """Send until there is an answer below 500; None if told to stop."""
        for attempt in range(10**6):
            try:
                response = send(client)
            except httpx.TransportError as error:
                answer = type(error).__name__
            else:
                answer = str(response.status_code)
                if response.status_code == 500:
                    self._ledger.violation("an answer is a 500", response.text)
            with self._ledger.lock:
                self._ledger.answers[answer] += 1
            if answer.isdecimal() and int(answer) < 500:
                return response
            if self._stopping.wait(_PAUSES[min(attempt, len(_PAUSES) - 1)]):
                break
        return None


def make_version(ledger: Ledger, send: Callable[[Send], httpx.Response | None], kind: str, name: str) -> None:
    """Upload a network, and make a spec and a version for it."""

    def made(what: str, request: Send) -> int | None:
        response = send(request)
        if response is None:
            return None
        if response.status_code != 201:
            ledger.violation(f"{what} is a {response.status_code}", response.text)
            return None
        return int(response.json()["id"])

    network = made("an upload", lambda client: post_network(client, kind, name))
    if network is None:
        return
    with ledger.lock:
        ledger.networks[network] = name
    spec = made("a spec", lambda client: client.post("/recognition/specs", json=spec_document(kind)))
    if spec is None:
        return
    document = version_document(spec, network, kind)
    version = made("a version", lambda client: client.post("/recognition/versions", json=document))
    if version is not None:
        with ledger.lock:
            ledger.digits[version] = DIGITS[kind]
            ledger.versions[version] = network


def remove_network(ledger: Ledger, send: Callable[[Send], httpx.Response | None], network: int) -> None:
    """Delete a network, which may be gone already where the answer to an earlier attempt was lost."""
    with ledger.lock:
        ledger.deleting |= {version for version, owner in ledger.versions.items() if owner == network}
    ledger.forget(network)
    response = send(lambda client: client.delete(f"/networks/{network}"))
    if response is None:
        return
    if response.status_code in (204, 404):
        ledger.deleted.add(network)
    else:
        ledger.violation(f"a removal is a {response.status_code}", response.text)
