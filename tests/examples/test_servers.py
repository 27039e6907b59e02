"""The servers of the examples, started as their first lines say, where their packages are installed.

In CI a leg of its own has those of examples/hosts/requirements.txt.
"""

from __future__ import annotations

import base64
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.examples.examples import BROKEN, HOSTS, SEEDS, WRONG, check_answer, file, is_installed
from tests.ports import free_port

ASKED = 12
PATIENCE = 120  # seconds: some import for half a minute on a busy machine
RUN_RAY = """
import app
from ray import serve

serve.start(http_options={{"port": {port}}})
serve.run(app.app, blocking=True)
"""


def needs(*packages: str) -> pytest.MarkDecorator:
    missing = [package for package in packages if not is_installed(package)]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


@contextmanager
def started(host: str, command: list[str], port: int, log: Path) -> Iterator[str]:
    """Run a server in its example's folder until the end of the block; give its URL once it answers."""
    url = f"http://127.0.0.1:{port}"
    environment = {**os.environ, "BENTOML_DO_NOT_TRACK": "1", "RAY_USAGE_STATS_ENABLED": "0"}
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, *command],
            cwd=HOSTS / host,
            env=environment,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        end = time.monotonic() + PATIENCE
        while not _answers(url):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.2)
        yield url
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _answers(url: str) -> bool:
    """Whether a server has what it is to serve: Ray Serve answers with 404 before it has."""
    try:
        status = httpx.get(url, timeout=5).status_code
    except httpx.HTTPError:
        return False
    return status != HTTPStatus.NOT_FOUND and status < HTTPStatus.INTERNAL_SERVER_ERROR


def in_text(image: bytes) -> str:
    return base64.b64encode(image).decode()


def ask(url: str, *, refusal: int, **forms: Any) -> None:
    """Ask many times at once, every third time with a broken image; `forms` makes a request of an image."""
    ((name, form),) = forms.items()
    seeds = [None if number % 3 == 0 else SEEDS[number % 2] for number in range(ASKED)]

    def post(seed: int | None) -> httpx.Response:
        return httpx.post(url, timeout=PATIENCE, **{name: form(BROKEN if seed is None else file(seed))})

    with ThreadPoolExecutor(ASKED) as pool:
        answers = list(pool.map(post, seeds))
    for seed, answer in zip(seeds, answers, strict=True):
        if seed is None:
            assert answer.status_code == refusal
            assert WRONG in answer.text
        else:
            assert answer.status_code == HTTPStatus.OK, answer.text
            answered = answer.json()
            check_answer(answered["predictions"][0] if "predictions" in answered else answered, seed)


@needs("litserve")
def test_litserve(tmp_path: Path) -> None:
    port = free_port()
    code = (HOSTS / "litserve" / "server.py").read_text()
    assert "port=8000" in code
    (tmp_path / "server.py").write_text(code.replace("port=8000", f"port={port}"))
    with started("litserve", [str(tmp_path / "server.py")], port, tmp_path / "log") as url:
        ask(f"{url}/predict", refusal=422, json=lambda image: {"image": in_text(image)})


@needs("bentoml")
def test_bentoml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path / "home"))
    command = ["-m", "bentoml", "serve", "service:Digits", "--port", str(port)]
    with started("bentoml", command, port, tmp_path / "log") as url:
        ask(f"{url}/recognise", refusal=400, files=lambda image: {"image": ("page.png", image)})


@needs("kserve")
def test_kserve(tmp_path: Path) -> None:
    port = free_port()
    command = ["model.py", "--model_name", "digits", "--http_port", str(port), "--enable_grpc", "false"]
    with started("kserve", command, port, tmp_path / "log") as url:
        ask(
            f"{url}/v1/models/digits:predict",
            refusal=400,
            json=lambda image: {"instances": [{"image": {"b64": in_text(image)}}]},
        )


@needs("ray", "grpc_reflection")
@pytest.mark.cluster
def test_ray_serve(tmp_path: Path) -> None:
    port = free_port()
    with started("ray_serve", ["-c", RUN_RAY.format(port=port)], port, tmp_path / "log") as url:
        ask(url, refusal=422, content=lambda image: image)
