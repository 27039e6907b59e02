"""Quantised tensors: every integer at every threshold, where channels lie, and what is none."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from numpy.typing import NDArray

from postproc import (
    Classification,
    EndToEndOutput,
    PostProcessor,
    QuantizedTensor,
    SsdOutput,
    StandardOutput,
    TensorError,
    Yolov3Output,
    Yolov8Output,
    Yolov8SegOutput,
    ops,
)
from postproc.tensors import as_float32
from tests import reference
from tests.array_forms import FORMS
from tests.pipelines import LABELS, assert_same, tensors_of
from tests.pipelines import post_processor as plain_post_processor

Array = NDArray[Any]

# Of 8 bits: data type, scale, zero point. Products of some are no float32, of others tie.
EIGHT_BITS = [
    ("uint8", 1 / 255, 0),
    ("uint8", 0.04, 128),
    ("int8", 1 / 256, -128),
    ("int8", 0.0371, 5),
    ("int8", 1e-3, 120),
    ("uint8", 3e-45, 0),
]
ACTIVATIONS = ("none", "sigmoid", "softmax")
THIRD = 3


def every_integer(dtype: str) -> Array:
    bounds = np.iinfo(dtype)
    integers = np.arange(bounds.min, bounds.max + 1).astype(dtype)
    return np.random.default_rng(0).permutation(integers)


def floats_of(integers: Array, scale: Any, zero_point: Any) -> NDArray[np.float32]:
    floats: NDArray[np.float32] = (integers.astype(np.int32) - np.int32(zero_point)).astype(
        np.float32
    ) * np.float32(scale)
    return floats


def limits_at(scores: Array) -> list[float]:
    """Return thresholds on each score, next to it on both sides, and in the middle between two."""
    found = np.unique(scores[np.isfinite(scores)].astype(np.float32))
    near = [found, np.nextafter(found, np.float32(-1)), np.nextafter(found, np.float32(2))]
    limits = np.concatenate([*(one.astype(np.float64) for one in near), (found[1:] + found[:-1]) / 2.0])
    return [float(limit) for limit in np.unique(limits) if 0 <= limit <= 1]


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize(("dtype", "scale", "zero_point"), EIGHT_BITS)
def test_classification_of_every_integer_passes_each_threshold_that_its_score_exceeds(
    dtype: str, scale: float, zero_point: int, activation: Any
) -> None:
    integers = every_integer(dtype)[:, np.newaxis]
    if activation == "softmax":  # beside another label
        integers = np.concatenate([integers, np.full_like(integers, zero_point)], axis=1)
    labels = LABELS[: integers.shape[1]]
    described = {"output_tensor": "scores", "score_activation": activation}
    quantization = {"scores": {"scale": scale, "zero_point": zero_point}}
    post = PostProcessor.for_classification(
        labels, Classification.load({**described, "quantization": quantization}), thresholds=0.5
    )
    plain = PostProcessor.for_classification(labels, Classification.load(described), thresholds=0.5)
    floats = floats_of(integers, scale, zero_point)
    scores = plain({"scores": floats}, show_discarded=True).outputs[0].scores
    limits = limits_at(scores)
    assert len(limits) > 3 or scale < 1e-40
    for limit in limits:
        expected = plain.replace(thresholds=limit)({"scores": floats})
        assert_same(post.replace(thresholds=limit)({"scores": integers}), expected)
    if activation != "softmax":
        score = reference.sigmoid(floats) if activation == "sigmoid" else floats
        for limit in limits:
            found = post.replace(thresholds=limit)({"scores": integers}).outputs[0]
            passing = np.diff(found.offsets) == 1
            assert_array_equal(passing, score[:, 0] > np.float32(limit))


@pytest.mark.parametrize("planar", [False, True], ids=["rows", "planes"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize(("dtype", "scale", "zero_point"), EIGHT_BITS)
def test_boxes_of_every_integer_pass_each_threshold_that_their_score_exceeds(
    dtype: str, scale: float, zero_point: int, activation: Any, planar: bool
) -> None:
    integers = every_integer(dtype)
    scores = np.stack([integers, integers[::-1], np.full_like(integers, zero_point)], axis=1)
    scores = np.stack([scores, scores[::-1]])
    floats = floats_of(scores, scale, zero_point)
    low = np.random.default_rng(1).random((2, len(integers), 2))
    boxes = np.concatenate([low, low + 0.01], axis=2).astype(np.float32)
    if planar:
        scores, floats = scores.transpose(0, 2, 1), floats.transpose(0, 2, 1)
    output = StandardOutput(boxes_tensor="boxes", scores_tensor="scores", score_activation=activation)
    decision: dict[str, Any] = {"thresholds": 0.5, "nms_threshold": 0.7, "discard_threshold": 0}
    post = PostProcessor.for_detection(LABELS, output, **decision)
    single = PostProcessor.for_detection(LABELS, output, multi_label=False, **decision)
    given = {"boxes": boxes, "scores": QuantizedTensor(scores, scale, zero_point)}
    everything = post({"boxes": boxes, "scores": floats}, show_discarded=True, max_predictions=10**6)
    limits = limits_at(everything.outputs[0].scores)
    assert len(limits) > 3 or scale < 1e-40
    for limit in limits[::THIRD]:
        for one in (post, single):
            at_limit = one.replace(thresholds=limit)
            for most in (10, 10**6):
                expected = at_limit({"boxes": boxes, "scores": floats}, max_predictions=most)
                assert_same(at_limit(given, max_predictions=most), expected)


@pytest.mark.parametrize("activation", ["none", "sigmoid"])
@pytest.mark.parametrize(
    ("dtype", "scale", "zero_point"), [("int16", 2e-5, -7), ("uint16", 1e-4, 40_000), ("uint16", 1.5e-5, 0)]
)
def test_boxes_of_every_integer_of_16_bits(
    dtype: str, scale: float, zero_point: int, activation: Any
) -> None:
    scores = every_integer(dtype).reshape(1, -1, 1)
    boxes = np.tile(np.array([0.1, 0.1, 0.2, 0.3], np.float32), (1, scores.shape[1], 1))
    floats = floats_of(scores, scale, zero_point)
    output = StandardOutput(boxes_tensor="boxes", scores_tensor="scores", score_activation=activation)
    post = PostProcessor.for_detection(LABELS[:1], output, thresholds=0.5, nms_threshold=1)
    given = {"boxes": boxes, "scores": QuantizedTensor(scores, scale, zero_point)}
    found = reference.sigmoid(floats) if activation == "sigmoid" else floats
    within = np.unique(found[(found > 0) & (found < 1)])
    for limit in within[:: len(within) // 5]:
        for near in (np.nextafter(limit, np.float32(0)), limit, np.nextafter(limit, np.float32(1))):
            at_limit = post.replace(thresholds=float(near))
            expected = at_limit({"boxes": boxes, "scores": floats}, max_predictions=10**6)
            assert len(expected.outputs[0].labels) == (found > near).sum()
            assert_same(at_limit(given, max_predictions=10**6), expected)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16"])
@pytest.mark.parametrize("scale", [0.1, 1e-44, 3e38, 1.0])
def test_dequantised_is_the_formula_bit_for_bit(dtype: str, scale: float) -> None:
    integers = every_integer(dtype)
    bounds = np.iinfo(dtype)
    for zero_point in (bounds.min, 1, bounds.max):
        with np.errstate(over="ignore"):
            expected = (integers.astype(np.int32) - zero_point).astype(np.float32) * np.float32(scale)
        actual = QuantizedTensor(integers, scale, zero_point).dequantize()
        assert_array_equal(actual.view(np.uint32), expected.view(np.uint32), strict=True)


@pytest.mark.parametrize("form", [name for name in FORMS if name not in ("nested lists", "float64")])
def test_array_of_any_form_is_read(form: str) -> None:
    integers = np.random.default_rng(0).integers(0, 2**16, (3, 4, 5)).astype(np.uint16)
    tensor = QuantizedTensor(FORMS[form](integers.copy()), [0.1, 0.2, 0.3, 0.4], 3)
    floats = as_float32("t", tensor)
    assert floats.flags.c_contiguous
    steps = np.array([[0.1], [0.2], [0.3], [0.4]], np.float32)
    assert_array_equal(floats, (integers.astype(np.int32) - 3).astype(np.float32) * steps, strict=True)


QUANTIZED = {"scale": [0.01, 0.02, 0.03, 0.04, 0.005, 0.006, 0.007], "zero_point": [0, 1, 2, 3, 4, 5, 6]}


def table(seed: int = 0, boxes: int = 9) -> Array:
    return np.random.default_rng(seed).integers(0, 256, (2, 7, boxes)).astype(np.uint8)


def floats_by_channel(integers: Array) -> NDArray[np.float32]:
    zero_points = np.array(QUANTIZED["zero_point"]).reshape(1, 7, 1)
    scales = np.array(QUANTIZED["scale"], np.float32).reshape(1, 7, 1)
    return (integers.astype(np.int32) - zero_points).astype(np.float32) * scales


def yolov8(**fields: Any) -> PostProcessor:
    output = Yolov8Output(output_tensor="table", coordinates="normalized", **fields)
    return PostProcessor.for_detection(LABELS, output, thresholds=0.4)


@pytest.mark.parametrize("layout", ["auto", "channels_first", "channels_last"])
@pytest.mark.parametrize("boxes", [9, 7, 2], ids=["clear", "square", "as many as images"])
def test_lists_go_along_the_channels(layout: Any, boxes: int) -> None:
    integers = table(boxes=boxes)
    floats = floats_by_channel(integers)
    if layout == "channels_last":
        integers, floats = integers.transpose(0, 2, 1), floats.transpose(0, 2, 1)
    if layout == "auto" and boxes == 7:
        with pytest.raises(TensorError, match=r"^tensor 'table': .* as long as its axes 1 and 2; declare"):
            yolov8()({"table": QuantizedTensor(integers, **QUANTIZED)})
        return
    expected = yolov8(layout=layout)({"table": floats})
    assert len(expected.outputs[0].labels)
    by_document = yolov8(layout=layout, quantization={"table": QUANTIZED})
    assert_same(by_document({"table": integers}), expected)
    assert_same(yolov8(layout=layout)({"table": QuantizedTensor(integers, **QUANTIZED)}), expected)


def test_axis_that_is_given_is_taken_whatever_the_layout() -> None:
    integers = table(boxes=7)
    tensor = QuantizedTensor(integers, **QUANTIZED, axis=-1)
    floats = floats_by_channel(integers.transpose(0, 2, 1)).transpose(0, 2, 1)
    post = yolov8(layout="channels_first")
    assert_same(post({"table": tensor}), post({"table": floats}))


def test_batch_as_large_as_the_lists_leaves_one_axis() -> None:
    integers = np.concatenate([table(seed) for seed in range(4)])[:7]
    expected = yolov8()({"table": floats_by_channel(integers)})
    assert_same(yolov8()({"table": QuantizedTensor(integers, **QUANTIZED)}), expected)


def test_lists_of_other_tensors_go_along_their_last_axis() -> None:
    rng = np.random.default_rng(0)
    boxes, scores = rng.integers(0, 200, (1, 4, 4)).astype(np.uint8), rng.random((1, 3, 4), np.float32)
    scales = np.array([0.001, 0.002, 0.003, 0.004], np.float32)
    output = StandardOutput(
        boxes_tensor="boxes",
        scores_tensor="scores",
        layout="channels_first",
        quantization={"boxes": {"scale": scales.tolist()}},  # type: ignore[dict-item]
    )
    post = PostProcessor.for_detection(LABELS, output, thresholds=0.4)
    floats = boxes.astype(np.float32) * scales
    assert_same(post({"boxes": boxes, "scores": scores}), post({"boxes": floats, "scores": scores}))


def test_lists_of_prototypes_go_along_the_prototypes() -> None:
    tensors = tensors_of("yolov8_seg")
    integers = np.clip(tensors["prototypes"] * 30 + 100, 0, 255).astype(np.uint8)
    scales = np.array([0.1, 0.2, 0.3, 0.4], np.float32)
    floats = (integers.astype(np.int32) - 100).astype(np.float32) * scales[:, np.newaxis, np.newaxis]
    quantization = {"prototypes": {"scale": scales.tolist(), "zero_point": 100}}
    output = Yolov8SegOutput(
        output_tensor="table",
        prototypes_tensor="prototypes",
        quantization=quantization,  # type: ignore[arg-type]
    )
    post = PostProcessor.for_detection(LABELS, output, thresholds=0.4, input_size=(48, 40))
    expected = post({**tensors, "prototypes": floats})
    assert_same(post({**tensors, "prototypes": integers}), expected)


@pytest.mark.parametrize("shape", [(2, 4, 5, 16), (4, 5, 16), (2, 16, 4, 5), (16, 4, 5), (2, 4, 5, 2, 8)])
def test_lists_of_a_grid_go_along_its_channels(shape: tuple[int, ...]) -> None:
    integers = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    axis = next(axis for axis in reversed(range(len(shape))) if shape[axis] in (8, 16))
    scales = np.linspace(0.01, 0.02, shape[axis]).astype(np.float32)
    floats = integers * scales.reshape([-1 if one == axis else 1 for one in range(len(shape))])
    output = Yolov3Output(output_tensors=("grid",), anchors=(4.0, 8.0, 10.0, 6.0))
    described = output.model_copy(update={"quantization": None}).dump()
    described["quantization"] = {"grid": {"scale": scales.tolist()}}
    post, plain = (
        PostProcessor.for_detection(LABELS, one, thresholds=0.4, input_size=(16, 20))
        for one in (Yolov3Output.load(described), output)
    )
    expected = plain({"grid": floats.astype(np.float32)})
    assert len(expected.outputs[0].labels)
    assert_same(post({"grid": integers}), expected)
    assert_same(plain({"grid": QuantizedTensor(integers, scales)}), expected)


@pytest.mark.parametrize("shape", [(3, 2), (3, 2, 1, 1), (2,)])
def test_lists_of_a_classification_go_along_its_labels(shape: tuple[int, ...]) -> None:
    integers = np.arange(np.prod(shape)).reshape(shape).astype(np.int8)
    output = Classification(
        output_tensor="p",
        quantization={"p": {"scale": [0.1, 0.2]}},  # type: ignore[dict-item]
    )
    post = PostProcessor.for_classification(LABELS[:2], output, thresholds=0.15)
    scales = np.array([0.1, 0.2], np.float32)
    floats = integers.reshape(-1, 2).astype(np.float32) * scales
    assert_same(post({"p": integers}), post({"p": floats}))


def test_floats_are_read_as_they_are_beside_a_quantization() -> None:
    floats = floats_by_channel(table())
    assert_same(yolov8(quantization={"table": QUANTIZED})({"table": floats}), yolov8()({"table": floats}))


def test_own_values_take_the_place_of_the_documents() -> None:
    integers = table()
    post = yolov8(quantization={"table": {"scale": 0.5, "zero_point": 200}})
    expected = yolov8()({"table": floats_of(integers, 0.01, 3)})
    assert_same(post({"table": QuantizedTensor(integers, 0.01, 3)}), expected)


def test_replaced_pickled_and_threaded_post_processors_keep_the_quantization() -> None:
    integers = table(boxes=200)
    post = PostProcessor.for_detection(
        LABELS,
        Yolov8Output.load(
            {"output_tensor": "table", "coordinates": "normalized", "quantization": {"table": QUANTIZED}}
        ),
        thresholds=0.9,
        num_threads=2,
    )
    expected = yolov8()({"table": floats_by_channel(integers)})
    post = post.replace(thresholds=0.4)
    assert_same(post({"table": integers}), expected)
    assert_same(pickle.loads(pickle.dumps(post))({"table": integers}), expected)
    assert post.version.dump()["post_processings"][0]["detection"]["yolov8_output"]["quantization"] == {
        "table": QUANTIZED
    }
    tensor = pickle.loads(pickle.dumps(QuantizedTensor(integers, **QUANTIZED, axis=1)))
    assert_same(yolov8()({"table": tensor}), expected)


def test_mapping_that_reads_late_is_asked_for_what_is_needed() -> None:
    asked = []

    class Late(dict[str, Any]):
        def __getitem__(self, name: str) -> Any:
            asked.append(name)
            return super().__getitem__(name)

    yolov8(quantization={"table": QUANTIZED})(Late(table=table(), other=object()))
    assert asked == ["table"]


def test_classes_are_what_they_stand_for() -> None:
    tensors = tensors_of("direct")
    classes = np.arange(120).reshape(3, 40) % 3
    output = {"boxes_tensor": "boxes", "scores_tensor": "scores", "classes_tensor": "classes"}
    post = PostProcessor.for_detection(LABELS, EndToEndOutput.load(output), thresholds=0.4)
    expected = post({**tensors, "classes": classes})
    assert len(expected.outputs[0].labels)
    assert_same(post({**tensors, "classes": classes.astype(np.uint8)}), expected)
    halves = QuantizedTensor((2 * classes + 7).astype(np.uint8), 0.5, 7)
    assert_same(post({**tensors, "classes": halves}), expected)


def test_quantised_size_tensor_and_operations_take_what_the_integers_stand_for() -> None:
    tensors = tensors_of("direct")
    post = plain_post_processor("direct", normalize_wrt_tensor="im_info")
    expected = post({**tensors, "im_info": np.array([30.0, 40.0])})
    sizes = QuantizedTensor(np.array([60, 80], np.uint8), 0.5)
    assert_same(post({**tensors, "im_info": sizes}), expected)
    boxes = QuantizedTensor(np.array([[0, 0, 2, 4]], np.int8), [1, 2, 3, 4])
    assert ops.box_area(boxes).tolist() == [96.0]


def test_offsets_without_an_axis_of_images_are_read() -> None:
    tensors = {name: tensor[0] for name, tensor in tensors_of("ssd").items()}
    integers = np.round(tensors["offsets"] * 50).clip(-128, 127).astype(np.int8)[:, np.newaxis]
    scores = np.round(tensors["scores"] * 255).astype(np.uint8)
    output = SsdOutput(offsets_tensor="offsets", scores_tensor="scores", priors_tensor="priors")
    post = PostProcessor.for_detection(LABELS, output, thresholds=0.4)
    given = {
        "offsets": QuantizedTensor(integers, 0.02),
        "scores": QuantizedTensor(scores, 1 / 255),
        "priors": tensors["priors"],
    }
    floats = {name: as_float32(name, tensor) for name, tensor in given.items()}
    assert_same(post(given), post(floats))


BAD: dict[str, tuple[tuple[Any, ...], str]] = {
    "floats": (
        (np.zeros(3, np.float32), 1.0),
        "a quantised tensor's dtype must be int8, uint8, int16 or uint16; got float32; floats go without "
        "QuantizedTensor",
    ),
    "int32": (
        (np.zeros(3, np.int32), 1.0),
        "a quantised tensor's dtype must be int8, uint8, int16 or uint16; got int32",
    ),
    "scale_zero": (
        (np.zeros(3, np.int8), 0.0, 0),
        "a quantised tensor's scale must be finite float32 numbers above 0; got 0.0; TensorFlow Lite gives 0 "
        "with a tensor that is not quantised: pass its array alone",
    ),
    "scale_negative": (
        (np.zeros(3, np.int8), [1.0, -2.0, 3.0]),
        "a quantised tensor's scale must be finite float32 numbers above 0; got -2.0",
    ),
    "scale_infinite": (
        (np.zeros(3, np.int8), 1e39),
        "a quantised tensor's scale must be finite float32 numbers above 0; got 1e+39",
    ),
    "scale_nan": (
        (np.zeros(3, np.int8), np.nan),
        "a quantised tensor's scale must be finite float32 numbers above 0; got nan",
    ),
    "scale_text": (
        (np.zeros(3, np.int8), "1"),
        "a quantised tensor's scale must be a number, or a list of them; got 1",
    ),
    "scales_empty": (
        (np.zeros(3, np.int8), np.empty(0)),
        "a quantised tensor's scale must be a number, or a list of them; got []",
    ),
    "scales_of_two_axes": (
        (np.zeros(3, np.int8), [[1.0]]),
        "a quantised tensor's scale must be a number, or a list of them; got [[1.0]]",
    ),
    "zero_point_fraction": (
        (np.zeros(3, np.int8), 1.0, 0.5),
        "a quantised tensor's zero_point must be an integer, or a list of them; got 0.5",
    ),
    "zero_point_of_another_type": (
        (np.zeros(3, np.int8), 1.0, 128),
        "a quantised tensor's zero_point must be -128 to 127, the range of int8; got 128",
    ),
    "zero_point_huge": (
        (np.zeros(3, np.int8), 1.0, 2**63),
        f"a quantised tensor's zero_point must be -32768 to 65535; got {2**63}",
    ),
    "lists_of_two_lengths": (
        (np.zeros((2, 3), np.int8), [1.0, 2.0], [1, 2, 3]),
        "a quantised tensor's zero_point must be 2, as many as there are scales; got [1 2 3]",
    ),
    "axis_outside": (
        (np.zeros((2, 3), np.int8), [1.0, 2.0], 0, 2),
        "a quantised tensor's axis must be one of the 2 axes of shape (2, 3); got 2",
    ),
    "axis_no_integer": (
        (np.zeros((2, 3), np.int8), 1.0, 0, True),
        "a quantised tensor's axis must be an integer or None; got True",
    ),
    "lists_not_of_the_axis": (
        (np.zeros((2, 3), np.int8), [1.0, 2.0], 0, 1),
        "a quantised tensor's lists must be of 3, one for each channel along axis 1 of shape (2, 3); got 2",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_quantised_tensor_says_what_is_wrong(case: str) -> None:
    arguments, message = BAD[case]
    with pytest.raises(TensorError) as caught:
        QuantizedTensor(*arguments)
    assert str(caught.value) == message


def test_masked_array_is_an_error() -> None:
    with pytest.raises(TensorError, match="masked elements have no value"):
        QuantizedTensor(np.ma.masked_array(np.zeros(3, np.int8), [0, 1, 0]), 1.0)


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (
            QuantizedTensor(table(), [1.0] * 8),
            "tensor 'table': a quantised tensor of shape (2, 7, 9) has lists of 8; expected one for each "
            "channel, 7 along axis 1 or 9 along axis 2; else give QuantizedTensor(..., axis=...)",
        ),
        (
            table(),
            "tensor 'table' must be of float32, float16, bfloat16 or float64; found dtype uint8; quantised "
            "numbers q stand for (q - zero_point) * scale: give those in the output's quantization, or pass "
            "QuantizedTensor(array, scale, zero_point)",
        ),
        (
            QuantizedTensor(np.broadcast_to(np.int8(1), (1 << 10, 1 << 10, 1 << 10)), 0.5),
            "it repeats 1 bytes, and a copy would take 4294967296, of which 1073741824 are allowed",
        ),
    ],
    ids=["lists", "integers", "repeated"],
)
def test_call_names_the_tensor(tensor: Any, message: str) -> None:
    with pytest.raises(TensorError) as caught:
        yolov8()({"table": tensor})
    assert message in str(caught.value)
    assert str(caught.value).startswith("tensor 'table'")


@pytest.mark.parametrize(
    ("integers", "quantization", "message"),
    [
        (table().astype(np.int8), {"scale": 1, "zero_point": 200}, "must be -128 to 127, the range of int8"),
        (table().astype(np.int64), {"scale": 1}, "must be int8, uint8, int16 or uint16; got int64"),
        (table(), {"scale": [1] * 8}, "(2, 7, 9) has lists of 8; expected one for each channel, 7 along"),
    ],
    ids=["zero_point", "dtype", "lists"],
)
def test_call_that_does_not_fit_the_document_names_the_tensor(
    integers: Array, quantization: Any, message: str
) -> None:
    with pytest.raises(TensorError, match=r"^tensor .table.: a quantised tensor") as caught:
        yolov8(quantization={"table": quantization})({"table": integers})
    assert message in str(caught.value)


def test_missing_tensor_lists_those_that_are_given() -> None:
    with pytest.raises(TensorError, match="tensor 'table' is missing; the tensors given are 'other'"):
        yolov8(quantization={"table": QUANTIZED})({"other": table()})
