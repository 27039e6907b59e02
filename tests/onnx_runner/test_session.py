"""Which execution providers a session gets, and IO binding, without a GPU.

Where a stand-in takes ONNX Runtime's place, the tests mean the same on a machine that has a GPU.
"""

from __future__ import annotations

import ctypes
import logging
import re
import subprocess
import sys
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import helper

from postproc.errors import RunnerError
from postproc.installing import install_runtime
from postproc.onnx_runner import OnnxRunner
from postproc.onnx_runner import session as onnx_session
from postproc.onnx_runner.session import (
    CPU,
    CUDA,
    RELU_MODEL,
    Provider,
    cuda_device_count,
    cuda_works,
    open_session,
)
from tests.models import network, passthrough
from tests.stand_ins import Info, RecordingPost, RecordingSession, marks

TENSORRT = "TensorrtExecutionProvider"
MODEL = passthrough({"data": ("N", 2)}, {"out": "data"})


pytestmark = pytest.mark.usefixtures("forget_cuda_probe")


class StandInRuntime(SimpleNamespace):
    """An onnxruntime module of which only `loadable` providers load, as it behaves without its fall-back."""

    def __init__(self, available: Sequence[str], loadable: Sequence[str], computes: bool = True) -> None:
        super().__init__(__version__="1.31.1")
        self.available, self.loadable, self.computes = available, loadable, computes
        self.opened: list[Any] = []

    def get_available_providers(self) -> list[str]:
        return list(self.available)

    def InferenceSession(self, model: object, providers: Sequence[Any], **options: Any) -> RecordingSession:
        assert options == {"sess_options": None, "enable_fallback": 0}
        self.opened.append((model, list(providers)))
        names = [entry if isinstance(entry, str) else entry[0] for entry in providers]
        loaded = [name for name in names if name in self.loadable]
        session = RecordingSession([], [], [*loaded, *([] if CPU in loaded else [CPU])])
        session.run = lambda names, feed: [feed["x"] * self.computes]  # type: ignore[method-assign, assignment]
        return session


def install(monkeypatch: pytest.MonkeyPatch, runtime: StandInRuntime, devices: int) -> StandInRuntime:
    monkeypatch.setitem(sys.modules, "onnxruntime", runtime)
    monkeypatch.setattr(onnx_session, "cuda_device_count", lambda: devices)
    return runtime


# --- no providers asked for


