"""Many clients of one tenant: each posts a photograph, then asks for the task as the vendor's client does."""

from __future__ import annotations

import random
import re
import statistics
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import requests

from tests.service.digits import IMAGE, SECONDS, SOURCE, client_of, digits_in, publish
from tests.service.running import Running

WARM_UP = 3  # inferences before the clock starts
_WAIT = 60.0  # seconds for one task


@dataclass
class Measured:
    """What the clients of one run saw."""

    posts: list[float] = field(default_factory=list)
    inferences: list[float] = field(default_factory=list)
    polls: int = 0
    digits: Counter[int] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)
    seconds: float = 0.0
    memory: list[int] = field(default_factory=list)
    metrics: str = ""

    def add(self, other: Measured) -> None:
        """Count what another client saw."""
        self.posts += other.posts
        self.inferences += other.inferences
        self.polls += other.polls
        self.digits += other.digits
        self.errors += other.errors

    def report(self) -> str:
        """Say it in some lines."""
        sizes = {
            size: int(float(count))
            for size, count in re.findall(r'postproc_batch_size_bucket\{le="([^"]+)"\} (\S+)', self.metrics)
        }
        stages = re.findall(r'postproc_stage_seconds_sum\{stage="(\w+)"\} (\S+)', self.metrics)
        counts = dict(re.findall(r'postproc_stage_seconds_count\{stage="(\w+)"\} (\S+)', self.metrics))
        average = number_of(self.metrics, "postproc_batch_size_sum") / max(
            1.0, number_of(self.metrics, "postproc_batch_size_count")
        )
        return "\n".join(
            [
                f"{len(self.inferences)} inferences in {self.seconds:.1f} s, "
                f"{len(self.inferences) / self.seconds:.1f} a second; {self.polls} polls; "
                f"{len(self.errors)} errors",
                f"POST:      {_percentiles(self.posts)}",
                f"inference: {_percentiles(self.inferences)}",
                f"requests of a network call: {average:.1f} on average; calls up to a size: {sizes}",
                "ms of a stage, on average: "
                + ", ".join(
                    f"{stage} {float(total) / float(counts[stage]) * 1000:.1f}"
                    for stage, total in stages
                    if float(counts[stage])
                ),
                "MiB of the service at start, middle, end: "
                + ", ".join(f"{size / 1024:.0f}" for size in self.memory),
                f"digits found, and how often: {dict(self.digits)}",
                *sorted(set(self.errors))[:5],
            ]
        )


def measure(service: Running, clients: int, seconds: float, seed: int = 0) -> Measured:
    """Let clients send photographs to a service for a time."""
    with client_of(service) as client:
        version = publish(client).version
    total = Measured()
    for _ in range(WARM_UP):
        _Client(service, version, seed).infer()
    stop = threading.Event()
    workers = [_Client(service, version, seed + row + 1) for row in range(clients)]
    threads = [threading.Thread(target=worker.work, args=(stop,), daemon=True) for worker in workers]
    total.memory.append(memory_of(service))
    started = time.monotonic()
    for thread in threads:
        thread.start()
    for part in (1, 2):
        stop.wait(max(0.0, started + seconds * part / 2 - time.monotonic()))
        total.memory.append(memory_of(service))
    stop.set()
    for thread in threads:
        thread.join(_WAIT + SECONDS)
    total.seconds = time.monotonic() - started
    for worker, thread in zip(workers, threads, strict=True):
        total.add(worker.measured)
        if thread.is_alive():
            total.errors.append("a client hangs")
    total.metrics = requests.get(f"{service.host}/metrics", timeout=SECONDS).text
    return total


class _Client:
    """One client of the vendor's kind."""

    def __init__(self, service: Running, version: int, seed: int) -> None:
        self.measured = Measured()
        self._api = f"{service.host}/v0.7"
        self._inference = f"{self._api}/recognition/versions/{version}/inference"
        self._random = random.Random(seed)
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers["X-API-KEY"] = service.key

    def work(self, stop: threading.Event) -> None:
        """Send photographs until told to stop."""
        with self._session:
            while not stop.is_set():
                try:
                    self.infer()
                except (AssertionError, requests.RequestException) as error:
                    self.measured.errors.append(f"{type(error).__name__}: {error}"[:300])
                    stop.wait(0.1)

    def infer(self) -> None:
        """Send one, and ask for the task until it has ended."""
        started = time.perf_counter()
        response = self._session.post(self._inference, files={SOURCE: ("a.jpg", IMAGE)}, timeout=SECONDS)
        assert response.status_code == 201, f"POST: {response.status_code} {response.text}"
        posted = time.perf_counter() - started
        path = f"{self._api}/tasks/{response.json()['task_id']}/"
        for pause in self._pauses():
            time.sleep(pause)
            response = self._session.get(path, timeout=SECONDS)
            self.measured.polls += 1
            assert response.status_code == 200, f"GET: {response.status_code} {response.text}"
            task = response.json()
            if task["status"] != "pending":
                break
            assert time.perf_counter() - started < _WAIT, "the task stays pending"
        assert task["status"] == "success", task["error"]
        self.measured.posts.append(posted)
        self.measured.inferences.append(time.perf_counter() - started)
        self.measured.digits[digits_in(task["data"])] += 1

    def _pauses(self) -> Iterator[float]:
        yield from (0.0, 0.05)
        bound = 0.05
        while True:
            yield 0.1 + self._random.uniform(0.0, min(1.0, bound))
            bound *= 2


def memory_of(service: Running) -> int:
    """Return the resident memory of a service, in KiB."""
    status = Path(f"/proc/{service.process.pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1])


def _percentiles(values: Sequence[float]) -> str:
    if len(values) < 2:
        return "too few"
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    return f"p50 {cuts[49]:.3f} s, p90 {cuts[89]:.3f} s, p99 {cuts[98]:.3f} s, most {max(values):.3f} s"


def number_of(metrics: str, name: str) -> float:
    """Return a number of a service's metrics."""
    found = re.search(rf"^{name} (\S+)$", metrics, re.MULTILINE)
    return float(found[1]) if found else 0.0
