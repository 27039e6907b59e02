"""DevicePostProcessor, with tensors on the CPU bound as those of a GPU would be."""

from __future__ import annotations

import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from postproc import (
    ImageTransform,
    OrientedDetections,
    PostProcessor,
    RunnerError,
    TensorError,
    YoloOutput,
    Yolov8ObbOutput,
    Yolov8Output,
)
from postproc.errors import BatchSizeError, FusingError
from postproc.onnx_runner import DevicePostProcessor, device_graphs
from postproc.onnx_runner.device_graphs import DeviceGraphs
from postproc.onnx_runner.device_tensors import Device, OrtTensor, PointedTensor, as_bindable, to_host
from tests.onnx_runner.test_fused import BOXES, LABELS, SIDE, assert_same, post_processor, tables

SHAPES = {"output0": ("batch", 4 + LABELS, BOXES)}
ON_CPU = Device("cpu")
SQUARE = np.arange(9, dtype=np.float32).reshape(3, 3)


class Exported:
    """A tensor of another library, of which ONNX Runtime sees DLPack only."""

    def __init__(self, array: NDArray[Any], device: tuple[int, int] = (1, 0)) -> None:
        self._array, self._device = array, device

    def __dlpack__(self, **options: Any) -> Any:
        return self._array.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._device


class OnGpu(Exported):
    """A tensor that says it is on a GPU, as PyTorch's: it cannot be read from the host."""

    def __init__(self, array: NDArray[Any], device: tuple[int, int] = (2, 0)) -> None:
        super().__init__(array, device)

    def __array__(self, *arguments: Any, **options: Any) -> Any:
        raise TypeError("can't convert cuda:0 device type tensor to numpy")

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {**self._array.__array_interface__, "stream": 1}


# --- results


@pytest.mark.parametrize("wrap", [np.asarray, Exported], ids=["NumPy", "DLPack only"])
@pytest.mark.parametrize("images", [1, 3])
def test_results_are_those_of_the_post_processor(images: int, wrap: Callable[..., Any]) -> None:
    post = post_processor()
    on_device = DevicePostProcessor(post, SHAPES, "cpu")
    for seed in range(3):
        table = tables(images, seed)
        assert_same(on_device({"output0": wrap(table)}), post({"output0": table}))


def test_options_of_a_call_are_those_of_the_post_processor() -> None:
    post = post_processor()
    on_device = DevicePostProcessor(post, SHAPES, "cpu", candidates=200)
    table = tables(2)
    transforms = [ImageTransform.letterbox((SIDE, SIDE), size) for size in ((30, 50), (99, 10))]
    for options in (
        {"show_discarded": True},
        {"max_predictions": 3},
        {"max_predictions": 500},
        {"input_size": (32, 128)},
        {"transforms": transforms},
    ):
        assert_same(on_device({"output0": table}, **options), post({"output0": table}, **options))


def test_half_precision_and_a_fixed_batch() -> None:
    post = post_processor()
    shapes = {"output0": (2, 4 + LABELS, BOXES)}
    on_device = DevicePostProcessor(post, shapes, "cpu", dtypes={"output0": "float16"})
    table = tables(2).astype(np.float16)
    assert_same(on_device({"output0": table}), post({"output0": table}))


def test_image_that_is_not_complete_is_finished_by_the_kernels() -> None:
    post = post_processor(nms_threshold=0.05)
    on_device = DevicePostProcessor(post, SHAPES, "cpu", candidates=128)
    table = tables(3, passing=0.9)
    assert_same(on_device({"output0": Exported(table)}), post({"output0": table}))


