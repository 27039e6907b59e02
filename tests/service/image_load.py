"""Large images on a service of its own: ``python -m tests.service.image_load``.

Says how much memory the service takes at most, and keeps 10 s later, above what it took idle before, and how
long a health check takes, before and meanwhile. Clients and service share the machine.
"""

from __future__ import annotations

import argparse
import http.client
import io
import json
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
from onnx import helper
from PIL import Image

from tests.models import network
from tests.service.digits import client_of, publish, wait_for_kernels
from tests.service.objects import made
from tests.service.running import Running, running

MIB = 1 << 20
MOST_PEAK, MOST_KEPT, MOST_HEALTH = 2048 * MIB, 300 * MIB, 0.5  # above idle, and seconds
_REST = 10.0  # seconds after the load in which memory is given back
_IDLE = 5.0  # seconds in which the service is watched before the load
_PAUSE = 0.05  # seconds between two looks at the memory, and between two health checks
_WAIT = 600.0  # seconds that the clients of a load may take
_BOUNDARY = "image-load"


@dataclass
class Measured:
    """What a load took; memory in bytes, above idle."""

    idle: int
    idle_health: list[float] = field(default_factory=list)
    peak: int = 0
    kept: int = 0
    health: list[float] = field(default_factory=list)
    seconds: float = 0.0
    answers: Counter[int | str] = field(default_factory=Counter)

    @property
    def is_within(self) -> bool:
        """Whether all limits are kept, and each request was taken or told to come again."""
        return (
            self.peak < MOST_PEAK
            and self.kept < MOST_KEPT
            and max(self.health) < MOST_HEALTH
            and not set(self.answers) - {201, 503}
        )

    def report(self) -> str:
        """Say it in a line."""
        return (
            f"MiB idle {self.idle / MIB:.0f}, above it at most {self.peak / MIB:.0f}, "
            f"{_REST:g} s later {self.kept / MIB:.0f}; longest of {len(self.health)} health checks "
            f"{max(self.health):.3f} s, of {len(self.idle_health)} idle {max(self.idle_health):.3f} s; "
            f"{self.seconds:.1f} s; answers {dict(self.answers)}"
        )


def measure(service: Running, path: str, sources: Sequence[Sequence[bytes]]) -> Measured:
    """Send requests at once, each of some images, and watch the service until they are answered and later.

    Parameters
    ----------
    service : Running
        That recognises them.
    path : str
        Of the inference.
    sources : sequence of sequence of bytes
        The images of each request.
    """
    answers: Counter[int | str] = Counter()
    bodies = {id(images): _body(images) for images in sources}

    def send(images: Sequence[bytes]) -> None:
        try:
            answer: int | str = _send(service, path, bodies[id(images)])
        except OSError as error:
            answer = type(error).__name__
        answers[answer] += 1

    senders = [threading.Thread(target=send, args=(images,), daemon=True) for images in sources]
    measured = Measured(memory_of(service))
    with _watched(service, measured):
        time.sleep(_IDLE)
    measured.idle_health, measured.health, measured.peak = measured.health, [], 0
    with _watched(service, measured):
        started = time.monotonic()
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join(_WAIT)
        measured.seconds = time.monotonic() - started
        time.sleep(_REST)
    measured.kept = memory_of(service) - measured.idle
    measured.answers = answers
    return measured


def memory_of(service: Running) -> int:
    """Return the resident memory of a service and of its processes, in bytes."""
    total, waiting = 0, [service.process.pid]
    while waiting:
        folder = Path(f"/proc/{waiting.pop()}")
        try:
            total += int((folder / "statm").read_text().split()[1]) * 4096
            for task in (folder / "task").iterdir():
                waiting += map(int, (task / "children").read_text().split())
        except (FileNotFoundError, ProcessLookupError):  # one that ended meanwhile
            continue
    return total


@contextmanager
def _watched(service: Running, measured: Measured) -> Iterator[None]:
    stop = threading.Event()

    def look_at_memory() -> None:
        while not stop.wait(_PAUSE):
            measured.peak = max(measured.peak, memory_of(service) - measured.idle)

    def check_health() -> None:
        while not stop.wait(_PAUSE):
            started = time.monotonic()
            connection = http.client.HTTPConnection(urlsplit(service.host).netloc, timeout=60)
            try:
                connection.request("GET", "/healthz")
                connection.getresponse().read()
            finally:
                connection.close()
            measured.health.append(time.monotonic() - started)

    watchers = [threading.Thread(target=work, daemon=True) for work in (look_at_memory, check_health)]
    for watcher in watchers:
        watcher.start()
    try:
        yield
    finally:
        stop.set()
        for watcher in watchers:
            watcher.join(60)


