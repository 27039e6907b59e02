"""Bad input to a call: a `TensorError` that names the tensor, what was found and what was expected."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from postproc import (
    AnchoredOutput,
    Classification,
    EndToEndOutput,
    ImageTransform,
    PostprocError,
    PostProcessor,
    RecognitionSpec,
    RecognitionVersion,
    StandardOutput,
    TensorError,
)
from tests.pipelines import KINDS, OUTPUTS, post_processor, tensors_of


def zeros(*shape: int, dtype: Any = np.float32) -> Any:
    return np.zeros(shape, dtype)


def fails(post: PostProcessor, tensors: Any, *texts: str, **options: Any) -> None:
    with pytest.raises(TensorError) as caught:
        post(tensors, **options)
    assert isinstance(caught.value, (PostprocError, ValueError))
    for text in texts:
        assert text in str(caught.value)


@pytest.mark.parametrize("kind", KINDS)
def test_call_missing_tensor_lists_the_names_that_exist(kind: str) -> None:
    post, tensors = post_processor(kind), tensors_of(kind)
    for name in post.tensor_names:
        others = {"other:0": zeros(1), **{key: tensor for key, tensor in tensors.items() if key != name}}
        listed = ", ".join(map(repr, others))
        fails(post, others, f"tensor '{name}' is missing; the tensors given are {listed}")
        fails(post, {}, "is missing; the tensors given are none")


@pytest.mark.parametrize(
    "tensors", [None, [zeros(2, 3)], zeros(2, 3), {"scores"}], ids=lambda value: type(value).__name__
)
def test_call_without_a_mapping_says_so(tensors: Any) -> None:
    fails(
        post_processor("classification"),
        tensors,
        "tensors must be a mapping of names to arrays; got",
        type(tensors).__name__,
    )


BAD_DTYPES = {
    "bool": zeros(3, 3, dtype=bool),
    "complex128": zeros(3, 3, dtype=complex),
    "<U1": np.full((3, 3), "a"),
    "|S1": np.full((3, 3), b"a"),
    "object": np.full((3, 3), 0.5, object),
    "datetime64[D]": np.full((3, 3), "2020-01-01", "datetime64[D]"),
}


@pytest.mark.parametrize("dtype", BAD_DTYPES)
def test_call_scores_of_another_dtype_name_it(dtype: str) -> None:
    post = post_processor("classification")
    fails(
        post,
        {"scores": BAD_DTYPES[dtype]},
        "tensor 'scores' must be of float32, float16, bfloat16 or float64",
        f"found dtype {dtype}; convert it with .astype(np.float32)",
    )


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int64])
def test_call_integer_scores_are_advised_what_they_stand_for_and_no_cast(dtype: Any) -> None:
    with pytest.raises(TensorError) as caught:
        post_processor("classification")({"scores": zeros(3, 3, dtype=dtype)})
    advice = "pass that as float32, which a mere cast is not"
    if np.dtype(dtype).itemsize < 4:
        advice = "give those in the output's quantization, or pass QuantizedTensor(array, scale, zero_point)"
    assert str(caught.value) == (
        "tensor 'scores' must be of float32, float16, bfloat16 or float64; found dtype "
        f"{np.dtype(dtype)}; quantised numbers q stand for (q - zero_point) * scale: {advice}"
    )


@pytest.mark.parametrize("name", ["boxes", "scores"])
def test_call_integers_for_floats_name_the_tensor(name: str) -> None:
    tensors = tensors_of("direct")
    fails(
        post_processor("direct"),
        {**tensors, name: tensors[name].astype(np.int32)},
        f"tensor '{name}'",
        "int32",
    )


@pytest.mark.parametrize("dtype", ["bool", "<U1", "object", "complex128", "datetime64[D]"])
def test_call_classes_of_another_dtype_name_it(dtype: str) -> None:
    tensors = tensors_of("direct")
    classes = np.resize(BAD_DTYPES[dtype], (3, 40))
    text = f"tensor 'classes' must hold class ids as integers or whole floats; found dtype {dtype}"
    fails(post_processor("direct"), {**tensors, "classes": classes}, text)


class OnTheGpu:
    """Like a tensor of a framework that refuses to leave its device."""

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        raise RuntimeError("can't convert cuda:0 device type tensor to numpy")


@pytest.mark.parametrize(
    ("value", "texts"),
    [
        (OnTheGpu(), ["OnTheGpu) cannot be read as an array", "cuda:0", ".detach().cpu()", ".float()"]),
        ([[0.5, 0.5, 0.5], [0.5]], ["(builtins.list) cannot be read as an array"]),
        (None, ["found dtype object"]),
        ({}, ["found dtype object"]),
        ("scores.npy", ["found dtype <U10"]),
    ],
    ids=["gpu", "ragged", "none", "dict", "text"],
)
def test_call_what_is_no_array_is_a_tensor_error(value: Any, texts: list[str]) -> None:
    fails(post_processor("classification"), {"scores": value}, "tensor 'scores'", *texts)


# Kind of output, tensor, its shape, and what a message says was expected.
BAD_SHAPES = [
    ("classification", "scores", (3, 4), "(B, 3), one score per label; further axes must be 1"),
    ("classification", "scores", (2,), "(B, 3)"),
    ("classification", "scores", (), "(B, 3)"),
    ("classification", "scores", (2, 3, 1, 2), "(B, 3)"),
    ("anchored", "anchors", (3, 40, 6), "(B, N, 4) or (B, N, 5)"),
    ("anchored", "anchors", (4,), "(B, N, 4) or (B, N, 5)"),
    ("anchored", "anchors", (2, 40, 4), "(3, N, 4) or anchors of a batch of one"),
    ("anchored", "scores", (4,), "(B, 40, 4)"),
    ("anchored", "offsets", (3, 40, 8), "(3, 40, 4) or (3, 40, 12) or (3, 40, 16)"),
    ("anchored", "offsets", (2, 40, 4), "(3, 40, 4)"),
    ("anchored", "offsets", (3, 40, 4, 4), "(3, 40, 4)"),
    ("direct", "boxes", (3, 40, 5), "boxes (B, N, 4) with scores (B, N) or (B, N, L)"),
    ("direct", "boxes", (4,), "boxes (B, N, 4)"),
    ("direct", "classes", (3, 41), "(3, 40), as of the scores 'scores'"),
    ("yolo", "grid", (3, 4, 5, 17), "(B, H, W, 16) or (B, H, W, 2, 8) or (B, 16, H, W), from 2 anchors"),
    ("yolo", "grid", (3, 4, 5, 8, 2), "(B, H, W, 16)"),
    ("yolo", "grid", (16,), "(B, H, W, 16)"),
    ("yolov8", "table", (3, 8, 40), "(B, 7, N) or (B, N, 7), from 4 + labels"),
    ("yolov8", "table", (7,), "(B, 7, N)"),
    ("yolov5", "table", (3, 9, 40), "(B, 8, N) or (B, N, 8), from 5 + labels"),
    ("yolov8_seg", "table", (3, 7, 40), "(B, 11, N) or (B, N, 11), from 4 + labels + prototypes"),
    ("yolov8_seg", "prototypes", (2, 4, 5, 6), "(3, M, h, w), as many images as 'table' has"),
    ("yolov8_seg", "prototypes", (3, 4, 0, 6), "(B, M, h, w)"),
    ("yolov8_seg", "prototypes", (4, 6), "(B, M, h, w)"),
    ("yolov8_obb", "table", (3, 7, 40), "(B, 8, N) or (B, N, 8), from 4 + labels + angle"),
    (
        "yolov8_pose",
        "table",
        (3, 7, 40),
        "(B, 13, N) or (B, N, 13), from 4 + labels + keypoints",
    ),
]


@pytest.mark.parametrize(("kind", "name", "shape", "expected"), BAD_SHAPES)
def test_call_wrong_shape_names_tensor_found_and_expected(
    kind: str, name: str, shape: tuple[int, ...], expected: str
) -> None:
    tensor = zeros(*shape, dtype=np.int64 if name == "classes" else np.float32)
    text = f"tensor '{name}' has shape {shape}; expected {expected}"
    fails(post_processor(kind), {**tensors_of(kind), name: tensor}, text)


@pytest.mark.parametrize("rows", [5, 41])
def test_call_scores_that_fit_neither_layout_name_both(rows: int) -> None:
    tensors = {**tensors_of("anchored"), "scores": zeros(3, rows, rows)}
    text = f"tensor 'scores' has shape (B, {rows}, {rows}); expected (B, 40, 4) or (B, 4, 40)"
    fails(post_processor("anchored"), tensors, text)


@pytest.mark.parametrize("planar", [False, True])
@pytest.mark.parametrize(
    ("background", "scores", "text"),
    [
        ("none", 3, 'is usually a background\'s: declare background, "last" or "first"'),
        ("last", 2, 'background is "last", and there are only as many scores as labels: declare "none"'),
    ],
)
def test_call_scores_that_differ_by_a_background_say_so(
    background: Any, scores: int, text: str, planar: bool
) -> None:
    output = StandardOutput(boxes_tensor="boxes", scores_tensor="scores", background=background)
    post = PostProcessor.for_detection(["cat", "dog"], output)
    shape = (1, scores, 40) if planar else (1, 40, scores)
    fails(post, {"boxes": zeros(1, 40, 4), "scores": zeros(*shape)}, f"has shape (B, {shape[1]}, ", text)
    other = zeros(1, 40, 7)
    with pytest.raises(TensorError) as caught:
        post({"boxes": zeros(1, 40, 4), "scores": other})
    assert "background" not in str(caught.value)


@pytest.mark.parametrize("boxes", [(3, 39, 4), (2, 40, 4), (3, 40, 3, 4)], ids=str)
def test_call_scores_that_do_not_fit_the_boxes_name_both(boxes: tuple[int, ...]) -> None:
    tensors = {**tensors_of("direct"), "boxes": zeros(*boxes)}
    texts = "tensor 'scores' has shape (3, 40); expected boxes (B, N, 4)", f"the boxes are {boxes}"
    fails(post_processor("direct"), tensors, *texts)


def test_call_boxes_per_column_ask_for_as_many_scores() -> None:
    tensors = {"boxes": zeros(3, 40, 2, 4), "scores": zeros(3, 40, 3), "classes": zeros(3, 40, 3)}
    text = "tensor 'scores' has shape (B, 40, 3); expected (B, 40, 2) or (B, 2, 40)"
    fails(post_processor("direct"), tensors, text)


@pytest.mark.parametrize(
    ("kind", "name", "shape"), [("yolo", "grid", (3, 16, 5, 16)), ("yolov8", "table", (3, 7, 7))]
)
def test_call_shape_that_fits_both_layouts_asks_for_the_layout(
    kind: str, name: str, shape: tuple[int, ...]
) -> None:
    fails(post_processor(kind), {name: zeros(*shape)}, f"tensor '{name}' has shape", "declare layout")


def test_call_square_scores_ask_for_the_layout() -> None:
    tensors = {"anchors": zeros(4, 4), "offsets": zeros(1, 4, 4), "scores": zeros(1, 4, 4)}
    fails(
        post_processor("anchored"),
        tensors,
        "tensor 'scores' has shape (B, 4, 4), which fits scores by box and by label",
        '"channels_last"',
        '"channels_first"',
    )
    for layout in ("channels_last", "channels_first"):
        output = AnchoredOutput(**{**OUTPUTS["anchored"].dump(), "layout": layout})
        assert len(PostProcessor.for_detection(["a", "b", "c"], output)(tensors)) == 1


def test_call_softmax_of_one_score_a_box_is_a_tensor_error() -> None:
    output = type(OUTPUTS["direct"])(**{**OUTPUTS["direct"].dump(), "score_activation": "softmax"})
    post = PostProcessor.for_detection(["a"], output)
    fails(
        post,
        tensors_of("direct"),
        "tensor 'scores' has shape (3, 40); expected (B, N, L), along whose last axis a softmax goes",
    )


def test_call_outputs_that_disagree_on_images_name_both() -> None:
    labels = {"labels": [{"id": 1, "name": "a"}], "exclusive": True}
    spec = {"outputs": [{"labels": {**labels, "roi": "NONE"}}, {"labels": {**labels, "roi": "NONE"}}]}
    version = {"post_processings": [{"classification": {"output_tensor": name}} for name in ("one", "two")]}
    post = PostProcessor(RecognitionSpec.load(spec), RecognitionVersion.load(version))
    fails(
        post,
        {"one": zeros(2, 1), "two": zeros(3, 1)},
        "disagree on the number of images: ('one',) have 2, ('two',) 3",
    )


@pytest.mark.parametrize("value", [-1, 1.0, "5", None, True, math.inf], ids=repr)
def test_call_max_predictions_out_of_range_is_a_tensor_error(value: Any) -> None:
    text = f"max_predictions must be an integer of 0 or more; got {value!r}"
    fails(post_processor("direct"), tensors_of("direct"), text, max_predictions=value)


@pytest.mark.parametrize(
    "size",
    [5, [5], [5, 5, 5], "ab", ["5", "5"], [[1, 2]], object(), {}],
    ids=lambda value: type(value).__name__,
)
def test_call_input_size_of_another_form_is_a_tensor_error(size: Any) -> None:
    text = "input_size must be [height, width]; got"
    fails(post_processor("direct"), tensors_of("direct"), text, input_size=size)


@pytest.mark.parametrize("size", [[0, 5], [5, -1], [math.nan, 5], [5, math.inf], [None, 5]], ids=repr)
def test_call_input_size_not_finite_and_positive_is_a_tensor_error(size: Any) -> None:
    text = "input_size must hold finite, positive heights and widths; found"
    fails(post_processor("direct"), tensors_of("direct"), text, input_size=size)


SIZES = "tensor 'im_info'"


@pytest.mark.parametrize(
    ("sizes", "text"),
    [
        (zeros(3, 3), "must hold finite, positive heights and widths; found"),
        (np.array([[5.0, 5], [5, math.nan], [5, 5]]), "must hold finite, positive heights and widths; found"),
        (
            np.ones((2, 2)),
            "has shape (2, 2); expected (3, 2 or more) or (2 or more,), holding [height, width, ...]",
        ),
        (np.ones(1), "has shape (1,); expected (3, 2 or more)"),
        (np.ones((3, 2, 1)), "has shape (3, 2, 1); expected (3, 2 or more)"),
        (np.float32(5), "has shape (); expected (3, 2 or more)"),
        (np.full((3, 2), "a"), "must hold [height, width, ...] as numbers; found dtype <U1"),
        (np.full((3, 2), True), "must hold [height, width, ...] as numbers; found dtype bool"),
    ],
    ids=["zero", "nan", "two images", "one number", "3 axes", "scalar", "text", "bool"],
)
def test_call_size_tensor_of_another_form_is_a_tensor_error(sizes: Any, text: str) -> None:
    post = post_processor("direct", normalize_wrt_tensor="im_info")
    fails(post, {**tensors_of("direct"), "im_info": sizes}, f"{SIZES} {text}")


@pytest.mark.parametrize(
    ("sizes", "dtype"),
    [([4, 8], np.int64), ([4, 8, 1], np.float32), ([[4, 8]], np.uint8), ([[4, 8, 1]] * 3, np.float16)],
    ids=["once", "once and more", "batch of one", "per image"],
)
def test_call_size_tensor_of_every_form_divides_the_boxes(sizes: Any, dtype: Any) -> None:
    tensors = tensors_of("direct")
    plain = post_processor("direct")(tensors).outputs[0].boxes  # type: ignore[union-attr]
    tensors["boxes"] = tensors["boxes"] * np.array([8, 4, 8, 4], np.float32)
    post = post_processor("direct", normalize_wrt_tensor="im_info")
    found = post({**tensors, "im_info": np.array(sizes, dtype)}).outputs[0]
    np.testing.assert_array_equal(found.boxes, plain)  # type: ignore[union-attr]


TRANSFORM = ImageTransform.squash((4, 4), (8, 8))


@pytest.mark.parametrize(
    ("transforms", "text"),
    [
        ([TRANSFORM] * 2, "hold 3 images; expected one transform for each, got 2"),
        ([], "hold 3 images; expected one transform for each, got 0"),
        ([TRANSFORM, TRANSFORM, None], "transforms must be ImageTransform objects; got NoneType"),
        ([(1.0, 1.0)] * 3, "transforms must be ImageTransform objects; got tuple"),
        (TRANSFORM, "transforms must be a sequence of ImageTransform, one per image; got ImageTransform"),
        (5, "transforms must be a sequence of ImageTransform, one per image; got int"),
    ],
    ids=["two", "none", "with None", "tuples", "single", "number"],
)
def test_call_transforms_of_another_form_are_a_tensor_error(transforms: Any, text: str) -> None:
    fails(post_processor("direct"), tensors_of("direct"), text, transforms=transforms)


def test_call_more_boxes_than_can_be_numbered_is_a_tensor_error() -> None:
    labels = [str(row) for row in range(3000)]
    post = PostProcessor.for_classification(labels, Classification(output_tensor="scores"))
    assert len(post({"scores": zeros(1, 3000)})) == 1
    output = OUTPUTS["direct"]
    many = np.broadcast_to(np.float32(0), (1, 1_500_000))
    tensors = {
        "boxes": np.broadcast_to(np.float32(0), (1, 1_500_000, 4)),
        "scores": many,
        "classes": np.broadcast_to(np.int64(0), many.shape),
    }
    fails(PostProcessor.for_detection(labels, output), tensors, "1500000 boxes of 3000 labels are more than")


@pytest.mark.parametrize("images", [0, 1, 4])
@pytest.mark.parametrize("kind", ["yolov3", "yolox", "yolov8", "distance"])
def test_call_transforms_of_another_count_for_boxes_in_pixels_are_a_tensor_error(
    kind: str, images: int
) -> None:
    """Their input sizes are needed to decode, before anything else asks how many there are."""
    transforms = [ImageTransform.squash((20, 32), (8, 8))] * images
    text = f"hold 3 images; expected one transform for each, got {images}"
    fails(post_processor(kind, input_size=(20, 32)), tensors_of(kind), text, transforms=transforms)


def test_call_input_size_beyond_every_float_is_a_tensor_error() -> None:
    fails(
        post_processor("direct"),
        tensors_of("direct"),
        "input_size must be [height, width]",
        input_size=[10**400, 5],
    )


@pytest.mark.parametrize("count", [(), (1, 1, 1), (2, 2)], ids=str)
def test_call_count_of_another_shape_is_a_tensor_error(count: tuple[int, ...]) -> None:
    """A single number is no count of each image: it must not be taken for a list of one image."""
    post = PostProcessor.for_detection(["a"], EndToEndOutput(output_tensor="rows", count_tensor="count"))
    tensors = {"rows": zeros(4, 6), "count": zeros(*count, dtype=np.int64)}
    fails(post, tensors, f"tensor 'count' has shape {count}; expected (B,) or (B, 1)")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"batch_size": 1}, "0 to 0 by batch_size"),
        ({"batch_size": 0}, "none, since batch_size is 0"),
        (
            {"transforms": [ImageTransform.squash((20, 32), (8, 8))]},
            "0 to 0 by the number of transforms",
        ),
    ],
    ids=["batch size", "no images", "transforms"],
)
def test_call_rows_of_an_image_beyond_those_there_are_say_what_counts_them(
    options: dict[str, Any], said: str
) -> None:
    columns = ["image", "box", "class", "score"]
    output = EndToEndOutput(output_tensor="rows", columns=columns)
    rows = np.array([[1, 0, 0, 1, 1, 0, 0.9]], np.float32)
    text = f"row 0: its image is 1.0; expected a whole number, {said}"
    fails(PostProcessor.for_detection(["a"], output), {"rows": rows}, text, **options)