@pytest.mark.parametrize("size", [(SIDE, SIDE), (32, 99)])
def test_outputs_are_placed_each_by_itself(size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    one = post_processor()
    (output,), (task,) = one.spec.dump()["outputs"], one.version.dump()["post_processings"]
    other = {"detection": {**task["detection"], "input_size": [*size]}}
    other["detection"]["yolov8_output"] = {"output_tensor": "output1"}
    post = PostProcessor({"outputs": [output] * 2}, {"post_processings": [task, other]})
    on_device = DevicePostProcessor(post, {**SHAPES, "output1": SHAPES["output0"]}, "cpu")
    given = {"output0": tables(2), "output1": tables(2, 1)}
    expected = post(given)
    monkeypatch.setattr(DeviceGraphs, "by_kernels", None)
    assert_same(on_device(given), expected)


def test_grid_without_an_axis_of_images_is_one_image() -> None:
    post = PostProcessor.for_detection(
        ["a", "b", "c"], YoloOutput(output_tensor="grid", anchors=[1, 2, 3, 4, 5, 6]), thresholds=0.2
    )
    grid = np.random.default_rng(0).normal(size=(24, 4, 4)).astype(np.float32)
    found, expected = (
        DevicePostProcessor(post, {"grid": grid.shape}, "cpu")({"grid": grid}),
        post({"grid": grid}),
    )
    for name in ("offsets", "labels", "regions"):
        np.testing.assert_array_equal(getattr(found.outputs[0], name), getattr(expected.outputs[0], name))
    assert len(found) == 1
    assert len(found.outputs[0].scores)


# --- how tensors are bound


def test_tensor_is_bound_without_a_copy() -> None:
    table = tables(1)
    bound = as_bindable("output0", table, ON_CPU)
    address = bound.value.data_ptr() if isinstance(bound, OrtTensor) else bound.address
    assert address == table.ctypes.data
    assert to_host(bound).ctypes.data == table.ctypes.data or np.array_equal(to_host(bound), table)


@pytest.fixture
def without_dlpack(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let ONNX Runtime be one that does not take DLPack."""
    kept = {
        name: getattr(onnxruntime.OrtValue, name)
        for name in dir(onnxruntime.OrtValue)
        if name != "from_dlpack"
    }
    monkeypatch.setattr(onnxruntime, "OrtValue", SimpleNamespace(**kept))


@pytest.mark.usefixtures("without_dlpack")
def test_without_dlpack_a_tensor_is_bound_by_its_address() -> None:
    post, table = post_processor(), tables(2)
    bound = as_bindable("output0", table, ON_CPU)
    assert isinstance(bound, PointedTensor)
    assert bound.address == table.ctypes.data
    np.testing.assert_array_equal(to_host(bound), table)
    on_device = DevicePostProcessor(post, SHAPES, "cpu")
    assert_same(on_device({"output0": table}), post({"output0": table}))
    crowded = tables(1, passing=0.9)
    assert_same(
        on_device({"output0": crowded}, show_discarded=True), post({"output0": crowded}, show_discarded=True)
    )


@pytest.mark.usefixtures("without_dlpack")
def test_without_dlpack_and_without_an_address_what_to_do_is_said() -> None:
    table = tables(1)
    found = as_bindable("output0", Exported(table), ON_CPU)  # NumPy knows its address
    assert isinstance(found, PointedTensor)
    assert found.address == table.ctypes.data
    with pytest.raises(
        TensorError, match=r"'output0' \(.*Exported\) cannot be bound .*OrtValue\.from_dlpack"
    ):
        as_bindable("output0", Exported(table, (2, 0)), Device("cuda"))


def test_read_only_memory_is_bound_too() -> None:
    table = tables(1)
    table.flags.writeable = False
    bound = as_bindable("output0", table, ON_CPU)
    assert not isinstance(bound, np.ndarray)
    np.testing.assert_array_equal(to_host(bound), table)


def test_tensor_of_cuda_is_bound_by_the_address_that_it_tells_where_dlpack_fails() -> None:
    table = tables(1)
    bound = as_bindable("output0", OnGpu(table), Device("cuda"))
    assert isinstance(bound, PointedTensor | OrtTensor)
    by_address = as_bindable(
        "output0",
        SimpleNamespace(__cuda_array_interface__=OnGpu(table).__cuda_array_interface__),
        Device("cuda"),
    )
    assert isinstance(by_address, PointedTensor)
    assert (by_address.address, by_address.shape, by_address.dtype) == (
        table.ctypes.data,
        table.shape,
        table.dtype,
    )
    assert by_address.device.memory == ("cuda", 0)


def test_axis_of_one_may_have_any_stride() -> None:
    table = np.lib.stride_tricks.as_strided(tables(1), strides=(12, 4 * BOXES, 4))
    table.flags.writeable = False
    np.testing.assert_array_equal(to_host(as_bindable("output0", table, ON_CPU)), tables(1))


# --- errors


class OfPytorch(Exported):
    """A tensor as PyTorch's on the host: it has no address that NumPy knows, and these attributes."""

    requires_grad, layout, dtype = False, "torch.strided", "torch.float32"

    def __init__(self, array: NDArray[Any] = SQUARE, **more: Any) -> None:
        super().__init__(array)
        self.shape = array.shape
        self.__dict__.update(more)

    def is_contiguous(self) -> bool:
        return bool(self._array.flags.c_contiguous)

    def is_neg(self) -> bool:
        return False

    def stride(self) -> tuple[int, ...]:
        return tuple(step // self._array.itemsize for step in self._array.strides)


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (OfPytorch(SQUARE.T), r"of shape \(3, 3\) is not contiguous, with strides \(1, 3\): .*\.contiguous"),
        (OfPytorch(requires_grad=True), r"takes part in gradients: pass \.detach\(\)$"),
        (OfPytorch(layout="torch.sparse_coo"), r"is sparse \(torch\.sparse_coo\): pass \.to_dense\(\)$"),
        (OfPytorch(dtype="torch.bfloat16"), r"is bfloat16, .*: pass \.float\(\) or \.half\(\)$"),
        (OfPytorch(is_neg=lambda: True), r"is a view whose sign is turned: pass \.resolve_neg\(\)$"),
    ],
)
def test_tensor_of_pytorch_that_cannot_be_bound_is_refused_with_its_own_reason(
    tensor: OfPytorch, message: str
) -> None:
    with pytest.raises(TensorError, match=f"^tensor 'output0' {message}"):
        as_bindable("output0", tensor, ON_CPU)
    assert isinstance(as_bindable("output0", OfPytorch(), ON_CPU), OrtTensor | PointedTensor)


def test_tensors_of_pytorch_itself() -> None:
    torch = pytest.importorskip("torch")
    post, table = post_processor(), tables(2)
    on_device = DevicePostProcessor(post, SHAPES, "cpu")
    tensor = torch.from_numpy(table)
    assert_same(on_device({"output0": tensor}), post({"output0": table}))
    for other, advice in (
        (tensor.transpose(1, 2).contiguous().transpose(1, 2), "contiguous()"),
        (tensor.clone().requires_grad_(), "detach()"),
        (tensor.to_sparse(), "to_dense()"),
        (tensor.bfloat16(), "float()"),
        (torch._neg_view(tensor), "resolve_neg()"),
    ):
        with pytest.raises(TensorError, match=rf"'output0' .* pass .*\.{re.escape(advice)}"):
            on_device({"output0": other})


@pytest.mark.parametrize("count", [0, 1, 3])
def test_other_number_of_transforms_raises_what_the_post_processor_does(count: int) -> None:
    post, tensors = post_processor(), {"output0": tables(2)}
    transforms = [ImageTransform.letterbox((SIDE, SIDE), (30, 50))] * count
    with pytest.raises(BatchSizeError) as expected:
        post(tensors, transforms=transforms)
    with pytest.raises(BatchSizeError, match=f"^{re.escape(str(expected.value))}$"):
        DevicePostProcessor(post, SHAPES, "cpu")(tensors, transforms=transforms)


@pytest.mark.parametrize(
    ("tensor", "device", "message"),
    [
        pytest.param(
            OnGpu(tables(1)), Device("cpu"), r"device \(2, 0\), .* runs on cpu: .*\.to\('cpu'\)", id="GPU"
        ),
        pytest.param(
            OnGpu(tables(1), (2, 1)), Device("cuda"), r"device \(2, 1\), .* on cuda:0", id="other GPU"
        ),
        pytest.param(OnGpu(tables(1), (10, 0)), Device("cuda"), r"device \(10, 0\)", id="AMD"),
        pytest.param(tables(2)[::-1], ON_CPU, r"is not contiguous, with strides .*: pass a", id="strides"),
        pytest.param(
            tables(1).transpose(0, 2, 1), ON_CPU, r"not contiguous.*\.contiguous\(\)", id="transposed"
        ),
    ],
)
def test_tensor_that_cannot_be_bound_raises_tensor_error(tensor: Any, device: Device, message: str) -> None:
    with pytest.raises(TensorError, match=message):
        as_bindable("output0", tensor, device)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        pytest.param(tables(1).astype(np.float64), "is float64 of shape .* made for float32", id="dtype"),
        pytest.param(tables(1)[:, :, :9].copy(), r"shape \(1, 7, 9\); .*\(batch, 7, 300\)", id="shape"),
        pytest.param(tables(1)[0], r"of shape \(7, 300\)", id="rank"),
        pytest.param(object(), r"is object of shape \(\)", id="object"),
    ],
)
def test_tensor_of_another_shape_or_type_than_declared_raises_tensor_error(
    table: NDArray[Any], message: str
) -> None:
    on_device = DevicePostProcessor(post_processor(), SHAPES, "cpu")
    with pytest.raises(TensorError, match=message):
        on_device({"output0": table})
    with pytest.raises(TensorError, match="tensor 'output0' is missing; the tensors given are 'other'"):
        on_device({"other": table})
    with pytest.raises(TensorError, match="tensors must be a mapping"):
        on_device([table])  # type: ignore[arg-type]


