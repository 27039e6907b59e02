"""Processes that run networks: what they answer, and what becomes of those that hang, crash or eat memory."""

from __future__ import annotations

import json
import os
import pickle
import re
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from numpy.typing import NDArray

from postproc import PostProcessor
from postproc.isolation import CrashError
from postproc.onnx_runner.session import CPU
from postproc.service.engine.networks import host
from postproc.service.engine.networks import process as process_module
from postproc.service.engine.networks.calls import Answer, HostSettings, NetworkCall, NetworkModel
from postproc.service.engine.networks.memory import NetworkMemory
from postproc.service.engine.networks.messages import stop_byte
from postproc.service.engine.networks.process import HungError, NetworkProcess
from postproc.transforms import ImageTransform
from tests.service.load import networks
from tests.service.posts import GREY, Crashing

SIDE = networks.SIDE
BLACK, WHITE = (np.full((1, 1, SIDE, SIDE), value, np.float32) for value in (0, 1))
_MIB = 1 << 20
_LINUX = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="Linux limits memory")


class Asked:
    """A process, and what it is asked."""

    def __init__(
        self, folder: Path, memory: int = 1 << 30, run_seconds: float = 30, max_result_bytes: int = 32 * _MIB
    ) -> None:
        self.folder = folder
        self.process = NetworkProcess(HostSettings(memory, max_result_bytes, (CPU,), 1), run_seconds, 60)
        self.process.start()

    def model(self, content: bytes, number: int = 1) -> NetworkModel:
        path = self.folder / f"{number}.onnx"
        if not path.exists():
            path.write_bytes(content)
        return NetworkModel(number, path, len(content), batched_output=True, batched_input=True)

    def run(
        self, model: NetworkModel, *images: NDArray[np.float32], post: object = None
    ) -> tuple[Answer, list[tuple[int, Any, str | None]]]:
        transform = ImageTransform.squash((SIDE, SIDE), (SIDE, SIDE))
        call = NetworkCall(model, pickle.dumps(post) if post else None, {}, (transform,) * len(images))
        given: list[tuple[int, Any, str | None]] = []

        def give(row: int, text: str | None, error: str | None) -> None:
            given.append((row, None if text is None else json.loads(text), error))

        return self.process.run(call, {"image": images}, give), given

    @property
    def pid(self) -> int:
        return self.process._child._process.pid

    @property
    def resident(self) -> int:
        """Return what the process has in memory of its own, in bytes, most so far."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        found = re.search(r"VmHWM:\s+(\d+) kB", status)
        assert found is not None
        return int(found[1]) << 10


@pytest.fixture
def asked(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Asked]:
    asked = Asked(tmp_path, **getattr(request, "param", {}))
    yield asked
    asked.process.close()


def greys(given: list[tuple[int, Any, str | None]]) -> list[float]:
    return [data["tensors"][0]["data"][0] for _, data, _ in given]


def test_process_runs_the_inputs_of_several_requests_together(asked: Asked) -> None:
    model = asked.model(networks.small())
    answer, given = asked.run(model, WHITE, BLACK, WHITE)
    assert [row for row, _, _ in given] == [0, 1, 2]
    assert greys(given) == [1, 0, 1]
    assert (answer.trouble, answer.loads, answer.networks) == (None, 1, 1)
    assert answer.network_seconds > 0
    answer, given = asked.run(model, WHITE, post=GREY)
    assert given[0][1]["outputs"][0]["labels"]["predicted"][0]["label_name"] == "white"
    assert answer.loads == 0


def test_process_with_inputs_larger_than_before_and_smaller_again(asked: Asked) -> None:
    model = asked.model(networks.small())
    for count in (1, 100, 3, 200_000, 2):  # 200,000 take 51 MB
        rows = [np.full((1, 1, SIDE, SIDE), row % 7, np.float32) for row in range(count)]
        joined = [np.concatenate(rows)]
        transform = ImageTransform.squash((SIDE, SIDE), (SIDE, SIDE))
        call = NetworkCall(model, None, {}, (transform,))
        give = mock.Mock()
        asked.process.run(call, {"image": joined}, give)
        (row, text, error) = give.call_args.args
        assert (row, error) == (0, None)
        assert json.loads(text)["tensors"][0]["data"] == [row % 7 for row in range(count)]


def test_process_forgets_a_network(asked: Asked) -> None:
    model = asked.model(networks.small())
    asked.process.forget(1)  # before it has loaded any
    asked.run(model, WHITE)
    assert asked.process.last.networks == 1
    asked.process.forget(1)
    assert asked.process.last.networks == 0
    answer, _ = asked.run(model, WHITE)
    assert answer.loads == 1


@pytest.mark.parametrize("asked", [{"run_seconds": 0.5}], indirect=True)
def test_process_has_onnx_runtime_end_a_loop_and_goes_on(asked: Asked) -> None:
    model, pid = asked.model(networks.hanging()), asked.pid
    asked.run(model, BLACK)
    with pytest.raises(HungError):
        asked.run(model, WHITE)
    _, given = asked.run(model, BLACK)
    assert greys(given) == [0]
    assert asked.pid == pid


@pytest.mark.parametrize("asked", [{"run_seconds": 1.5}], indirect=True)
def test_process_does_not_end_a_call_for_one_before_it(asked: Asked) -> None:
    model, child = asked.model(networks.hanging()), asked.process._child
    for _ in range(2):
        asked.run(model, BLACK)
    late = threading.Timer(0.5, child._write, [stop_byte(2)])  # in the midst of the third
    late.start()
    began = time.monotonic()
    with pytest.raises(HungError):
        asked.run(model, WHITE)
    assert time.monotonic() - began >= 1.5
    late.join()


@pytest.mark.parametrize("asked", [{"run_seconds": 3, "memory": 4 << 30}], indirect=True)
def test_process_in_a_product_that_nothing_interrupts_is_replaced(asked: Asked) -> None:
    model, pid = asked.model(networks.multiplying()), asked.pid
    asked.run(model, BLACK)
    with pytest.raises(HungError):
        asked.run(model, WHITE)
    assert asked.pid != pid
    assert not Path(f"/proc/{pid}").exists()
    _, given = asked.run(model, BLACK)
    assert greys(given) == [0]


def test_process_that_crashes_is_replaced(asked: Asked, tmp_path: Path) -> None:
    model, pid = asked.model(networks.small()), asked.pid
    with pytest.raises(CrashError, match="SIGABRT"):
        asked.run(model, WHITE, post=Crashing(tmp_path))
    assert asked.pid != pid
    _, given = asked.run(model, WHITE)
    assert greys(given) == [1]


def test_process_that_was_killed_while_idle_is_replaced_before_the_next_call(asked: Asked) -> None:
    model, pid = asked.model(networks.small()), asked.pid
    asked.run(model, WHITE)
    os.kill(pid, signal.SIGKILL)  # as the system does where memory is short
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    _, given = asked.run(model, WHITE)
    assert greys(given) == [1]
    assert asked.pid != pid


def test_process_ends_when_it_is_closed(tmp_path: Path) -> None:
    asked = Asked(tmp_path)
    pid = asked.pid
    asked.process.close()
    assert not Path(f"/proc/{pid}").exists()


def test_process_that_is_closed_while_it_starts_leaves_none(tmp_path: Path) -> None:
    asked = Asked(tmp_path)

    class ClosedMeanwhile(process_module._Child):
        def __init__(self, settings: HostSettings) -> None:
            super().__init__(settings)
            asked.process.close()

    with mock.patch.object(process_module, "_Child", ClosedMeanwhile):
        asked.process._renew()
    assert not Path(f"/proc/{asked.pid}").exists()


@_LINUX
@pytest.mark.parametrize("asked", [{"memory": 256 * _MIB}], indirect=True)
def test_process_lets_no_run_take_more_than_its_memory(asked: Asked) -> None:
    model = asked.model(networks.swelling())  # 3 GiB
    asked.run(model, BLACK)
    before = asked.resident
    answer, given = asked.run(model, WHITE)
    assert given == []
    assert answer.trouble == "failed"
    assert "more memory than the 268,435,456 bytes" in answer.error
    assert "--session-memory" in answer.error
    assert asked.resident - before < 1.1 * 256 * _MIB
    _, given = asked.run(model, BLACK)
    assert len(given) == 1


def labelled(number: int, labels: int) -> PostProcessor:
    """Return one that asks how grey an image is, and knows many names."""
    names = [{"id": row, "name": f"{number} {row}"} for row in range(labels)]
    spec = {"outputs": [{"labels": {"roi": "NONE", "exclusive": True, "labels": names}}]}
    classification = {"output_tensor": "grey", "thresholds": [0.5] * labels}
    return PostProcessor(spec, {"post_processings": [{"classification": classification}]})


@_LINUX
@pytest.mark.parametrize("asked", [{"memory": 256 * _MIB}], indirect=True)
def test_process_keeps_few_versions_of_many_labels(asked: Asked) -> None:
    model = asked.model(networks.small())
    asked.run(model, WHITE, post=GREY)
    sizes = []
    for number in range(5):
        answer, _ = asked.run(model, WHITE, post=labelled(number, 20_000))  # 15 MB each
        sizes.append(answer.bytes)
    assert sizes[4] - sizes[1] < 20 * _MIB


@_LINUX
@pytest.mark.parametrize("asked", [{"memory": 256 * _MIB}], indirect=True)
def test_process_does_not_load_what_has_no_room(asked: Asked) -> None:
    answer, given = asked.run(asked.model(networks.heavy(1)), WHITE)  # 512 MiB
    assert given == []
    assert answer.trouble == "failed"
    assert "--session-memory" in answer.error
    _, given = asked.run(asked.model(networks.small(), 2), WHITE)
    assert greys(given) == [1]


@_LINUX
@pytest.mark.parametrize("asked", [{"memory": 256 * _MIB}], indirect=True)
def test_process_unloads_networks_for_one_that_needs_their_room(asked: Asked) -> None:
    size = 60 * _MIB // 4  # ONNX Runtime 1.18 takes more than three times as much to load it
    models = [asked.model(networks.heavy(number, size), number) for number in range(5)]
    asked.run(asked.model(networks.small(), 9), WHITE)
    before, evictions = asked.resident, 0
    for number in (*range(5), *range(5)):
        answer, given = asked.run(models[number], WHITE)
        assert greys(given) == [number + 1]
        assert answer.bytes <= 256 * _MIB
        evictions += answer.evictions
    assert evictions > 0
    assert asked.resident - before < 1.1 * 256 * _MIB


@pytest.mark.parametrize("asked", [{"max_result_bytes": 1000}], indirect=True)
def test_process_refuses_results_that_are_too_large(asked: Asked) -> None:
    model = asked.model(networks.wide(10_000))
    answer, given = asked.run(model, WHITE)
    assert answer.trouble is None
    (row, data, error) = given[0]
    assert (row, data) == (0, None)
    assert error is not None
    assert "--max-result-bytes" in error


def test_host_keeps_post_processors_as_far_as_they_are_small(monkeypatch: pytest.MonkeyPatch) -> None:
    # Of the processes of networks only, and this is none.
    monkeypatch.setattr(host, "NetworkMemory", lambda most, is_limited: NetworkMemory(most, is_limited=False))
    kept = host.NetworkHost(HostSettings(1 << 30, 32 * _MIB, (CPU,), 1))
    pickled = [pickle.dumps(Crashing(Path("x" * size))) for size in (3, 4, 500, 5)]
    monkeypatch.setattr(host, "_MOST_POST_BYTES", 400)
    for left, one in zip(([0], [0, 1], [2], [3]), pickled, strict=True):
        kept._post(one)
        assert list(kept._posts) == [pickled[number] for number in left]
    monkeypatch.setattr(host, "_MOST_POST_BYTES", 9999)
    monkeypatch.setattr(host, "_MOST_POSTS", 2)
    kept._post(pickled[0])
    kept._post(pickled[1])
    assert list(kept._posts) == pickled[:2]


def test_process_is_started_by_its_first_call(tmp_path: Path) -> None:
    process = NetworkProcess(HostSettings(1 << 30, _MIB, (CPU,), 1), 30, 60)
    process.forget(1)
    assert not process.is_started
    process.close()
    with pytest.raises(CrashError):
        process.start()
