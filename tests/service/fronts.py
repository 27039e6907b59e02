"""Front ends that are killed one after the other under load, and every task that they acknowledged.

``python -m tests.service.fronts --kills 20`` runs more of them than the suite does.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path

import httpx

from tests.ports import free_port
from tests.service.digits import all_ended
from tests.service.front_end import KEY, serve
from tests.service.objects import IMAGE, made, make_version
from tests.service.postgres import binaries, cluster

_SECONDS = 60
_CLIENTS = 4
# What a start imports late.
_LATE = "psycopg", "obstore.store", "uvicorn.lifespan.on", "postproc.service.store.cached_files"


@dataclass
class Front:
    """A front end that runs."""

    process: BaseProcess
    host: str

    def stop(self) -> int | None:
        """End it as SIGTERM does, and return its exit code."""
        self.process.terminate()
        self.process.join(_SECONDS)
        return self.process.exitcode

    def kill(self) -> None:
        """End it as kill -9 does."""
        self.process.kill()
        self.process.join(_SECONDS)

    def client(self) -> httpx.Client:
        """Return a client of it."""
        return httpx.Client(
            base_url=f"{self.host}/v0.7", headers={"X-API-KEY": KEY}, timeout=_SECONDS, trust_env=False
        )


class Fronts:
    """Front ends of one database and one store, in processes of their own; each may be killed.

    They are forked from one that has imported everything, so that each starts in a moment.

    Parameters
    ----------
    database : str
        URL of an empty database.
    folder : Path
        Of the store, and of the front ends' folders.
    count : int
        How many.
    """

    def __init__(self, database: str, folder: Path, count: int) -> None:
        self._database, self._folder = database, folder
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["tests.service.front_end", *_LATE])
        self._ports = [free_port() for _ in range(count)]
        self.running: list[Front] = []

    def __enter__(self) -> Fronts:
        self.running = [self._started(number) for number in range(len(self._ports))]
        try:
            for front in self.running:
                _wait(front)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for front in self.running:
            front.process.terminate()
        for front in self.running:
            front.process.join(_SECONDS)
            front.process.kill()

    def restart(self, number: int) -> None:
        """Start a front end anew that was killed or stopped, at the port that it had."""
        self.running[number] = self._started(number)
        _wait(self.running[number])

    def _started(self, number: int) -> Front:
        store, data = f"file://{self._folder}/store", self._folder / f"front{number}"
        process = self._context.Process(target=serve, args=(self._database, store, data, self._ports[number]))
        process.start()
        return Front(process, f"http://127.0.0.1:{self._ports[number]}")


def _wait(front: Front) -> None:
    deadline = time.monotonic() + _SECONDS
    while True:
        assert front.process.is_alive(), "a front end did not start; its log says why"
        assert time.monotonic() < deadline
        with contextlib.suppress(httpx.TransportError):
            httpx.get(f"{front.host}/healthz", trust_env=False)
            return
        time.sleep(0.02)


@dataclass
class Counted:
    """What a run went through."""

    acknowledged: list[int] = field(default_factory=list)
    kills: int = 0
    stops: int = 0
    crashes: int = 0
    refused: int = 0
    unexpected: list[str] = field(default_factory=list)

    @property
    def tasks(self) -> int:
        """How many tasks were acknowledged."""
        return len(self.acknowledged)


def run_rounds(
    group: Fronts, kills: int, seed: int, restart_database: Callable[[float], None] | None = None
) -> Counted:
    """Kill front ends in turns under load, each time another, and stop one now and then.

    After each fourth kill the database crashes, and is away for so many seconds as `restart_database` takes.
    """
    rng, counted, is_over = random.Random(seed), Counted(), threading.Event()
    with group.running[0].client() as client:
        version = make_version(client)["id"]
    threads = [
        threading.Thread(target=_load, args=(group, version, counted, is_over, number))
        for number in range(_CLIENTS)
    ]
    for thread in threads:
        thread.start()
    try:
        while counted.kills < kills:
            number = (counted.kills + counted.stops) % len(group.running)
            before = counted.tasks
            deadline = time.monotonic() + _SECONDS
            while counted.tasks < before + 10 and time.monotonic() < deadline:
                time.sleep(0.01)
            time.sleep(rng.uniform(0.0, 0.3))
            if rng.random() < 0.2:
                assert group.running[number].stop() in (0, -15)
                counted.stops += 1
            else:
                group.running[number].kill()
                counted.kills += 1
            group.restart(number)
            if restart_database is not None and counted.kills % 4 == 0:
                restart_database(rng.uniform(0.0, 4.0))
                counted.crashes += 1
    finally:
        is_over.set()
        for thread in threads:
            thread.join(_SECONDS)
    return counted


def check(group: Fronts, counted: Counted) -> dict[str, int]:
    """Wait until all acknowledged tasks have ended, asked of every front end; return how many did how."""
    assert not counted.unexpected, counted.unexpected
    answers = []
    for front in group.running:
        with front.client() as client:
            rows = all_ended(client, counted.acknowledged)
        found = {task: row["error"] or row["status"] for task, row in rows.items()}
        answers.append(Counter(found.get(task, "unknown") for task in counted.acknowledged))
    assert all(answer == answers[0] for answer in answers), answers
    return dict(answers[0])


def _load(group: Fronts, version: int, counted: Counted, is_over: threading.Event, number: int) -> None:
    """Send images to the front ends in turns, as a load balancer does, and go on with another from errors."""
    while not is_over.is_set():
        number += 1
        front = group.running[number % len(group.running)]
        try:
            with front.client() as client:
                response = client.post(f"/recognition/versions/{version}/inference", files=IMAGE)
        except httpx.TransportError:
            time.sleep(0.02)
            continue
        if response.status_code == 503:
            counted.refused += 1
            if "Retry-After" not in response.headers:
                counted.unexpected.append(response.text)
            time.sleep(0.02)
        elif response.status_code == 201:
            counted.acknowledged.append(made(response)["task_id"])
        else:
            counted.unexpected.append(response.text)


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--fronts", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    programs = binaries()
    if programs is None:
        sys.exit("PostgreSQL is not installed: apt-get install postgresql")
    with (
        cluster(programs) as server,
        tempfile.TemporaryDirectory() as folder,
        Fronts(server.url(), Path(folder), given.fronts) as group,
    ):

        def restart(seconds: float) -> None:
            server.stop()
            time.sleep(seconds)
            server.start()

        counted = run_rounds(group, given.kills, given.seed, restart)
        ended = check(group, counted)
    sys.stdout.write(
        f"{counted.kills} kills, {counted.stops} stops, {counted.crashes} crashes of PostgreSQL; "
        f"{counted.tasks} tasks acknowledged, {counted.refused} refused with 503; they ended: {ended}\n"
    )


if __name__ == "__main__":
    main()
