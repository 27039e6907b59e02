"""Networks whose input has no batch axis, as torchvision's detectors: one row of each input a run."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import helper

from postproc import Classification, DirectOutput, PostProcessor
from postproc.errors import RunnerError
from postproc.images import Preprocessor
from postproc.onnx_runner import OnnxRunner
from postproc.onnx_runner.network import OnnxNetwork
from postproc.onnx_runner.session import CPU, CUDA
from postproc.transforms import ImageTransform
from tests.models import Shape, copying, network, numbered, torchvision_detector

BOXES = np.array([[0, 0, 4, 2], [4, 2, 8, 4], [2, 0, 6, 4]], np.float32)
LABELS = np.array([1, 2, 1], np.int64)
SCORES = np.array([0.9, 0.8, 0.6], np.float32)
COUNTS = [2, 0, 3, 1]


def detector() -> PostProcessor:
    """Make what post-processes torchvision's outputs: pixels of the input, ids from 1, no NMS."""
    output = DirectOutput(boxes_tensor="boxes", scores_tensor="scores", classes_tensor="labels")
    return PostProcessor.for_detection(
        ["cat", "dog"], output, label_ids=[1, 2], thresholds=0.5, nms_threshold=1.0, input_size=(4, 8)
    )


def opened(image_shape: Shape = (3, 4, 8), session: Any = None) -> OnnxRunner:
    model = torchvision_detector(BOXES, LABELS, SCORES, image_shape) if session is None else session
    return OnnxRunner(model, detector(), None if session else [CPU], batched_input=False)


def images(counts: list[int] = COUNTS) -> NDArray[np.float32]:
    """Give images in each of which a number of boxes is found."""
    return np.stack([np.full((3, 4, 8), count, np.float32) for count in counts])


def check_found(found: Any, counts: list[int] = COUNTS) -> None:
    (output,) = found.outputs
    assert np.diff(output.offsets).tolist() == counts
    for row, count in enumerate(counts):
        np.testing.assert_array_equal(output[row].boxes, BOXES[:count] / np.float32([8, 4, 8, 4]))
        np.testing.assert_array_equal(output[row].label_ids, LABELS[:count])
        np.testing.assert_array_equal(output[row].scores, SCORES[:count])


@pytest.mark.parametrize("shape", [(3, 4, 8), (3, "height", "width"), ("c", "h", "w")], ids=str)
def test_images_without_a_batch_axis_run_one_by_one_and_are_joined(shape: Shape) -> None:
    check_found(opened(shape)(images()))


@pytest.mark.parametrize("counts", [[], [0], [1], [0, 0]], ids=str)
def test_images_without_a_batch_axis_may_be_none_or_show_nothing(counts: list[int]) -> None:
    check_found(opened()(images(counts) if counts else images()[:0]), counts)


def test_images_without_a_batch_axis_lead_back_by_their_transforms() -> None:
    transforms = [ImageTransform.squash((4, 8), (40, 80)), ImageTransform.fill((4, 8), (4, 4), "center")]
    (output,) = opened()(images([1, 3]), transforms=transforms).outputs
    np.testing.assert_array_equal(output[0].boxes, [[0, 0, 0.5, 0.5]])
    np.testing.assert_array_equal(output[1].boxes, [[0, 0, 0.5, 0.5], [0.5, 0.5, 1, 1], [0, 0, 1, 1]])


def test_images_without_a_batch_axis_run_through_io_binding(monkeypatch: pytest.MonkeyPatch) -> None:
    model = torchvision_detector(BOXES, LABELS, SCORES, (3, 4, 8))
    session = onnxruntime.InferenceSession(model, providers=[CPU])
    monkeypatch.setattr(session, "get_providers", lambda: [CUDA, CPU])
    runner = opened(session=session)
    assert runner.network.uses_io_binding
    check_found(runner(images()))


def test_other_inputs_without_a_batch_axis_have_a_row_an_image_too() -> None:
    # The boxes are divided by the sizes that the network is given, and its factor, one number, scales them.
    nodes = [
        helper.make_node("ReduceMax", ["image"], ["brightest"], keepdims=0),
        helper.make_node("Mul", ["brightest", "factor"], ["score"]),
        helper.make_node("Reshape", ["score", "one"], ["scores"]),
        helper.make_node("Concat", ["zeros", "size"], ["box"], axis=0),
        helper.make_node("Unsqueeze", ["box", "zero"], ["boxes"]),
        helper.make_node("Identity", ["class"], ["labels"]),
    ]
    model = network(
        nodes,
        {"size": (np.float32, (2,)), "image": (np.float32, (3, 4, 8)), "factor": (np.float32, ())},
        {
            "boxes": (np.float32, (1, 4)),
            "scores": (np.float32, (1,)),
            "labels": (np.int64, (1,)),
        },
        {
            "zeros": np.zeros(2, np.float32),
            "zero": np.zeros(1, np.int64),
            "one": np.ones(1, np.int64),
            "class": np.array([2]),
        },
    )
    runner = OnnxRunner(model, detector(), [CPU], batched_input=False)
    preprocessor = Preprocessor(
        {
            "inputs": [
                {"tensor_name": "image", "image": {"target_size": "8x4", "pixel_scaling": 1}},
                {"tensor_name": "size", "constant": {"shape": [2], "data": ["image.2", "image.1"]}},
                {"tensor_name": "factor", "constant": {"shape": [], "data": [0.75]}},
            ],
            "batched_input": False,
        }
    )
    batches = list(preprocessor.batches([np.full((4, 8, 3), 255, np.uint8)] * 2, 8))
    assert [len(batch) for batch in batches] == [1, 1]
    stacked = {
        name: np.concatenate([batch.tensors[name] for batch in batches]) for name in batches[0].tensors
    }
    (output,) = runner(stacked).outputs
    assert output.scores.tolist() == [0.75, 0.75]
    np.testing.assert_array_equal(output.boxes, [[0, 0, 1, 1]] * 2)
    with pytest.raises(
        RunnerError, match=r"'size' has shape \(3, 2\), and 'image' has 2 images; .*expected 2"
    ):
        runner({**stacked, "size": np.ones((3, 2), np.float32)})
    with pytest.raises(RunnerError, match=r"'size' has 1 axes, shape \(2,\).*; batched_input is false: exp"):
        runner({**stacked, "size": np.ones(2, np.float32)})
    with pytest.raises(RunnerError, match=r"'factor' has shape \(\), and 'image' has 2 images"):
        runner({**stacked, "factor": np.float32(1)})


