"""OnnxRunner(quantized=True): the integers before the last DequantizeLinear, and what stays floats."""

from __future__ import annotations

import builtins
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from postproc import Classification, PostProcessor, QuantizedTensor, RunnerError, StandardOutput, Yolov8Output
from postproc.inspection import inspect_model
from postproc.onnx_runner import OnnxRunner
from postproc.onnx_runner.network import OnnxNetwork
from postproc.onnx_runner.session import CPU
from tests.models import network
from tests.pipelines import LABELS, assert_same

Array = NDArray[Any]

BOXES, CHANNELS = 12, 7
SHAPE = ("N", CHANNELS, BOXES)
IMAGES = ("N", 3, 2, 2)
POST = PostProcessor.for_detection(
    LABELS, Yolov8Output(output_tensor="out", coordinates="normalized"), thresholds=0.4
)


def node(kind: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: Any) -> Any:
    return helper.make_node(kind, list(inputs), list(outputs), **attributes)


def qdq(
    scale: Any = 0.01,
    zero_point: Any = 20,
    dtype: Any = np.uint8,
    axis: int | None = None,
    more: Sequence[Any] = (),
    outputs: Mapping[str, Any] | None = None,
    constants: Mapping[str, Array] | None = None,
    constant_nodes: bool = False,
    last: str = "out",
) -> bytes:
    """Build a network that gives a table an image: of floats that are quantised, and dequantised at last."""
    rng = np.random.default_rng(0)
    weights = rng.random((12, CHANNELS * BOXES)).astype(np.float32) / 20
    given = {"scale": np.asarray(scale, np.float32), "zero": np.asarray(zero_point, dtype)}
    known = {"weights": weights, "shape": np.array([-1, CHANNELS, BOXES]), **(constants or {})}
    nodes = [node("Flatten", ["data"], ["flat"]), node("MatMul", ["flat", "weights"], ["product"])]
    nodes += [node("Reshape", ["product", "shape"], ["table"])]
    if constant_nodes:
        nodes += [
            helper.make_node("Constant", [], [name], value=numpy_helper.from_array(array))
            for name, array in given.items()
        ]
    else:
        known |= given
    along = {} if axis is None else {"axis": axis}
    nodes += [node("QuantizeLinear", ["table", "scale", "zero"], ["integers"], **along)]
    nodes += [node("DequantizeLinear", ["integers", "scale", "zero"], [last], **along), *more]
    described = outputs or {"out": (np.float32, SHAPE)}
    return network(nodes, {"data": (np.float32, IMAGES)}, described, known)


def images(count: int = 3) -> NDArray[np.float32]:
    return np.random.default_rng(1).uniform(0, 3, (count, 3, 2, 2)).astype(np.float32)


class Recording:
    """Hands on what a post-processor is called with, and keeps it."""

    def __init__(self, post: PostProcessor) -> None:
        self._post = post
        self.given: list[dict[str, Any]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._post, name)

    def __call__(self, tensors: dict[str, Any], **options: Any) -> Any:
        self.given.append(tensors)
        return self._post(tensors, **options)


def opened(model: object, post: Any = POST, **options: Any) -> OnnxRunner:
    return OnnxRunner(model, post, [CPU], quantized=True, **options)


def assert_equal_to_floats(model: Any, post: PostProcessor = POST) -> list[dict[str, Any]]:
    """Check that results are those without `quantized`, and return what the post-processor was given."""
    recording = Recording(post)
    actual = opened(model, recording)(images())
    expected = OnnxRunner(model, post, [CPU])(images())
    assert len(expected.outputs[0].labels)
    assert_same(actual, expected)
    return recording.given


PER_CHANNEL = {
    "scale": np.linspace(0.008, 0.02, CHANNELS).astype(np.float32),
    "zero_point": np.arange(10, 10 + CHANNELS),
}