@pytest.mark.parametrize("device", ["gpu", "cuda:x", "cuda:", "", None, 3])
def test_device_that_is_none_raises_runner_error(device: Any) -> None:
    with pytest.raises(
        RunnerError, match=r'device: expected one of cpu, cuda, .*as in "cuda" or "cuda:1"; got'
    ):
        DevicePostProcessor(post_processor(), SHAPES, device)


@pytest.mark.skipif(
    "CUDAExecutionProvider" in onnxruntime.get_available_providers(), reason="this build may have a GPU"
)
@pytest.mark.parametrize("candidates", [0, True, 1.5, "a", None, 10**9])
def test_candidates_out_of_range_raise_fusing_error(candidates: Any) -> None:
    with pytest.raises(FusingError, match="candidates: expected 1 to 1,000,000, got"):
        DevicePostProcessor(post_processor(), SHAPES, "cpu", candidates=candidates)


def test_device_that_the_build_lacks_raises_runner_error() -> None:
    with pytest.raises(RunnerError, match="CUDAExecutionProvider not in this build of ONNX Runtime"):
        DevicePostProcessor(post_processor(), SHAPES, "cuda")


def test_shapes_that_are_missing_or_free_raise_errors() -> None:
    for given in (None, "output0"):
        with pytest.raises(TensorError, match="shapes: expected a mapping of tensors' names to shapes, got"):
            DevicePostProcessor(post_processor(), given, "cpu")  # type: ignore[arg-type]
    with pytest.raises(TensorError, match="dtypes: expected a mapping of tensors' names to dtypes, got 'flo"):
        DevicePostProcessor(post_processor(), SHAPES, "cpu", dtypes="float16")  # type: ignore[arg-type]
    with pytest.raises(TensorError, match="'output0' is missing"):
        DevicePostProcessor(post_processor(), {}, "cpu")
    for shape in (None, 7, "batch"):
        with pytest.raises(TensorError, match="shapes: expected sizes of 'output0'"):
            DevicePostProcessor(post_processor(), {"output0": shape}, "cpu")  # type: ignore[dict-item]
    with pytest.raises(
        TensorError, match="dtypes: expected a data type of NumPy for 'output0', got 'half16'"
    ):
        DevicePostProcessor(post_processor(), SHAPES, "cpu", dtypes={"output0": "half16"})
    with pytest.raises(FusingError, match="only the first axis may be free"):
        DevicePostProcessor(post_processor(), {"output0": ("batch", 7, "boxes")}, "cpu")