def test_network_without_a_batch_axis_gives_the_tensors_of_one_image() -> None:
    runner = opened()
    tensors = runner.network(images([2]))
    assert {name: array.shape for name, array in tensors.items()} == {
        "boxes": (2, 4),
        "labels": (2,),
        "scores": (2,),
    }
    assert not any(map(runner.network.is_per_image, tensors))
    with pytest.raises(RunnerError, match=r"no batch axis to join those of 4 images on"):
        runner.network(images())


def test_network_without_a_batch_axis_may_have_one_in_its_outputs() -> None:
    nodes = [
        helper.make_node("ReduceMax", ["image"], ["score"], axes=[0, 1, 2], keepdims=1),
        helper.make_node("Reshape", ["score", "shape"], ["scores"]),
    ]
    model = network(
        nodes,
        {"image": (np.float32, (3, 2, 2))},
        {"scores": (np.float32, (1, 1))},
        {"shape": np.ones(2, np.int64)},
    )
    post = PostProcessor.for_classification(["lit"], Classification(output_tensor="scores"), thresholds=0.1)
    found = OnnxRunner(model, post, [CPU], batched_input=False)(numbered(3, 3, 2, 2) / np.float32(4))
    assert found.outputs[0].scores.tolist() == [0.25, 0.5, 0.75]


def test_warmup_of_a_network_without_a_batch_axis_runs_one_image() -> None:
    opened().warmup()
    free = opened((3, "height", "width"))
    with pytest.raises(RunnerError, match=r"'image' float32 \[3, height, width\]: give its shape"):
        free.warmup()
    free.warmup({"image": (1, 3, 6, 5)})


# --- errors


def test_image_without_a_batch_axis_names_the_field_where_it_is_left_out() -> None:
    made = OnnxRunner(torchvision_detector(BOXES, LABELS, SCORES, (3, 4, 8)), detector(), [CPU])
    with pytest.raises(
        RunnerError,
        match=r"'image' has 4 axes, shape \(4, 3, 4, 8\); the model takes 'image' float32 \[3, 4, 8\]; if "
        r'its images have no batch axis, .*"batched_input": false .*or batched_input=False for OnnxRunner',
    ):
        made(images())


def test_image_without_a_batch_axis_names_the_field_where_only_outputs_are_said_to_have_none() -> None:
    with pytest.raises(RunnerError, match=r'no batch axis of one; if its images.*"batched_input": false'):
        OnnxNetwork(torchvision_detector(BOXES, LABELS, SCORES, (3, 4, 8)), [CPU], batched=False)


def test_rank_errors_of_batches_do_not_speak_of_networks_without_a_batch_axis() -> None:
    with pytest.raises(RunnerError, match=r"'data' has 5 axes.* \[N, 3, 2, 2\]$"):
        OnnxNetwork(copying(), [CPU])(np.zeros((1, 1, 3, 2, 2), np.float32))
    with pytest.raises(RunnerError, match=r"'data' has 3 axes.* \[N, 3, 2, 2\]$"):
        OnnxNetwork(copying(), [CPU])(np.zeros((3, 2, 2), np.float32))


def test_batched_input_false_of_a_network_with_a_batch_axis_says_to_leave_it_out() -> None:
    made = OnnxNetwork(copying((1, 3, 2, 2)), [CPU], batched_input=False)
    with pytest.raises(
        RunnerError, match=r"'data' has 4 axes, .* the first of them the batch: leave batched_input out"
    ):
        made(np.zeros((1, 3, 2, 2), np.float32))


def test_one_image_without_its_row_says_what_is_expected() -> None:
    with pytest.raises(RunnerError, match=r"'image' has 3 axes.*expected one axis more, the first, a row an"):
        opened()(images()[0])


def test_image_of_another_size_names_the_axis() -> None:
    with pytest.raises(RunnerError, match=r"'image' has shape \(1, 3, 4, 9\), wrong on axis 3"):
        opened()(np.zeros((1, 3, 4, 9), np.float32))


def test_batched_input_with_an_open_network_raises_runner_error() -> None:
    with pytest.raises(RunnerError, match="batched and batched_input belong to a model to be opened"):
        OnnxRunner(opened().network, detector(), batched_input=False)