def _send(service: Running, path: str, body: bytes) -> int:
    connection = http.client.HTTPConnection(urlsplit(service.host).netloc, timeout=_WAIT)
    try:
        kind = f"multipart/form-data; boundary={_BOUNDARY}"
        connection.request("POST", path, body, {"Content-Type": kind, "X-API-KEY": service.key})
        response = connection.getresponse()
        response.read()
        return response.status
    finally:
        connection.close()


def _body(images: Sequence[bytes]) -> bytes:
    parts = []
    for row, content in enumerate(images):
        name = f'name="inputs[{row}]image.source"; filename="image"'
        head = f"--{_BOUNDARY}\r\nContent-Disposition: form-data; {name}\r\n\r\n"
        parts += [head.encode(), content, b"\r\n"]
    return b"".join([*parts, f"--{_BOUNDARY}--\r\n".encode()])


def flat_png(width: int = 7000, height: int = 7000) -> bytes:
    """Make a PNG of many pixels and few bytes, 49 megapixels of 200 kB."""
    return _saved(Image.new("RGB", (width, height), (200, 30, 30)), "PNG")


def photograph(width: int = 6000, height: int = 4000, quality: int = 85) -> bytes:
    """Make a JPEG that is smooth at large and has texture, as photographs are."""
    return _saved(Image.fromarray(scene(width, height)), "JPEG", quality=quality)


def scene(width: int, height: int) -> np.ndarray:
    """Make the pixels of a photograph."""
    random = np.random.default_rng(0)
    smooth = Image.fromarray(random.integers(0, 256, (9, 12, 3), np.uint8)).resize(
        (width, height), Image.Resampling.BICUBIC
    )
    pixels = np.asarray(smooth).astype(np.int16)
    tile = random.normal(0, 6, (512, 512, 1))
    texture = np.tile(tile, (-(-height // 512), -(-width // 512), 1))[:height, :width].astype(np.int16)
    return np.clip(pixels + texture, 0, 255).astype(np.uint8)


def _saved(image: Image.Image, kind: str, **options: int) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def publish_album(service: Running, images: int) -> str:
    """Upload a network that takes many images at once, and return the path of its inference."""
    names = [f"image{row}" for row in range(images)]
    nodes = [
        helper.make_node("Concat", names, ["all"], axis=1),
        helper.make_node("ReduceMean", ["all"], ["mean"], axes=[1, 2, 3]),
    ]
    content = network(
        nodes, dict.fromkeys(names, (np.float32, ("N", 3, 64, 64))), {"mean": (np.float32, ("N",))}
    )
    preprocessing = {"inputs": [{"tensor_name": name, "image": {"target_size": "64x64"}} for name in names]}
    with client_of(service) as client:
        fields = {"name": "album", "framework": "onnx", "preprocessing": json.dumps(preprocessing)}
        uploaded = made(client.post("/networks", data=fields, files={"a.onnx": ("a.onnx", content)}))
    return f"/v0.7/networks/{uploaded['id']}/inference"


LOADS = ("pngs", "photographs", "album")


def load(service: Running, kind: str, requests: int | None) -> Measured:
    """Publish what a load needs, and measure it."""
    with client_of(service) as client:
        version = f"/v0.7/recognition/versions/{publish(client).version}/inference"
    album = publish_album(service, 16) if kind == "album" else ""
    wait_for_kernels(service.host)
    small = _saved(Image.new("RGB", (64, 64)), "JPEG")
    for _ in range(3):  # the network is loaded, and threads are there
        _send(service, album or version, _body([small] * (16 if album else 1)))
        time.sleep(0.5)
    if kind == "pngs":
        png = [flat_png()]
        return measure(service, version, [png] * (requests or 24))
    content = photograph()
    if kind == "photographs":
        return measure(service, version, [[content]] * (requests or 64))
    return measure(service, album, [[content] * 16] * (requests or 1))


def main() -> None:
    """Measure what the command line asks for; exit code 1 beyond the limits."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("loads", nargs="*", help=f"{', '.join(LOADS)}; all if left out")
    parser.add_argument("--requests", type=int, help="in place of 24, 64 and 1")
    parser.add_argument("--options", default="", help='of `postproc serve`, "--decode-memory 1GiB"')
    given = parser.parse_args()
    is_within = True
    for kind in given.loads or LOADS:
        with (
            tempfile.TemporaryDirectory() as folder,
            running(Path(folder), "--max-body", "256MiB", *given.options.split()) as service,
        ):
            measured = load(service, kind, given.requests)
            sys.stdout.write(f"{kind}: {measured.report()}\n")
            sys.stdout.flush()
            is_within &= measured.is_within
    sys.exit(not is_within)


if __name__ == "__main__":
    main()