@pytest.mark.parametrize("constant_nodes", [False, True], ids=["initializers", "constant nodes"])
@pytest.mark.parametrize(
    "options",
    [
        {"scale": 0.01, "zero_point": 20},
        {"scale": [0.01], "zero_point": [20]},
        {"scale": 0.02, "zero_point": -100, "dtype": np.int8},
        {**PER_CHANNEL},
        {**PER_CHANNEL, "axis": 1},
        {**PER_CHANNEL, "axis": -2, "dtype": np.int8},
        {"scale": np.linspace(0.01, 0.02, BOXES), "zero_point": np.arange(BOXES), "axis": 2},
    ],
    ids=["number", "list of one", "int8", "default axis", "axis", "negative axis", "axis of boxes"],
)
def test_results_are_those_of_the_floats(options: dict[str, Any], constant_nodes: bool) -> None:
    (given,) = assert_equal_to_floats(qdq(**options, constant_nodes=constant_nodes))
    tensor = given["out"]
    assert isinstance(tensor, QuantizedTensor)
    assert tensor.array.dtype == options.get("dtype", np.uint8)
    assert np.array_equal(tensor.scale, np.float32(options["scale"]).reshape(np.shape(tensor.scale)))


@pytest.mark.parametrize("dtype", [np.int16, np.uint16])
def test_16_bits_are_taken(dtype: Any) -> None:
    model = onnx.load_from_string(qdq(0.0001, 1000, np.uint8 if dtype == np.uint8 else dtype))
    model.opset_import[0].version, model.ir_version = 21, 10
    (given,) = assert_equal_to_floats(model)
    assert given["out"].array.dtype == dtype


def test_integers_without_a_zero_point_are_of_uint8() -> None:
    model = onnx.load_from_string(qdq())
    for one in model.graph.node:
        if one.op_type.endswith("quantizeLinear") or one.op_type == "QuantizeLinear":
            del one.input[2:]
    (given,) = assert_equal_to_floats(model)
    assert given["out"].array.dtype == np.uint8
    assert given["out"].zero_point == 0


def test_model_is_taken_as_path_bytes_and_proto_and_stays_as_it_is(tmp_path: Path) -> None:
    content = qdq()
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    proto = onnx.load_from_string(content)
    expected = OnnxRunner(content, POST, [CPU])(images())
    for model in (path, str(path), content, bytearray(content), proto):
        assert_same(opened(model)(images()), expected)
    assert path.read_bytes() == content == proto.SerializeToString()


