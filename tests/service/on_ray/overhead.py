"""What the link costs a call: ``python -m tests.service.on_ray.overhead``.

A replica on the loopback averages a float32 image of 640x640x3, by way of a link's process and straight from
a process that is Ray's driver itself, in turns; the least of each counts.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from onnx import helper

from postproc.service.engine.networks.calls import NetworkCall, NetworkModel
from postproc.service.on_ray.link import Link
from postproc.service.on_ray.making import connected
from postproc.service.on_ray.messages import LinkOrder, NetworkSource, Told
from postproc.service.on_ray.remote import RemoteCaller
from postproc.service.on_ray.trying import Tries
from postproc.transforms import ImageTransform
from tests.models import network
from tests.service.engine.engines import small
from tests.service.on_ray.nodes import nodes
from tests.service.on_ray.replicas import keep, settings_of

SHAPE = (1, 3, 640, 640)


def averaging() -> bytes:
    """Build a network that does little with much."""
    return network(
        [helper.make_node("ReduceMean", ["data"], ["grey"], axes=[2, 3], keepdims=0)],
        {"data": (np.float32, SHAPE)},
        {"grey": (np.float32, (1, 3))},
    )


def least(times: int, calls: list[Callable[[], Any]]) -> list[float]:
    """Return the least seconds of each call, in turns."""
    found = []
    for _ in range(times):
        row = []
        for call in calls:
            started = time.perf_counter()
            call()
            row.append(time.perf_counter() - started)
        found.append(row)
    return [min(column) for column in zip(*found, strict=True)]


def main() -> None:
    """Measure, and print milliseconds and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=200, help="of each way")
    given = parser.parse_args()
    with nodes([1]) as cluster, tempfile.TemporaryDirectory(prefix="postproc-") as name:
        folder = Path(name)
        files = small(folder, averaging())
        source: NetworkSource = keep(files, folder)
        order = LinkOrder.of(settings_of(folder, ray=cluster.address))
        tries = Tries(connected(order)[0])
        link = Link(order, 1)
        link.start()
        caller = RemoteCaller(link, 0, lambda *_: source, 60.0, lambda _: None, lambda: None)
        model = NetworkModel(files.id, files.model, 1, True, True)
        transform = ImageTransform.squash((640, 640), (640, 640))
        call = NetworkCall(model, None, {}, (transform,))
        parts = {"data": [np.random.default_rng(0).random(SHAPE, np.float32)]}

        async def ignore(_: Told) -> None:
            return

        def straight() -> None:
            reply = asyncio.run(tries.run(call, parts, source, 60.0, ignore))
            assert reply.answer is not None
            assert reply.answer.trouble is None, reply

        def linked() -> None:
            assert caller.run(call, parts, lambda *_: None).trouble is None

        least(5, [straight, linked])
        one, other = least(given.calls, [straight, linked])
        link.stop()
    print(f"{one * 1000:.2f} ms straight, {other * 1000:.2f} ms by way of the link: {other / one:.2f}-fold")  # noqa: T201


if __name__ == "__main__":
    main()
