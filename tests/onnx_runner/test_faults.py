"""What a runner makes of an accelerator's failures and peculiarities, without one."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from postproc.errors import RunnerError
from postproc.onnx_runner import OnnxRunner
from postproc.onnx_runner import session as onnx_session
from postproc.onnx_runner.faults import advice_for
from postproc.onnx_runner.session import CPU, CUDA, open_session
from tests.models import copying, numbered, passthrough, with_sizes
from tests.stand_ins import Info, RecordingPost, RecordingSession, marks

TENSORRT, DML = "TensorrtExecutionProvider", "DmlExecutionProvider"

OUT_OF_MEMORY = "run fewer images at once"
LOST = "start the process again"


def recording(*providers: str) -> RecordingSession:
    """Make a stand-in session of one input and output."""
    info = [1, 2]
    return RecordingSession(
        [Info("data", "tensor(float)", info)], [Info("out", "tensor(float)", info)], [*providers, CPU]
    )


def runner(session: Any, post: Any = None) -> OnnxRunner:
    return OnnxRunner(session, post or RecordingPost("out"))


def claiming(model: bytes, *providers: str) -> Any:
    """Open a real session on the CPU that says it is elsewhere, so that IO binding really runs."""
    session: Any = onnxruntime.InferenceSession(model, providers=[CPU])
    session.get_providers = lambda: [*providers, CPU]
    return session


# --- errors keep ONNX Runtime's words, and say what to do


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        (
            "Non-zero status code returned while running Conv node. BFCArena::AllocateRawInternal(size_t) "
            "Failed to allocate memory for requested buffer of size 939524096",
            OUT_OF_MEMORY,
        ),
        ("CUDA failure 2: out of memory ; GPU=0 ; expr=cudaMalloc((void**)&p, size)", OUT_OF_MEMORY),
        ("CUDNN failure 4: CUDNN_STATUS_ALLOC_FAILED", OUT_OF_MEMORY),
        ("8007000E Not enough memory resources are available to complete this operation.", OUT_OF_MEMORY),
        ("std::bad_alloc", OUT_OF_MEMORY),
        ("CUDA failure 700: an illegal memory access was encountered ; GPU=0", LOST),
        ("CUDA error 719: unspecified launch failure", LOST),
        ("887A0005 The GPU device instance has been suspended. Use GetDeviceRemovedReason", LOST),
        ("887A0006 The GPU will not respond to more commands", LOST),
        ("WebGPU: Device was lost", LOST),
        (
            "CUDA failure 209: no kernel image is available for execution on the device",
            "no code for this GPU",
        ),
        ("CUDA driver version is insufficient for CUDA runtime version", "update the driver"),
    ],
)
def test_run_that_fails_keeps_the_words_and_says_what_to_do(
    text: str, advice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = recording(CUDA)

    def fail(binding: object) -> None:
        raise RuntimeError(text)

    monkeypatch.setattr(session, "run_with_iobinding", fail)
    with pytest.raises(RunnerError) as caught:
        runner(session)(np.zeros((1, 2), np.float32))
    assert str(caught.value).startswith("ONNX Runtime failed on the inputs 'data' float32 (1, 2): ")
    assert text in str(caught.value)
    assert advice in str(caught.value).split("What to do: ")[1]


def test_run_that_fails_for_another_reason_says_no_more_than_it(monkeypatch: pytest.MonkeyPatch) -> None:
    session = recording(CUDA)

    def fail(binding: object) -> None:
        raise RuntimeError("Got invalid dimensions for input: data")

    monkeypatch.setattr(session, "run_with_iobinding", fail)
    with pytest.raises(RunnerError, match=r"invalid dimensions for input: data$"):
        runner(session)(np.zeros((1, 2), np.float32))


@pytest.mark.parametrize("step", ["bind_cpu_input", "copy_outputs_to_cpu", "synchronize_outputs"])
def test_binding_that_fails_in_any_step_raises_runner_error(
    step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = recording(CUDA)
    binding = session.io_binding()

    def fail(*arguments: object) -> None:
        raise MemoryError

    monkeypatch.setattr(binding, step, fail)
    monkeypatch.setattr(session, "io_binding", lambda: binding)
    with pytest.raises(RunnerError, match=rf"MemoryError\. What to do: .*{OUT_OF_MEMORY}"):
        runner(session)(np.zeros((1, 2), np.float32))


def test_runner_goes_on_after_a_run_that_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    session = recording(DML)
    run, data = runner(session), np.ones((1, 2), np.float32)
    with monkeypatch.context() as patch:
        patch.setattr(session, "run_with_iobinding", lambda binding: 1 / 0)
        with pytest.raises(RunnerError, match="division by zero"):
            run(data)
    assert marks(run(data)) == [1]


def test_session_that_cannot_be_made_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise RuntimeError("CUDA failure 2: out of memory ; expr=cudaMalloc")

    monkeypatch.setattr(onnxruntime, "InferenceSession", fail)
    with pytest.raises(
        RunnerError, match=rf"cannot open the model .*cudaMalloc\. What to do: .*{OUT_OF_MEMORY}"
    ):
        open_session(copying(), [CPU])


def test_advice_for_what_is_unknown_is_none() -> None:
    assert advice_for(ValueError()) == ""
    assert advice_for("CUDA failure 7000") == ""


@pytest.mark.parametrize(
    ("provider", "hint"),
    [
        (TENSORRT, "comes with onnxruntime-gpu"),
        (DML, "comes with onnxruntime-directml"),
        ("OpenVINOExecutionProvider", "comes with onnxruntime-openvino"),
        ("CoreMLExecutionProvider", "comes with onnxruntime on macOS"),
        ("ROCMExecutionProvider", "comes with onnxruntime-rocm"),
        ("WebGpuExecutionProvider", "WebGPU"),
        ("CudaExecutionProvider", f"is {CUDA} meant"),
    ],
)
def test_provider_that_the_build_lacks_is_told_where_it_comes_from(
    provider: str, hint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CPU])
    with pytest.raises(RunnerError, match=hint):
        open_session(copying(), [provider])


# --- graph capture


@pytest.mark.parametrize(
    ("provider", "option", "value"),
    [
        (CUDA, "enable_cuda_graph", "1"),
        (CUDA, "enable_cuda_graph", True),
        (TENSORRT, "trt_cuda_graph_enable", "1"),
        ("WebGpuExecutionProvider", "ep.webgpuexecutionprovider.enableGraphCapture", "1"),
    ],
)
def test_session_that_captures_graphs_raises_runner_error(provider: str, option: str, value: object) -> None:
    session: Any = recording(provider)
    session.get_provider_options = lambda: {provider: {"device_id": "0", option: value}, CPU: {}}
    with pytest.raises(RunnerError, match=f"{provider} has the option {option}={value}, which replays"):
        runner(session)


def test_session_that_could_capture_graphs_and_does_not_is_taken() -> None:
    session: Any = recording(CUDA)
    session.get_provider_options = lambda: {CUDA: {"device_id": "1", "enable_cuda_graph": "0"}, CPU: {}}
    assert marks(runner(session)(np.ones((1, 2), np.float32))) == [1]


# --- threads


class WatchedSession(RecordingSession):
    """Counts the runs that are under way at once."""

    running = most = 0
    lock = threading.Lock()

    def run_with_iobinding(self, binding: Any) -> None:
        with self.lock:
            self.running += 1
            self.most = max(self.most, self.running)
        time.sleep(0.01)
        super().run_with_iobinding(binding)
        with self.lock:
            self.running -= 1


@pytest.mark.parametrize(("provider", "at_once"), [(DML, False), (CUDA, True)])
def test_threads_that_share_a_session_run_at_once_where_it_bears_that(provider: str, at_once: bool) -> None:
    info = [Info("data", "tensor(float)", [1, 2])], [Info("out", "tensor(float)", [1, 2])]
    session = WatchedSession(*info, [provider, CPU])
    run = runner(session)
    images = [np.full((1, 2), number, np.float32) for number in range(12)]
    with ThreadPoolExecutor(4) as pool:
        found = [marks(one) for one in pool.map(run, images)]
    assert found == [[number] for number in range(12)]
    assert (session.most > 1) == at_once


def test_threads_that_share_a_real_session_have_bindings_of_their_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    session = claiming(with_sizes((2, 3), ("rows", 3)), CUDA)
    made: list[Any] = []
    make = session.io_binding
    monkeypatch.setattr(session, "io_binding", lambda: made.append(make()) or made[-1])
    run = OnnxRunner(session, RecordingPost("out", "im_info"))  # type: ignore[arg-type]

    def mark(number: int) -> list[float]:
        return marks(
            run({"data": numbered(5, 3) + np.float32(100 * number), "im_info": np.ones((1, 3), np.float32)})
        )

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(mark, range(32)))
    assert found == [[100 * number + image for image in range(1, 6)] for number in range(32)]
    assert len(set(map(id, made))) == 32


# --- tensors through a real binding


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int64, np.uint8, np.bool_])
def test_io_binding_of_any_type_gives_arrays_of_it(dtype: Any) -> None:
    post = RecordingPost("out")
    run = OnnxRunner(claiming(copying(("N", 3, 2, 2), dtype=dtype), TENSORRT, CUDA), post)  # type: ignore[arg-type]
    data = numbered(3, 3, 2, 2).astype(dtype)
    run(data)
    np.testing.assert_array_equal(post.tensors[0]["out"], data, strict=True)


def test_io_binding_outputs_stay_when_the_binding_is_gone() -> None:
    post = RecordingPost("out")
    run = OnnxRunner(claiming(copying(("N", 2)), CUDA), post)  # type: ignore[arg-type]
    data = numbered(1000, 2)
    run(data)
    run(-data)
    np.testing.assert_array_equal(post.tensors[0]["out"], data)


def test_io_binding_of_a_pipeline_that_needs_inputs_only_runs_nothing() -> None:
    session = claiming(passthrough({"data": ("N", 2)}, {"out": "data"}), CUDA)
    assert marks(OnnxRunner(session, RecordingPost("data"))(numbered(2, 2))) == [1, 2]  # type: ignore[arg-type]


# --- CUDA from Python packages


@pytest.mark.parametrize(("providers", "calls"), [([CUDA], 1), ([(TENSORRT, {}), CPU], 1), ([CPU], 0)])
def test_sessions_on_nvidia_first_load_the_libraries_of_packages(
    providers: Sequence[Any], calls: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    called: list[str] = []

    def preload() -> None:
        called.append("preload")
        print("Failed to load libcudnn.so.9")  # noqa: T201 - as ONNX Runtime does
        raise RuntimeError("no such folder")

    def open_(*arguments: object, **options: object) -> None:
        called.append("open")

    monkeypatch.setattr(onnxruntime, "preload_dlls", preload, raising=False)
    monkeypatch.setattr(onnxruntime, "InferenceSession", open_)
    monkeypatch.setattr(onnx_session.importlib.util, "find_spec", lambda name: name)
    onnx_session._load_nvidia_packages.cache_clear()
    for _ in range(2):
        onnx_session._build(b"", "a model", None, list(providers))
    onnx_session._load_nvidia_packages.cache_clear()
    assert called == ["preload"] * calls + ["open"] * 2
    assert capsys.readouterr().out == ""


# --- warm-up


class WarmPost(RecordingPost):
    """A pipeline that counts its warm-ups."""

    warmups = 0

    def warmup(self) -> None:
        self.warmups += 1


def fed(session: Any, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, NDArray[Any]]]:
    """Write down the feeds of a real session."""
    feeds: list[dict[str, NDArray[Any]]] = []
    run = session.run
    monkeypatch.setattr(session, "run", lambda names, feed: feeds.append(feed) or run(names, feed))
    return feeds


@pytest.mark.parametrize(
    ("model", "shapes", "expected"),
    [
        pytest.param(copying((4, 3, 2, 2)), None, {"data": (4, 3, 2, 2)}, id="fixed"),
        pytest.param(copying(("N", 3, 2, 2)), None, {"data": (1, 3, 2, 2)}, id="batch axis"),
        pytest.param(copying(("N", 3, "H", "W")), {"data": (2, 3, 5, 6)}, {"data": (2, 3, 5, 6)}, id="free"),
        pytest.param(
            with_sizes(("N", 3, 2, 2), ("N", 3)),
            None,
            {"data": (1, 3, 2, 2), "im_info": (1, 3)},
            id="two inputs",
        ),
    ],
)
def test_warmup_compiles_the_kernels_and_runs_the_network_once(
    model: bytes, shapes: Any, expected: dict[str, tuple[int, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    session = onnxruntime.InferenceSession(model, providers=[CPU])
    feeds = fed(session, monkeypatch)
    post = WarmPost("out")
    OnnxRunner(session, post).warmup(shapes)  # type: ignore[arg-type]
    assert [{name: array.shape for name, array in feed.items()} for feed in feeds] == [expected]
    assert (post.warmups, post.tensors) == (1, [])


def test_warmup_of_an_accelerator_goes_through_io_binding() -> None:
    session = recording(CUDA)
    OnnxRunner(session, WarmPost("out")).warmup()  # type: ignore[arg-type]
    assert ("run_with_iobinding",) in session.calls


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (
            None,
            r"'data' float32 \[N, 3, H, W\]: give its shape, as in warmup\(\{'data': \(1, 3, 480, 640\)\}\)",
        ),
        ({"dato": (1, 3, 2, 2)}, r"'dato' is no input of the model \(closest match: 'data'\)"),
        ({"data": (1, 3, -2, 2)}, "give its shape"),
        ({"data": (1, 3, 2)}, "has 3 axes"),
        ({"data": (1, 4, 2, 2)}, "wrong on axis 1"),
    ],
)
def test_warmup_of_shapes_that_do_not_fit_raises_runner_error(shapes: Any, message: str) -> None:
    session = onnxruntime.InferenceSession(copying(("N", 3, "H", "W")), providers=[CPU])
    with pytest.raises(RunnerError, match=message):
        OnnxRunner(session, WarmPost("out")).warmup(shapes)  # type: ignore[arg-type]
