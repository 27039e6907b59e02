"""How OnnxRunner splits batches and joins recognitions, with a stand-in and with the real pipeline."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import helper

from postproc import Classification, DirectOutput, EndToEndOutput, PostProcessor
from postproc.errors import RunnerError, TensorError
from postproc.onnx_runner import OnnxRunner
from postproc.onnx_runner.session import CPU
from postproc.transforms import ImageTransform
from tests.models import Shape, answering, copying, network, numbered, passthrough, with_sizes
from tests.stand_ins import RecordingPost, marks, runner

# --- batches


def test_batch_on_a_dynamic_axis_runs_whole() -> None:
    post = RecordingPost("out")
    assert marks(runner(copying(), post)(numbered(5, 3, 2, 2))) == [1, 2, 3, 4, 5]
    assert len(post.tensors) == 1


@pytest.mark.parametrize("images", [1, 2, 3, 4, 6, 7])
@pytest.mark.parametrize("length", [1, 3])
def test_batch_on_a_fixed_axis_is_split_and_its_padding_dropped(images: int, length: int) -> None:
    post = RecordingPost("out")
    result = runner(copying((length, 3, 2, 2)), post)(numbered(images, 3, 2, 2))
    assert marks(result) == list(range(1, images + 1))
    fed = np.concatenate([tensors["out"][:, 0, 0, 0] for tensors in post.tensors])
    padding = -images % length
    assert fed.tolist() == [*range(1, images + 1), *[images] * padding]
    assert all(len(tensors["out"]) == length for tensors in post.tensors)


def test_batch_on_a_fixed_axis_splits_what_goes_along_and_shares_the_rest() -> None:
    model = passthrough(
        {"data": (2, 3, 2, 2), "im_info": (2, 3), "anchors": (5, 4), "factor": ()},
        {"out": "data", "anchors_out": "anchors", "factor_out": "factor"},
    )
    post = RecordingPost("out", "im_info", "anchors_out", "factor_out")
    sizes, anchors = numbered(5, 3), numbered(5, 4)  # as many anchors as images, by chance
    runner(model, post)(
        {"data": numbered(5, 3, 2, 2), "im_info": sizes, "anchors": anchors, "factor": np.float32(7)}
    )
    assert [tensors["im_info"][:, 0].tolist() for tensors in post.tensors] == [[1, 2], [3, 4], [5, 5]]
    for tensors in post.tensors:
        np.testing.assert_array_equal(tensors["anchors_out"], anchors)
        assert tensors["factor_out"] == 7


def test_batch_with_one_row_for_all_images_shares_it() -> None:
    post = RecordingPost("out", "im_info")
    made = runner(with_sizes((1, 3, 2, 2), (1, 3)), post)
    assert marks(made({"data": numbered(3, 3, 2, 2), "im_info": numbered(1, 3)})) == [1, 2, 3]
    assert [tensors["im_info"][:, 0].tolist() for tensors in post.tensors] == [[1]] * 3


@pytest.mark.parametrize(
    ("axis", "rows", "expected"),
    [
        pytest.param("N", 2, "so expected 3 rows", id="dynamic"),
        pytest.param(1, 2, "so expected 1 or 3 rows", id="fixed"),
    ],
)
def test_batch_with_inputs_of_different_lengths_raises_runner_error(
    axis: int | str, rows: int, expected: str
) -> None:
    made = runner(with_sizes((axis, 3, 2, 2), (axis, 3)), RecordingPost("out"))
    with pytest.raises(RunnerError, match=f"'im_info' has shape .2, 3.*'data' has 3 images; .*{expected}"):
        made({"data": numbered(3, 3, 2, 2), "im_info": numbered(rows, 3)})


@pytest.mark.parametrize("axis", ["N", 1, 4])
def test_batch_of_no_images_gives_no_recognitions(axis: int | str) -> None:
    made = runner(with_sizes((axis, 3, 2, 2), (axis, 3)), RecordingPost("out", "im_info"))
    result = made({"data": numbered(0, 3, 2, 2), "im_info": numbered(0, 3)}, transforms=[])
    assert len(result) == 0


def test_batched_false_runs_one_image_at_a_time() -> None:
    squeeze = helper.make_node("Squeeze", ["data", "axis"], ["out"])
    model = network(
        [squeeze],
        {"data": (np.float32, ["N", 1, None])},
        {"out": (np.float32, ["N", None])},
        {"axis": np.array([1], np.int64)},
    )
    post = RecordingPost("out")
    assert marks(runner(model, post, batched=False)(numbered(3, 1, 2))) == [1, 2, 3]
    assert [tensors["out"].shape for tensors in post.tensors] == [(1, 2)] * 3


@pytest.mark.parametrize("rows", [1, 3])
def test_batched_false_takes_a_row_an_image_or_one_for_all(rows: int) -> None:
    post = RecordingPost("out", "im_info")
    made = runner(with_sizes(("N", 3, 2, 2), ("N", 3)), post, batched=False)
    made({"data": numbered(3, 3, 2, 2), "im_info": numbered(rows, 3)})
    expected = [[1], [1], [1]] if rows == 1 else [[1], [2], [3]]
    assert [tensors["im_info"][:, 0].tolist() for tensors in post.tensors] == expected


def test_batched_false_with_a_longer_batch_axis_raises_runner_error() -> None:
    with pytest.raises(
        RunnerError, match=r"batched=False runs one image.*'data' float32 \[4, 3, 2, 2\], whose .* of one$"
    ):
        runner(copying((4, 3, 2, 2)), RecordingPost("out"), batched=False)


# --- with the real pipeline


LABELS = ["cat", "dog", "owl"]


def detector(**decision: Any) -> PostProcessor:
    """Make a post-processor of boxes, scores and classes."""
    output = DirectOutput(boxes_tensor="boxes", scores_tensor="scores", classes_tensor="classes")
    return PostProcessor.for_detection(LABELS, output, thresholds=0.3, **decision)


@pytest.mark.parametrize("transforms", [None, [ImageTransform.squash((2, 2), (2, 2))] * 3])
def test_outputs_of_another_number_of_images_raise_runner_error(transforms: Any) -> None:
    model = passthrough({"data": ("N", 3, 2, 2), "other": ("M", 3)}, {"out": "other"})
    made = OnnxRunner(model, PostProcessor.for_classification(LABELS, Classification(output_tensor="out")))
    inputs = {"data": numbered(3, 3, 2, 2), "other": numbered(1, 3)}
    with pytest.raises(RunnerError, match=r"ran on 3 images, but .*'out'.* hold 1 images; .*batched=False"):
        made(inputs, transforms=transforms)


def listing(length: int | str) -> bytes:
    """Build a network whose rows (M, 7) are of the first image of a run alone, and only if that is bright."""
    nodes = [
        helper.make_node("Slice", ["data", "zero", "one"], ["first"]),
        helper.make_node("ReduceMax", ["first"], ["brightest"], keepdims=0),
        helper.make_node("Greater", ["brightest", "limit"], ["is_bright"]),
        helper.make_node("Reshape", ["is_bright", "one"], ["kept"]),
        helper.make_node("Compress", ["row", "kept"], ["rows"], axis=0),
    ]
    constants = {
        "zero": np.zeros(1, np.int64),
        "one": np.ones(1, np.int64),
        "limit": np.float32(2),
        "row": np.array([[0, 1, 1, 2, 2, 1, 0.75]], np.float32),
    }
    return network(
        nodes, {"data": (np.float32, (length, 3, 4, 4))}, {"rows": (np.float32, ("M", 7))}, constants
    )


@pytest.mark.parametrize("with_transforms", [False, True])
@pytest.mark.parametrize(
    ("length", "batched", "images", "ends"),
    [
        pytest.param("N", True, [3, 3, 3], [1, 1, 1], id="free batch axis"),
        pytest.param("N", True, [1, 3, 3], [0, 0, 0], id="no rows at all"),
        pytest.param(2, True, [3, 3, 1], [1, 1, 1], id="batch axis of two"),
        pytest.param(1, True, [1, 3, 1], [0, 1, 1], id="batch axis of one"),
        pytest.param("N", False, [3, 1, 3], [1, 1, 2], id="no batch axis in the outputs"),
    ],
)
def test_last_images_without_rows_have_no_finds(
    length: int | str, batched: bool, images: list[int], ends: list[int], with_transforms: bool
) -> None:
    output = EndToEndOutput(output_tensor="rows", columns=["image", "box", "class", "score"])
    post = PostProcessor.for_detection(LABELS, output, thresholds=0.3, input_size=[4, 4])
    data = np.array(images, np.float32).reshape(-1, 1, 1, 1) * np.ones((1, 3, 4, 4), np.float32)
    transforms = [ImageTransform.squash((4, 4), (4, 4))] * 3 if with_transforms else None
    found = OnnxRunner(listing(length), post, batched=batched)(data, transforms=transforms)
    assert found.outputs[0].offsets.tolist() == [0, *ends]


def candidates(images: int, dtype: Any = np.float32) -> dict[str, NDArray[Any]]:
    """Make boxes, scores and classes of 20 candidates an image."""
    rng = np.random.default_rng(images)
    corners = rng.random((images, 20, 2, 2)).astype(dtype)
    boxes = np.concatenate([corners.min(axis=2), corners.max(axis=2)], axis=-1)
    classes = rng.integers(0, len(LABELS), (images, 20)).astype(dtype)
    return {"boxes": boxes, "scores": rng.random((images, 20)).astype(dtype), "classes": classes}


def candidate_network(batch: int | str, dtype: Any = np.float32) -> bytes:
    """Build a network that takes what it gives: boxes, scores and classes, and an image beside them."""
    shapes: dict[str, Shape] = {
        "image": (batch, 3, "H", "W"),
        "boxes_in": (batch, 20, 4),
        "scores_in": (batch, 20),
        "classes_in": (batch, 20),
    }
    return passthrough(shapes, {name: f"{name}_in" for name in ("boxes", "scores", "classes")}, dtype)


def fed(tensors: Mapping[str, NDArray[Any]], height: int = 4, width: int = 8) -> dict[str, NDArray[Any]]:
    """Give the inputs of a `candidate_network` that make it give `tensors`."""
    image = np.zeros((len(tensors["boxes"]), 3, height, width), tensors["boxes"].dtype)
    return {"image": image, **{f"{name}_in": tensor for name, tensor in tensors.items()}}


@pytest.mark.parametrize("dtype", [np.float32, np.float16], ids=["float32", "float16"])
@pytest.mark.parametrize(("batch", "images"), [("N", 5), (1, 3), (2, 5), (4, 3)])
def test_recognitions_do_not_depend_on_how_the_batch_is_split(
    batch: int | str, images: int, dtype: Any
) -> None:
    post, tensors = detector(), candidates(images, dtype)
    made = OnnxRunner(candidate_network(batch, dtype), post, [CPU])
    transforms = [ImageTransform.fill((4, 8), (image + 2, 5)) for image in range(images)]
    found = made(fed(tensors), show_discarded=True, max_predictions=6, transforms=transforms)
    expected = post(tensors, show_discarded=True, max_predictions=6, transforms=transforms)
    assert len(found) == images
    assert found.to_dicts() == expected.to_dicts()
    assert found.outputs[0].offsets.tolist() == expected.outputs[0].offsets.tolist()
    assert len(expected.outputs[0].labels) > images


@pytest.mark.parametrize("batch", ["N", 2])
def test_recognitions_of_no_images_have_the_outputs_of_others(batch: int | str) -> None:
    made = OnnxRunner(candidate_network(batch), detector(), [CPU])
    found = made(fed(candidates(0)))
    assert (len(found), len(found.outputs), found.to_dicts()) == (0, 1, [])
    assert found.outputs[0][:0].label_names == []


def test_recognitions_of_boxes_in_pixels_follow_the_size_fed() -> None:
    made = OnnxRunner(candidate_network("N"), detector(input_size=[100, 100]), [CPU])
    tensors = candidates(1)
    whole = made(fed({**tensors, "boxes": tensors["boxes"] * np.array([8, 4, 8, 4], np.float32)}, 4, 8))
    assert whole.to_dicts() == detector()(tensors).to_dicts()


def test_recognitions_of_boxes_wrt_a_tensor_follow_the_callers_input() -> None:
    shapes: dict[str, Shape] = {"data": (1, 3, 2, 2), "im_info": (1, 3), "boxes_in": (1, 1, 4), "one": (1, 1)}
    model = passthrough(shapes, {"boxes": "boxes_in", "scores": "one", "classes": "one"})
    made = OnnxRunner(model, detector(normalize_wrt_tensor="im_info"), [CPU])
    found = made(
        {
            "data": np.zeros((2, 3, 2, 2), np.float32),
            "im_info": np.array([[100, 200, 1], [10, 20, 1]], np.float32),
            "boxes_in": np.array([[[20, 10, 40, 20]], [[2, 1, 4, 2]]], np.float32),
            "one": np.ones((2, 1), np.float32),
        }
    )
    boxes = [row["outputs"][0]["labels"]["predicted"][0]["roi"]["bbox"] for row in found.to_dicts()]
    corners = {"xmin": 0.1, "ymin": 0.1, "xmax": 0.2, "ymax": 0.2}
    assert boxes == [pytest.approx(corners), pytest.approx(corners)]


def test_tensor_that_does_not_fit_the_pipeline_raises_tensor_error() -> None:
    model = passthrough({"data": ("N", 3, 2, 2)}, {"boxes": "data", "scores": "data", "classes": "data"})
    with pytest.raises(TensorError, match="tensor 'boxes' has shape"):
        OnnxRunner(model, detector(), [CPU])(numbered(1, 3, 2, 2))


def test_answering_network_repeats_its_answer_for_each_image() -> None:
    post = RecordingPost("scores", "boxes")
    boxes = np.arange(8, dtype=np.float32).reshape(2, 4)
    made = runner(answering({"scores": np.array([5, 6], np.float32), "boxes": boxes}), post)
    assert marks(made(numbered(3, 3, 4, 4))) == [5, 5, 5]
    np.testing.assert_array_equal(post.tensors[0]["boxes"], [boxes] * 3)


def test_import_of_postproc_leaves_onnxruntime_alone() -> None:
    code = "import sys, postproc, postproc.onnx_runner; sys.exit('onnxruntime' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