def test_default_providers_with_a_working_gpu_are_cuda(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    runtime = install(monkeypatch, StandInRuntime([CUDA, CPU], [CUDA, CPU]), devices=1)
    assert open_session(MODEL).get_providers() == [CUDA, CPU]
    assert open_session(MODEL).get_providers() == [CUDA, CPU]
    expected = [(RELU_MODEL, [CUDA]), (MODEL, [CUDA, CPU]), (MODEL, [CUDA, CPU])]
    assert runtime.opened == expected, "the probe runs once a process"
    assert not caplog.records


@pytest.mark.parametrize(
    ("available", "devices"),
    [
        pytest.param([CUDA, CPU], 0, id="GPU build, no GPU"),
        pytest.param([CPU], 1, id="CPU build, GPU"),
    ],
)
def test_default_providers_without_cuda_are_the_cpu_without_a_probe(
    available: list[str], devices: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    runtime = install(monkeypatch, StandInRuntime(available, [CPU]), devices)
    open_session(MODEL)
    assert runtime.opened == [(MODEL, [CPU])]
    assert not caplog.records


@pytest.mark.parametrize(
    ("runtime", "reason"),
    [
        pytest.param(StandInRuntime([CUDA, CPU], [CPU]), "it did not load", id="does not load"),
        pytest.param(
            StandInRuntime([CUDA, CPU], [CUDA, CPU], computes=False),
            "it does not compute",
            id="does not compute",
        ),
    ],
)
def test_default_providers_with_a_gpu_that_fails_are_the_cpu_with_one_warning(
    runtime: StandInRuntime,
    reason: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    install(monkeypatch, runtime, devices=1)
    open_session(MODEL)
    open_session(MODEL)
    assert runtime.opened[1:] == [(MODEL, [CPU]), (MODEL, [CPU])]
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert reason in caplog.text


def test_default_providers_with_a_probe_that_raises_are_the_cpu_with_its_reason(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    runtime = install(monkeypatch, StandInRuntime([CUDA, CPU], [CUDA, CPU]), devices=1)
    opened = runtime.InferenceSession

    def fail_on_cuda(model: object, providers: Sequence[Any], **options: Any) -> RecordingSession:
        if CUDA in providers:
            raise RuntimeError("CUDA failure 35")
        return opened(model, providers, **options)

    monkeypatch.setattr(runtime, "InferenceSession", fail_on_cuda)
    assert open_session(MODEL).get_providers() == [CPU]
    assert "CUDA failure 35" in caplog.text


def test_default_providers_leave_those_of_the_session_options(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(onnx_session, "_build", lambda *arguments: asked.append(arguments[2:]))
    options = SimpleNamespace(has_providers=lambda: True)
    open_session(MODEL, session_options=options)
    assert asked == [(options, [])]


def test_default_providers_on_this_machine_print_nothing() -> None:
    if cuda_device_count():
        pytest.skip("this machine has a GPU, of which ONNX Runtime may have something to say")
    code = (
        "from postproc.onnx_runner.session import RELU_MODEL, open_session\n"
        "assert open_session(RELU_MODEL).get_providers() == ['CPUExecutionProvider']"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b"", b"")


# --- providers asked for


def test_requested_providers_are_taken_with_their_options(monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = install(monkeypatch, StandInRuntime([TENSORRT, CUDA, CPU], [CUDA, CPU]), devices=1)
    asked: list[Provider] = [(CUDA, {"device_id": 0}), CPU]
    assert open_session(MODEL, asked).get_providers() == [CUDA, CPU]
    assert runtime.opened == [(MODEL, asked)]


@pytest.mark.parametrize("provider", [CUDA, (CUDA, {"device_id": 0})], ids=["name", "with options"])
def test_requested_provider_that_does_not_load_raises_runner_error(
    provider: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, StandInRuntime([TENSORRT, CUDA, CPU], [CPU]), devices=0)
    with pytest.raises(RunnerError, match=f"{CUDA} did not load .*available on this machine: {CPU}"):
        open_session(MODEL, [provider, CPU])


def test_requested_provider_that_the_build_lacks_raises_runner_error(monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = install(monkeypatch, StandInRuntime([CPU], [CPU]), devices=0)
    with pytest.raises(RunnerError, match=rf"{CUDA} not in this build of .* 1\.31\.1, which has {CPU}"):
        open_session(MODEL, [CUDA, CPU])
    assert not runtime.opened


@pytest.mark.parametrize("providers", [[], CPU, [3], [(CPU,)]], ids=["none", "text", "number", "no options"])
def test_requested_providers_that_are_no_list_of_names_raise_runner_error(providers: Any) -> None:
    with pytest.raises(RunnerError, match="providers: expected a list of names or"):
        open_session(MODEL, providers)


def test_requested_cuda_on_this_machine_without_a_gpu_raises_runner_error() -> None:
    if cuda_works():
        pytest.skip("this machine has a GPU that works")
    with pytest.raises(RunnerError, match=f"providers: {CUDA} (did not load|not in this build)"):
        open_session(MODEL, [CUDA])


@pytest.mark.skipif(
    tuple(map(int, onnxruntime.__version__.split(".")[:2])) < (1, 23),
    reason="ONNX Runtime before 1.23 opens a session in spite of such options",
)
def test_requested_provider_that_fails_in_the_middle_does_not_fall_back() -> None:
    with pytest.raises(RunnerError, match=f"cannot open .* on {CPU}"):
        open_session(MODEL, [(CPU, 3)])  # type: ignore[list-item]


def test_missing_onnxruntime_raises_runner_error_naming_the_extras(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(RunnerError, match=re.escape(install_runtime())):
        open_session(MODEL)


# --- asking the driver, and the probe's model


class StandInDriver:
    """libcuda with a given number of devices; a driver that finds none answers cuInit with 100."""

    def __init__(self, devices: int) -> None:
        self.devices = devices

    def cuInit(self, flags: int) -> int:
        return 0 if self.devices else 100

    def cuDeviceGetCount(self, count: Any) -> int:
        count._obj.value = self.devices
        return 0


@pytest.mark.parametrize("devices", [0, 2])
def test_cuda_device_count_is_what_the_driver_says(devices: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: StandInDriver(devices))
    assert cuda_device_count() == devices


def test_cuda_device_count_without_a_driver_is_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> None:
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(ctypes, "CDLL", fail)
    assert cuda_device_count() == 0


def test_probe_model_is_what_its_comment_says() -> None:
    session = onnxruntime.InferenceSession(RELU_MODEL, providers=[CPU])
    assert session.run(["y"], {"x": np.array([1], np.float32)})[0] == [1]
    assert session.run(["y"], {"x": np.array([-1], np.float32)})[0] == [0]


# --- IO binding


def runner(session: object, post: Any, **options: Any) -> OnnxRunner:
    """Build a runner around stand-ins."""
    return OnnxRunner(session, post, **options)


def recording(providers: Sequence[str]) -> RecordingSession:
    inputs = [Info("data", "tensor(float)", [1, 2]), Info("factor", "tensor(float)", [3])]
    return RecordingSession(inputs, [Info("out", "tensor(float)", [1, 2])], providers)


ACCELERATORS = [
    *(CUDA, TENSORRT, "DmlExecutionProvider", "CoreMLExecutionProvider", "ROCMExecutionProvider"),
    *("MIGraphXExecutionProvider", "OpenVINOExecutionProvider", "WebGpuExecutionProvider"),
]


@pytest.mark.parametrize("provider", ACCELERATORS)
def test_session_on_an_accelerator_runs_through_io_binding(provider: str) -> None:
    session = recording([provider, CPU])
    run = runner(session, RecordingPost("out"))
    data = np.array([[1, 0], [2, 0]], np.float32)
    assert marks(run({"data": data, "factor": np.zeros(3, np.float32)})) == [1, 2]
    one_run = [
        ("bind_cpu_input", "data", (1, 2)),
        ("bind_output", "out", "cpu"),
        ("synchronize_inputs",),
        ("run_with_iobinding",),
        ("synchronize_outputs",),
        ("copy_outputs_to_cpu",),
    ]
    assert session.calls == [("io_binding",), ("bind_cpu_input", "factor", (3,)), *one_run, *one_run]


def test_session_on_the_cpu_runs_without_io_binding() -> None:
    session = recording([CPU])
    run = runner(session, RecordingPost("out"))
    run({"data": np.zeros((1, 2), np.float32), "factor": np.zeros(3, np.float32)})
    assert session.calls == [("run", ("out",), ("data", "factor"))]


def claiming_cuda(model: bytes, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Open a real session on the CPU that says it is on a GPU, so that IO binding really runs."""
    session = onnxruntime.InferenceSession(model, providers=[CPU])
    monkeypatch.setattr(session, "get_providers", lambda: [CUDA, CPU])
    return session


def test_io_binding_of_a_real_session_keeps_each_parts_outputs(monkeypatch: pytest.MonkeyPatch) -> None:
    model = passthrough({"data": (2, 3), "im_info": (2, 3)}, {"out": "data", "sizes": "im_info"})
    post = RecordingPost("out", "sizes", "im_info")
    run = runner(claiming_cuda(model, monkeypatch), post)
    data = np.arange(15, dtype=np.float32).reshape(5, 3)
    assert marks(run({"data": data, "im_info": -data})) == data[:, 0].tolist()
    np.testing.assert_array_equal(post.tensors[0]["out"], data[:2])
    np.testing.assert_array_equal(post.tensors[1]["sizes"], -data[2:4])


def test_io_binding_bears_outputs_whose_shape_follows_the_image(monkeypatch: pytest.MonkeyPatch) -> None:
    # As many rows come out as the image's number says: (1, n), without a batch axis of its own.
    model = network(
        [
            helper.make_node("Cast", ["data"], ["count"], to=7),
            helper.make_node("Squeeze", ["count"], ["limit"]),
            helper.make_node("Range", ["zero", "limit", "one"], ["numbers"]),
            helper.make_node("Unsqueeze", ["numbers", "axis"], ["out"]),
        ],
        {"data": (np.float32, [1, 1])},
        {"out": (np.int64, [1, None])},
        {"zero": np.array(0), "one": np.array(1), "axis": np.array([0])},
    )
    post = RecordingPost("out")
    run = runner(claiming_cuda(model, monkeypatch), post, batched=False)
    run(np.array([[3], [5], [2]], np.float32))
    assert [tensors["out"].tolist() for tensors in post.tensors] == [[list(range(n))] for n in (3, 5, 2)]


def test_io_binding_that_fails_raises_runner_error(monkeypatch: pytest.MonkeyPatch) -> None:
    session = recording([CUDA, CPU])

    def fail(binding: object) -> None:
        raise RuntimeError("CUDA failure 2: out of memory")

    monkeypatch.setattr(session, "run_with_iobinding", fail)
    with pytest.raises(RunnerError, match=r"failed on the inputs .*'data' float32 \(1, 2\).*out of memory"):
        runner(session, RecordingPost("out"))(
            {"data": np.zeros((1, 2), np.float32), "factor": np.zeros(3, np.float32)}
        )
