"""OnnxRunner with its post-processing on the network's device: when it is, what crosses, and the results.

The device is the CPU, or a session on it that says it is on a GPU: on one it has not been run.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from postproc import (
    Classification,
    Detections,
    ImageTransform,
    PostProcessor,
    Recognitions,
    RunnerError,
    TensorError,
    Yolov8Output,
)
from postproc.onnx_runner import OnnxRunner, device_graphs
from postproc.onnx_runner.device_tensors import Device, OrtTensor
from postproc.onnx_runner.session import CPU, CUDA
from tests.models import passthrough

LABELS, BOXES, SIDE = 3, 300, 64
TENSORRT, DIRECTML = "TensorrtExecutionProvider", "DmlExecutionProvider"
MODEL = passthrough({"data": ("N", 4 + LABELS, BOXES)}, {"output0": "data"})


def post_processor(**more: Any) -> PostProcessor:
    output = Yolov8Output(output_tensor="output0")
    more = {"thresholds": [0.3, 0.5, 0.4], "nms_threshold": 0.5, "input_size": [SIDE, SIDE], **more}
    return PostProcessor.for_detection(["a", "b", "c"], output, label_ids=[7, -1, 0], **more)


def tables(images: int, seed: int = 0, passing: float = 0.1) -> NDArray[np.float32]:
    """Make rows of boxes in pixels, of whose scores a part passes."""
    rng = np.random.default_rng(seed)
    table = np.empty((images, 4 + LABELS, BOXES), np.float32)
    table[:, :2] = rng.uniform(0, SIDE, (images, 2, BOXES))
    table[:, 2:4] = rng.uniform(1, SIDE / 3, (images, 2, BOXES))
    scores = rng.integers(1, 60, (images, LABELS, BOXES)) / 60  # with ties
    table[:, 4:] = np.where(rng.random(scores.shape) < passing, scores, 0)
    return table


def assert_same(found: Recognitions, expected: Recognitions) -> None:
    for one, other in zip(found.outputs, expected.outputs, strict=True):
        assert type(one) is type(other)
        columns = ("boxes", "regions") if isinstance(other, Detections) else ()
        for name in ("offsets", "scores", "labels", "predicted", "is_cut", *columns):
            mine, theirs = getattr(one, name), getattr(other, name)
            assert mine.dtype == theirs.dtype, name
            np.testing.assert_array_equal(mine, theirs, err_msg=name)
        assert one.table is other.table


@pytest.fixture
def crossed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """The shapes of tensors that came from the device."""
    shapes: list[tuple[int, ...]] = []
    fetch = OrtTensor.to_host

    def recorded(tensor: OrtTensor) -> NDArray[Any]:
        shapes.append(tensor.shape)
        return fetch(tensor)

    monkeypatch.setattr(OrtTensor, "to_host", recorded)
    return shapes


def fused(post: PostProcessor, model: Any = MODEL, **options: Any) -> OnnxRunner:
    """Build a runner that is fused on the CPU, and has had its first call."""
    runner = OnnxRunner(model, post, [CPU], fuse=True, **options)
    runner(tables(1))
    return runner


# --- when it is fused


def claiming(providers: Sequence[str], monkeypatch: pytest.MonkeyPatch, model: bytes = MODEL) -> Any:
    """Open a real session on the CPU that says it is elsewhere."""
    session = onnxruntime.InferenceSession(model, providers=[CPU])
    monkeypatch.setattr(session, "get_providers", lambda: [*providers, CPU])
    monkeypatch.setattr(session, "get_provider_options", lambda: {providers[0]: {"device_id": "1"}})
    return session


@pytest.mark.parametrize(
    ("provider", "device"),
    [
        pytest.param(CUDA, Device("cuda", 1), id="CUDA"),
        pytest.param(TENSORRT, Device("cuda", 1), id="TensorRT"),
        pytest.param("ROCMExecutionProvider", Device("rocm", 1), id="ROCm"),
        pytest.param("MIGraphXExecutionProvider", Device("migraphx", 1), id="MIGraphX"),
        pytest.param(DIRECTML, Device("dml", 1), id="DirectML"),
        pytest.param("CoreMLExecutionProvider", None, id="CoreML"),
        pytest.param("WebGpuExecutionProvider", None, id="WebGPU"),
    ],
)
def test_auto_fuses_on_a_gpu_whose_memory_is_shared(
    provider: str, device: Device | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = claiming([provider], monkeypatch)
    assert Device.of(session) == device
    assert OnnxRunner(session, post_processor()).is_fused == (device is not None)
    assert not OnnxRunner(session, post_processor(), fuse=False).is_fused
    if device is None:
        with pytest.raises(RunnerError, match=rf"^fuse: on {provider} no other session"):
            OnnxRunner(session, post_processor(), fuse=True)


def test_auto_does_not_fuse_on_a_cpu() -> None:
    assert not OnnxRunner(MODEL, post_processor(), [CPU]).is_fused
    assert OnnxRunner(MODEL, post_processor(), [CPU], fuse=True).is_fused


@pytest.mark.parametrize("device", [Device("cuda", 1), Device("dml")])
def test_graphs_of_a_gpu_are_opened_on_it(device: Device) -> None:
    provider = {"cuda": CUDA, "dml": DIRECTML}[device.kind]
    assert device.providers == [(provider, {"device_id": str(device.number)}), CPU]
    assert device.memory == (device.kind, device.number)


def test_what_no_graph_expresses_is_not_fused_and_the_reason_is_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "postproc.onnx_runner")
    post = post_processor(nms_method="soft")
    assert not OnnxRunner(claiming([CUDA], monkeypatch), post).is_fused
    (record,) = caplog.records
    assert 'post-processed there: post_processings[0] has nms_method "soft"' in record.getMessage()
    with pytest.raises(RunnerError, match=r'^fuse: post_processings\[0\] has nms_method "soft"'):
        OnnxRunner(MODEL, post, [CPU], fuse=True)


def test_auto_does_not_fuse_scores_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    post = PostProcessor.for_classification(["a"], Classification(output_tensor="output0"))
    assert not OnnxRunner(claiming([CUDA], monkeypatch), post).is_fused
    assert OnnxRunner(MODEL, post, [CPU], fuse=True).is_fused


@pytest.mark.parametrize("fuse", ["yes", 0, 1, 1.0, None, np.array([True, False]), np.int64(1)])
def test_fuse_that_is_neither_true_nor_false_nor_auto_raises_runner_error(fuse: Any) -> None:
    with pytest.raises(RunnerError, match=r'^fuse: expected True, False or "auto", got'):
        OnnxRunner(MODEL, post_processor(), [CPU], fuse=fuse)


def test_fuse_as_a_bool_of_numpy() -> None:
    for fuse in (np.True_, np.False_):
        given: Any = fuse
        assert OnnxRunner(MODEL, post_processor(), [CPU], fuse=given).is_fused == fuse


@pytest.mark.parametrize(
    "options",
    [
        {"max_predictions": "a"},
        {"max_predictions": -1},
        {"max_predictions": 1.5},
        {"show_discarded": np.array([True, False])},
        {"transforms": ["a"]},
    ],
)
def test_options_out_of_range_raise_what_they_raise_unfused(options: dict[str, Any]) -> None:
    messages = []
    for runner in (OnnxRunner(MODEL, post_processor(), [CPU], fuse=False), fused(post_processor())):
        with pytest.raises(TensorError) as raised:
            runner(tables(1), **options)
        messages.append(str(raised.value))
    assert messages[0] == messages[1]


# --- what crosses, and the results


@pytest.mark.parametrize("images", [1, 4])
def test_fused_results_are_those_of_the_kernels_and_no_tensor_crosses(
    images: int, crossed: list[tuple[int, ...]]
) -> None:
    post = post_processor()
    runner = fused(post)
    for seed in range(5):
        table = tables(images, seed)
        assert_same(runner(table), post({"output0": table}))
    assert crossed == []


def test_first_call_goes_through_the_kernels_which_look_at_the_scores(
    caplog: pytest.LogCaptureFixture, crossed: list[tuple[int, ...]]
) -> None:
    table = tables(1)
    table[:, 4:] -= 0.25  # logits have numbers below 0
    runner = OnnxRunner(MODEL, post_processor(), [CPU], fuse=True)
    runner(table)
    assert "probabilities are 0 to 1" in caplog.text
    runner(table)
    assert crossed == []


def test_image_that_is_not_complete_takes_its_tensors_to_the_kernels(
    crossed: list[tuple[int, ...]],
) -> None:
    post = post_processor(nms_threshold=0.05)
    runner = fused(post)
    runner._graphs = device_graphs.DeviceGraphs(post, Device("cpu"), candidates=32)
    table = tables(4, passing=0.02)
    table[2] = tables(1, seed=9, passing=0.9)[0]
    options = {"max_predictions": 20}
    assert_same(runner(table[:2], **options), post({"output0": table[:2]}, **options))
    assert crossed == []
    assert_same(runner(table, **options), post({"output0": table}, **options))
    assert crossed == [table.shape]


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"show_discarded": True}, id="discarded"),
        pytest.param({"max_predictions": 101}, id="more predictions than the graph has"),
    ],
)
def test_call_that_asks_for_more_than_the_graph_has_goes_through_the_kernels(
    options: dict[str, Any], crossed: list[tuple[int, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    post = post_processor(nms_threshold=1)
    runner = fused(post)
    monkeypatch.setattr(device_graphs.DeviceGraphs, "__call__", None)  # would raise
    table = tables(2, passing=0.5)
    assert_same(runner(table, **options), post({"output0": table}, **options))


@pytest.mark.parametrize("most", [0, 1, 17, 99, 100])
def test_fewer_predictions_are_the_first_and_tell_what_was_cut(
    most: int, crossed: list[tuple[int, ...]]
) -> None:
    post = post_processor(nms_threshold=0.9)
    runner = fused(post)
    table = np.concatenate([tables(1, passing=0.5), tables(1, passing=0.02)])
    found = runner(table, max_predictions=most)
    assert_same(found, post({"output0": table}, max_predictions=most))
    assert found.outputs[0].is_cut[0]
    assert crossed == []


@pytest.mark.parametrize("activation", ["none", "sigmoid"])
@pytest.mark.parametrize("labels", [3, 150])
def test_classification_beside_boxes_stays_on_the_device(
    labels: int, activation: str, crossed: list[tuple[int, ...]]
) -> None:
    boxes = post_processor()
    task = Classification.load({"output_tensor": "tags", "score_activation": activation})
    tags = PostProcessor.for_classification(
        [f"tag {row}" for row in range(labels)], task, thresholds=0.4, label_ids=[*range(9, 9 + labels)]
    )
    spec, version = boxes.spec.dump(), boxes.version.dump()
    spec["outputs"] += tags.spec.dump()["outputs"]
    version["post_processings"] += tags.version.dump()["post_processings"]
    post = PostProcessor(spec, version)
    shapes = {"data": ("N", 4 + LABELS, BOXES), "logits": ("N", labels, 1)}
    runner = OnnxRunner(passthrough(shapes, {"output0": "data", "tags": "logits"}), post, [CPU], fuse=True)
    rng = np.random.default_rng(labels)
    scores = (rng.integers(0, 60, (3, labels, 1)) / 60).astype(np.float32)  # with ties
    scores[0, 0], scores[1, 1], scores[2, :2] = np.nan, np.inf, -np.inf
    feed = {"data": tables(3), "logits": scores}
    tensors = {"output0": feed["data"], "tags": feed["logits"]}
    transforms = [ImageTransform.letterbox((SIDE, SIDE), (9, 5))] * 3
    runner(feed)
    for options in ({}, {"max_predictions": 2}, {"transforms": transforms}):
        assert_same(runner(feed, **options), post(tensors, **options))
    assert crossed == []


def test_exactly_as_many_predictions_as_asked_for_are_not_cut() -> None:
    table = np.zeros((1, 4 + LABELS, BOXES), np.float32)
    table[0, :2, :100] = np.stack(np.divmod(np.arange(100), 10)) * 6 + 3
    table[0, 2:4, :100], table[0, 4, :100] = 4, np.linspace(0.4, 0.9, 100)
    for extra in (False, True):
        table[0, :, 100] = [30, 62, 4, 2, 0, 0, 0.9 if extra else 0]
        post = post_processor()
        found = fused(post)(table)
        assert_same(found, post({"output0": table}))
        assert len(found.outputs[0].scores) == 100
        assert found.outputs[0].is_cut.tolist() == [extra]


def test_other_thresholds_go_through_the_kernels() -> None:
    post = post_processor()
    runner = fused(post)
    table = tables(2)
    runner.post = post.replace(thresholds=0.9)
    assert_same(runner(table), runner.post({"output0": table}))
    assert len(runner(table).outputs[0].scores) < len(post({"output0": table}).outputs[0].scores)


def test_boxes_come_back_relative_to_the_original_images(crossed: list[tuple[int, ...]]) -> None:
    post = post_processor()
    runner = fused(post)
    table = tables(3, 5)
    sizes = [(100, 37), (20, 300), (64, 64)]
    transforms = [ImageTransform.letterbox((SIDE, SIDE), size) for size in sizes]
    assert_same(runner(table, transforms=transforms), post({"output0": table}, transforms=transforms))
    assert crossed == []


def test_fixed_batch_runs_several_times_and_joins(crossed: list[tuple[int, ...]]) -> None:
    post = post_processor()
    model = passthrough({"data": (2, 4 + LABELS, BOXES)}, {"output0": "data"})
    runner = fused(post, model)
    table = tables(5)
    assert_same(runner(table), post({"output0": table}))
    assert_same(runner(table[:0]), post({"output0": table[:0]}))
    assert crossed == []


def test_tensor_of_sizes_places_boxes_whether_input_or_output(crossed: list[tuple[int, ...]]) -> None:
    output = Yolov8Output(output_tensor="output0")
    post = PostProcessor.for_detection(["a", "b", "c"], output, thresholds=0.3, normalize_wrt_tensor="sizes")
    shapes = {"data": ("N", 4 + LABELS, BOXES), "sizes": ("N", 3)}
    given = {"data": tables(3), "sizes": np.array([[64, 80, 1], [50, 60, 1], [99, 10, 1]], np.float32)}
    expected = post({"output0": given["data"], "sizes": given["sizes"]})
    for outputs in ({"output0": "data"}, {"output0": "data", "sizes_out": "sizes"}):
        if len(outputs) == 2:
            model = passthrough(
                {"data": shapes["data"], "im_info": shapes["sizes"]}, {"output0": "data", "sizes": "im_info"}
            )
            feed = {"data": given["data"], "im_info": given["sizes"]}
        else:
            model, feed = passthrough(shapes, outputs), given
        runner = OnnxRunner(model, post, [CPU], fuse=True)
        for _ in range(2):
            assert_same(runner(feed), expected)
    assert crossed == [(3, 3)], "the sizes alone cross, where they are no input"


def test_threads_share_a_fused_runner() -> None:
    post = post_processor()
    runner = fused(post)
    batches = [tables(1 + seed % 3, seed) for seed in range(24)]
    with ThreadPoolExecutor(6) as pool:
        for found, table in zip(pool.map(runner, batches), batches, strict=True):
            assert_same(found, post({"output0": table}))


def test_half_precision_stays_on_the_device(crossed: list[tuple[int, ...]]) -> None:
    post = post_processor()
    model = passthrough({"data": ("N", 4 + LABELS, BOXES)}, {"output0": "data"}, np.float16)
    runner = OnnxRunner(model, post, [CPU], fuse=True)
    table = tables(2).astype(np.float16)
    for _ in range(2):
        assert_same(runner(table), post({"output0": table}))
    assert crossed == []


def test_shapes_beyond_a_few_go_through_the_kernels(
    crossed: list[tuple[int, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device_graphs, "_MOST_GRAPHS", 2)
    model = passthrough({"data": ("N", 4 + LABELS, "boxes")}, {"output0": "data"})
    post = post_processor()
    runner = fused(post, model)
    for boxes in (100, 200, 300, 200, 100):
        table = tables(2)[:, :, :boxes]
        assert_same(runner(table), post({"output0": table}))
    assert crossed == [(2, 7, 300)]


# --- a graph that fails


def test_auto_goes_on_with_the_kernels_where_a_graph_does_not_open_and_says_so_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    session = claiming([CUDA], monkeypatch)
    monkeypatch.setattr(Device, "memory", ("cpu", 0))
    post = post_processor()
    runner = OnnxRunner(session, post)
    table = tables(2)
    for _ in range(4):
        assert_same(runner(table), post({"output0": table}))
    (record,) = caplog.records
    assert "does not run on cuda:1, so that tensors are copied to the host" in record.getMessage()
    assert not runner.is_fused


def test_true_raises_where_a_graph_does_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    runner = fused(post_processor())

    def fail(*arguments: object) -> Any:
        raise RuntimeError("CUDA failure 2: out of memory")

    monkeypatch.setattr(device_graphs, "bound_runs", fail)
    with pytest.raises(
        RunnerError, match=r"^fuse: ONNX Runtime failed .*'output0' float32.*run fewer images"
    ):
        runner(tables(1))


def test_warmup_opens_the_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    runner = OnnxRunner(MODEL, post_processor(), [CPU], fuse=True)
    runner.warmup()
    runner(tables(1))
    monkeypatch.setattr(device_graphs, "open_session", None)
    assert_same(runner(tables(1)), runner.post({"output0": tables(1)}))