def test_post_processor_that_is_given_a_tensor_on_a_gpu_names_the_one_that_takes_it() -> None:
    output = Yolov8Output(output_tensor="output0")
    post = PostProcessor.for_detection(["a", "b", "c"], output)
    with pytest.raises(TensorError, match=r"postproc\.onnx_runner\.DevicePostProcessor"):
        post({"output0": OnGpu(tables(1))})
    with pytest.raises(TensorError) as raised:
        post({"output0": object()})
    assert "DevicePostProcessor" not in str(raised.value)


def test_operator_that_an_older_onnx_runtime_lacks_is_told_as_one_of_the_graph(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said = "[ONNXRuntimeError] : 9 : NOT_IMPLEMENTED : Could not find an implementation for Cos(7) node"

    def lacking(*arguments: object) -> Any:
        raise RunnerError(f"model: ONNX Runtime cannot open the model given as ModelProto: {said}")

    monkeypatch.setattr(device_graphs, "open_session", lacking)
    text = r"lacks Cos, of the post-processing's graph .* on cpu: install a newer one, or post-process by the"
    with pytest.raises(FusingError, match=text):
        DevicePostProcessor(post_processor(), SHAPES, "cpu")


def test_oriented_boxes_are_those_of_the_kernels_or_refused_by_an_older_onnx_runtime() -> None:
    output = Yolov8ObbOutput(output_tensor="t")
    post = PostProcessor.for_detection(["a"], output, thresholds=0.5, input_size=[64, 64])
    table = np.zeros((1, 6, 9), np.float32)
    table[0, :, 3] = [32, 32, 10, 20, 0.9, 0.3]
    try:
        on_device = DevicePostProcessor(post, {"t": ("batch", 6, 9)}, "cpu")
    except FusingError as error:  # ONNX Runtime 1.18 has no Cos of float64
        assert "lacks Cos" in str(error)  # noqa: PT017
        return
    found, expected = on_device({"t": table}).outputs[0], post({"t": table}).outputs[0]
    assert isinstance(found, OrientedDetections)
    assert isinstance(expected, OrientedDetections)
    np.testing.assert_allclose(found.polygons, expected.polygons, rtol=1e-6)
    assert len(found.polygons) == 1
