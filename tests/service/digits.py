"""The demo's networks on a service that runs: uploaded, with a spec and a version, and an image for them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import httpx

from postproc import demo
from postproc.schema import RecognitionSpec, RecognitionVersion
from tests.service.objects import made
from tests.service.running import ROOT, Running
from tests.service.waiting import wait_until

IMAGE = (ROOT / "docs" / "digits.jpg").read_bytes()
SOURCE = "inputs[0]image.source"
SECONDS = 60
_TOGETHER = 100  # tasks of one request


@dataclass(frozen=True)
class Published:
    """Ids of what a service keeps of a network."""

    network: int
    spec: int
    version: int


def client_of(service: Running) -> httpx.Client:
    """Return a client of a service that runs."""
    return httpx.Client(
        base_url=f"{service.host}/v0.7",
        headers={"X-API-KEY": service.key},
        timeout=SECONDS,
        trust_env=False,
    )


def post_network(client: httpx.Client, kind: str = "yolo", name: str = "digits") -> httpx.Response:
    """Upload a network of the demo."""
    fields = {"name": name, "framework": "onnx", "preprocessing": demo.preprocessing_path(kind).read_text()}
    files = {"model.onnx": ("model.onnx", demo.model_path(kind).read_bytes())}
    return client.post("/networks", data=fields, files=files)


def spec_document(kind: str = "yolo") -> dict[str, Any]:
    """Return a spec of the demo."""
    spec = RecognitionSpec.load(demo.spec_path(kind)).dump()
    return {"name": spec["name"], "outputs": spec["outputs"]}


def version_document(spec: int, network: int, kind: str = "yolo") -> dict[str, Any]:
    """Return a version of the demo."""
    version = RecognitionVersion.load(demo.version_path(kind)).dump()
    return {
        "spec_id": spec,
        "network_id": network,
        "post_processings": version["post_processings"],
    }


def publish(client: httpx.Client, kind: str = "yolo") -> Published:
    """Upload a network of the demo, and make a spec and a version for it."""
    network = made(post_network(client, kind))["id"]
    spec = made(client.post("/recognition/specs", json=spec_document(kind)))["id"]
    version = made(client.post("/recognition/versions", json=version_document(spec, network, kind)))["id"]
    return Published(network, spec, version)


def post_image(client: httpx.Client, version: int) -> httpx.Response:
    """Send an image to a version."""
    return client.post(
        f"/recognition/versions/{version}/inference", files={SOURCE: ("digits.jpg", IMAGE, "image/jpeg")}
    )


def ended(client: httpx.Client, task: int) -> dict[str, Any]:
    """Wait until a task has ended, and return it."""
    deadline = time.monotonic() + SECONDS
    while (document := client.get(f"/tasks/{task}").json())["status"] == "pending":
        assert time.monotonic() < deadline, f"task {task} stays pending"
        time.sleep(0.02)
    return dict(document)


def listed(client: httpx.Client, tasks: Sequence[int]) -> Iterator[dict[str, Any]]:
    """Give tasks as their list has them, some of them with each request."""
    for first in range(0, len(tasks), _TOGETHER):
        asked: dict[str, Any] = {"task_ids": list(tasks[first : first + _TOGETHER]), "limit": _TOGETHER}
        yield from client.get("/tasks", params=asked).json()["results"]


def all_ended(
    client: httpx.Client, tasks: Sequence[int], seconds: float = SECONDS
) -> dict[int, dict[str, Any]]:
    """Wait until tasks have ended; return them as they are then, or once the time is over."""
    found: dict[int, dict[str, Any]] = {}
    deadline = time.monotonic() + seconds
    while left := [task for task in tasks if task not in found or found[task]["status"] == "pending"]:
        found.update((row["id"], row) for row in listed(client, left))
        if time.monotonic() > deadline:
            break
        time.sleep(0.1)
    return found


def wait_for_kernels(host: str) -> None:
    """Wait until a service has compiled its kernels, so that no first image waits for them."""
    ask = partial(httpx.get, f"{host}/healthz", timeout=SECONDS, trust_env=False)
    wait_until(lambda: ask().json()["kernels"] == "ready", 300, 0.1)


def digits_in(data: dict[str, Any]) -> int:
    """Return how many digits the result of a task has."""
    (output,) = data["outputs"]
    return len(output["labels"]["predicted"])


def log_of(service: Running) -> list[dict[str, Any]]:
    """Return the log of a service so far."""
    return [json.loads(line) for line in list(service.lines) if line.startswith("{")]