def test_weights_beside_the_file_are_read(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    onnx.save(
        onnx.load_from_string(qdq()),
        path,
        save_as_external_data=True,
        location="weights.bin",
        size_threshold=1024,
    )
    assert_equal_to_floats(path)
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(RunnerError, match=r"model: '.*model\.onnx' cannot be read as an ONNX network: "):
        opened(path)


def test_fixed_batches_and_no_images_are_run() -> None:
    model = onnx.load_from_string(qdq(**PER_CHANNEL))
    for info in (*model.graph.input, *model.graph.output):
        info.type.tensor_type.shape.dim[0].dim_value = 2
    given = assert_equal_to_floats(model)
    assert [one["out"].shape[0] for one in given] == [2, 2]
    assert len(opened(model)(images(0)).outputs[0]) == 0


def test_name_with_a_zero_is_matched() -> None:
    output = Yolov8Output(output_tensor="out:0", coordinates="normalized")
    post = PostProcessor.for_detection(LABELS, output, thresholds=0.4)
    (given,) = assert_equal_to_floats(qdq(), post)
    assert isinstance(given["out:0"], QuantizedTensor)


def test_outputs_that_are_not_dequantised_stay_floats() -> None:
    post = PostProcessor.for_detection(
        LABELS, StandardOutput(boxes_tensor="boxes", scores_tensor="scores"), thresholds=0.4
    )
    starts = {"four": np.array([4]), "zero_": np.array([0]), "seven": np.array([7]), "one": np.array([1])}
    more = [
        node("Slice", ["table", "zero_", "four", "one"], ["boxes_"]),
        node("Transpose", ["boxes_"], ["boxes"], perm=[0, 2, 1]),
        node("Slice", ["table", "four", "seven", "one"], ["few"]),
        node("QuantizeLinear", ["few", "scale", "zero"], ["few_integers"]),
        node("DequantizeLinear", ["few_integers", "scale", "zero"], ["scores"]),
    ]
    outputs = {
        "boxes": (np.float32, ("N", BOXES, 4)),
        "scores": (np.float32, ("N", 3, BOXES)),
        "out": (np.float32, SHAPE),
    }
    (given,) = assert_equal_to_floats(qdq(more=more, outputs=outputs, constants=starts), post)
    assert isinstance(given["scores"], QuantizedTensor)
    assert given["boxes"].dtype == np.float32


def test_output_that_others_use_too_is_taken_and_goes_on() -> None:
    more = [node("ReduceMax", ["out"], ["highest"], axes=[2], keepdims=0)]
    outputs = {"out": (np.float32, SHAPE), "highest": (np.float32, ("N", CHANNELS))}
    model = qdq(more=more, outputs=outputs)
    (given,) = assert_equal_to_floats(model)
    assert isinstance(given["out"], QuantizedTensor)
    labels = list("abcdefg")
    tags = PostProcessor.for_classification(labels, Classification(output_tensor="highest"))
    assert_same(OnnxRunner(model, tags, [CPU])(images()), OnnxRunner(model, tags, [CPU])(images()))
    with pytest.raises(RunnerError, match="quantized: none of the tensors 'highest' is an output"):
        opened(model, tags)


def test_two_outputs_of_the_same_integers_are_taken() -> None:
    more = [node("DequantizeLinear", ["integers", "half", "zero"], ["other"])]
    outputs = {"out": (np.float32, SHAPE), "other": (np.float32, SHAPE)}
    model = qdq(more=more, outputs=outputs, constants={"half": np.float32(0.005)})
    output = Yolov8Output(output_tensor="other", coordinates="normalized")
    assert_equal_to_floats(model)
    assert_equal_to_floats(model, PostProcessor.for_detection(LABELS, output, thresholds=0.1))


def test_nothing_that_only_a_dequantizing_needs_is_left(capfd: pytest.CaptureFixture[str]) -> None:
    for constant_nodes in (False, True):
        runner = opened(qdq(constants={}, constant_nodes=constant_nodes))
        assert list(runner.network.outputs) == ["integers"]
        assert runner.network.outputs["integers"].type == "tensor(uint8)"
        assert list(runner.network.outputs["integers"].shape) == list(SHAPE)
    assert capfd.readouterr().err == ""


def computed_scale() -> bytes:
    more = [
        node("ReduceMax", ["scales"], ["computed"], keepdims=0),
        node("DequantizeLinear", ["integers", "computed", "zero"], ["out"]),
    ]
    model = onnx.load_from_string(
        qdq(last="unused", more=more, constants={"scales": np.array([0.01, 0.02], np.float32)})
    )
    return bytes(model.SerializeToString())


def half_scale() -> bytes:
    model = onnx.load_from_string(qdq(last="unused", more=[node("Identity", ["table"], ["out"])]))
    model.opset_import[0].version, model.ir_version = 19, 9
    model.graph.initializer.append(numpy_helper.from_array(np.array(0.01, np.float16), "half"))
    model.graph.node[-1].CopyFrom(node("DequantizeLinear", ["integers", "half", "zero"], ["halves"]))
    model.graph.node.append(node("Cast", ["halves"], ["out"], to=TensorProto.FLOAT))
    return bytes(model.SerializeToString())


def of_four_bits() -> bytes:
    model = onnx.load_from_string(qdq())
    model.opset_import[0].version, model.ir_version = 21, 10
    zero = next(one for one in model.graph.initializer if one.name == "zero")
    zero.CopyFrom(helper.make_tensor("zero", TensorProto.UINT4, [], [3]))
    return bytes(model.SerializeToString())


def of_blocks() -> bytes:
    model = onnx.load_from_string(qdq())
    model.opset_import[0].version, model.ir_version = 21, 10
    for one in list(model.graph.initializer):
        if one.name in ("scale", "zero"):
            model.graph.initializer.remove(one)
    blocks = (1, CHANNELS, BOXES // 4)
    model.graph.initializer.append(numpy_helper.from_array(np.full(blocks, 0.01, np.float32), "scale"))
    model.graph.initializer.append(numpy_helper.from_array(np.full(blocks, 20, np.uint8), "zero"))
    for one in model.graph.node[-2:]:
        one.attribute.extend([helper.make_attribute("axis", 2), helper.make_attribute("block_size", 4)])
    return bytes(model.SerializeToString())


@pytest.mark.parametrize("make", [computed_scale, half_scale, of_four_bits, of_blocks])
def test_other_dequantizing_is_an_error_where_nothing_else_is_taken(make: Any) -> None:
    with pytest.raises(RunnerError) as caught:
        opened(make())
    if "NOT_IMPLEMENTED" in str(caught.value):
        pytest.skip(f"ONNX Runtime {onnxruntime.__version__} has no such numbers")
    assert str(caught.value) == (
        "quantized: none of the tensors 'out' is an output that ends with a DequantizeLinear of constant "
        "float32 scales, by tensor or by channel, and of integers of 8 or 16 bits; leave quantized out"
    )


def test_session_and_open_network_are_errors() -> None:
    session = onnxruntime.InferenceSession(qdq(), providers=[CPU])
    for model in (session, OnnxNetwork(session)):
        with pytest.raises(RunnerError, match="quantized belongs to a model to be opened"):
            OnnxRunner(model, POST, quantized=True)


@pytest.mark.parametrize("model", [b"not a model", Path("no.onnx"), 3], ids=["bytes", "no file", "number"])
def test_model_that_cannot_be_read_is_an_error(model: Any) -> None:
    with pytest.raises(RunnerError, match=r"^model: "):
        opened(model)


def test_without_onnx_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *arguments: Any, **options: Any) -> Any:
        if name.partition(".")[0] == "onnx":
            raise ImportError("No module named 'onnx'")
        return real(name, *arguments, **options)

    content = qdq()
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(RunnerError, match=r"^OnnxRunner\(quantized=True\) needs an extra: .*inspect"):
        opened(content)


def test_inspection_reads_a_network_that_ends_dequantising(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    channels, boxes = 84, 8400
    weights = rng.random((3, channels, 1, 1)).astype(np.float32)
    constants = {"scale": np.float32(0.01), "zero": np.uint8(0), "shape": np.array([1, channels, -1])}
    nodes = [
        node("Conv", ["images", "weights"], ["map"], strides=[8, 8]),
        node("Reshape", ["map", "shape"], ["table"]),
        node("QuantizeLinear", ["table", "scale", "zero"], ["integers"]),
        node("DequantizeLinear", ["integers", "scale", "zero"], ["output0"]),
    ]
    content = network(
        nodes,
        {"images": (np.float32, (1, 3, 640, 640))},
        {"output0": (np.float32, (1, channels, boxes))},
        {**constants, "weights": weights.transpose(1, 0, 2, 3)},
    )
    plain, quantised = tmp_path / "plain" / "model.onnx", tmp_path / "quantised" / "model.onnx"
    plain.parent.mkdir()
    quantised.parent.mkdir()
    quantised.write_bytes(content)
    model = onnx.load_from_string(content)
    del model.graph.node[-2:]
    model.graph.node[-1].output[0] = "output0"
    plain.write_bytes(model.SerializeToString())
    decided = [inspect_model(path, run=False).decided for path in (plain, quantised)]
    assert decided[0] == decided[1]
