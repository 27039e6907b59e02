"""Results of tens of megabytes on a service of its own: ``python -m tests.service.large_results``.

One tenant lists tasks with large results, and floods the service with images whose results are large; another
asks for what is small all the while. Printed are the peak of the service's memory above idle, and how long
the other one waited at most.
"""

from __future__ import annotations

import argparse
import io
import re
import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import numpy as np
from onnx import helper
from PIL import Image

from tests.models import network
from tests.service.digits import client_of, ended, wait_for_kernels
from tests.service.objects import made
from tests.service.running import ROOT, Running, running

MOMENT = "2026-01-01T00:00:00.000000Z"
SECONDS = 300.0


class Tenants(NamedTuple):
    """A service, clients of two tenants, and the MiB that it takes while it is idle."""

    service: Running
    client: httpx.Client
    other: httpx.Client
    idle: float


@dataclass
class Measured:
    """What a part of the run took.

    Parameters
    ----------
    peak : float
        Of the service's memory above idle, MiB.
    longest : float
        That the other tenant waited for an answer, seconds.
    seconds : float
        That all took.
    found : list
        What the part says of itself.
    """

    peak: float = 0.0
    longest: float = 0.0
    seconds: float = 0.0
    found: list[Any] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"peak {self.peak:.0f} MiB above idle, the other waited {self.longest:.2f} s at most, "
            f"{self.seconds:.1f} s in all; {self.found}"
        )


def memory_of(service: Running, name: str = "VmRSS") -> float:
    """Return the resident memory of a service in MiB, or with ``VmHWM`` its peak since `reset_peak`."""
    status = Path(f"/proc/{service.process.pid}/status").read_text()
    found = re.search(rf"{name}:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) / 1024


def reset_peak(service: Running) -> None:
    """Let the peak begin anew."""
    Path(f"/proc/{service.process.pid}/clear_refs").write_text("5")


@contextmanager
def two_tenants(data: Path, *options: str) -> Iterator[Tenants]:
    """Run a service, and give it, and a client of each of two tenants."""
    with running(data, "--provider", "CPUExecutionProvider", *options) as service:
        wait_for_kernels(service.host)
        with client_of(service) as client, client_of(service) as other:
            client.timeout = other.timeout = httpx.Timeout(SECONDS)
            other.headers["X-API-KEY"] = service.add_key("other")
            yield Tenants(service, client, other, memory_of(service))


@contextmanager
def measuring(tenants: Tenants, ask: Callable[[], object]) -> Iterator[Measured]:
    """Measure the service while the block lasts, and how long `ask` takes, again and again."""
    measured = Measured()
    reset_peak(tenants.service)
    is_over = threading.Event()

    def work() -> None:
        while not is_over.is_set():
            started = time.monotonic()
            ask()
            measured.longest = max(measured.longest, time.monotonic() - started)
            is_over.wait(0.02)

    thread = threading.Thread(target=work)
    started = time.monotonic()
    thread.start()
    try:
        yield measured
    finally:
        is_over.set()
        thread.join(SECONDS)
        measured.seconds = time.monotonic() - started
        measured.peak = memory_of(tenants.service, "VmHWM") - tenants.idle


def list_all(tenants: Tenants, count: int, size: int) -> Measured:
    """List tasks whose results have so many bytes each, page after page."""
    service, client, other, _ = tenants
    text = '{"tensors":[' + "0.1234567890123456," * (size // 19) + "0]}"
    with closing(sqlite3.connect(service.data / "postproc.sqlite")) as connection:
        for _ in range(count):
            connection.execute(
                "INSERT INTO task (tenant, status, data, date_created, date_updated) "
                "VALUES ('default', 'success', ?, ?, ?)",
                (text, MOMENT, "2999" + MOMENT[4:]),
            )
            connection.commit()
        ids = [number for (number,) in connection.execute("SELECT id FROM task ORDER BY id")]
    del text
    with measuring(tenants, lambda: other.get("/accounts/me").raise_for_status()) as measured:
        url: Any = client.build_request("GET", "/tasks", params={"task_ids": ids, "limit": 100}).url
        while url is not None:
            with client.stream("GET", url) as answer:
                answer.raise_for_status()
                start, length = b"", 0
                for piece in answer.iter_raw():
                    start, length = (start + piece)[:2000], length + len(piece)
            measured.found.append(length)
            following = re.search(rb'"next":(null|"([^"]*)")', start)
            assert following is not None
            url = None if following[2] is None else following[2].decode()
    return measured


def flood(tenants: Tenants, count: int, numbers: int) -> Measured:
    """Send so many images at once to a network whose result has so many numbers."""
    content = network(
        [
            helper.make_node("ReduceMean", ["data"], ["mean"], axes=[2, 3]),
            helper.make_node("Flatten", ["mean"], ["grey"]),
            helper.make_node("Expand", ["grey", "shape"], ["many"]),
        ],
        {"data": (np.float32, ("N", 1, 2, 2))},
        {"many": (np.float32, ("N", numbers))},
        {"shape": np.array([1, numbers], np.int64)},
    )
    fields = {
        "name": "many",
        "framework": "onnx",
        "preprocessing": '{"inputs": [{"tensor_name": "data", "image": {"target_size": "2x2", '
        '"color_channels": "L", "pixel_scaling": 1.0}}]}',
    }
    file = io.BytesIO()
    Image.fromarray(np.full((2, 2, 3), 200, np.uint8)).save(file, "PNG")
    image = {"inputs[0]image.source": ("grey.png", file.getvalue(), "image/png")}
    service, client, other, _ = tenants
    own = made(client.post("/networks", data=fields, files={"model.onnx": ("model.onnx", content)}))["id"]

    def ask() -> None:
        ended(other, made(other.post("/recognition/public/digits-yolo/inference", files=digits))["task_id"])

    digits = {"inputs[0]image.source": ("d.jpg", (ROOT / "docs" / "digits.jpg").read_bytes(), "image/jpeg")}
    ask()
    with measuring(tenants, ask) as measured, ThreadPoolExecutor(16) as pool:
        post = lambda _: client.post(f"/networks/{own}/inference", files=image)  # noqa: E731
        ids = [made(answer)["task_id"] for answer in pool.map(post, range(count))]
        with closing(sqlite3.connect(service.data / "postproc.sqlite")) as connection:
            question = (
                "SELECT status, substr(error, 1, 60), count(*) FROM task "
                f"WHERE id IN ({','.join(map(str, ids))}) GROUP BY 1, 2"
            )
            while any(status == "pending" for status, *_ in connection.execute(question)):
                time.sleep(0.1)
            measured.found += connection.execute(question).fetchall()
    return measured


def main() -> None:
    """Print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=20)
    parser.add_argument("--megabytes", type=int, default=40)
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--numbers", type=int, default=2_000_000)
    parser.add_argument("options", nargs="*", help="of `postproc serve`, while images come")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, two_tenants(Path(folder)) as tenants:
        print("list:", list_all(tenants, given.tasks, given.megabytes * 1_000_000))  # noqa: T201
    with tempfile.TemporaryDirectory() as folder, two_tenants(Path(folder), *given.options) as tenants:
        print("flood:", flood(tenants, given.images, given.numbers))  # noqa: T201


if __name__ == "__main__":
    main()
