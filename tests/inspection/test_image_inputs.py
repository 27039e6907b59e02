"""How images become the inputs of a network that was inspected."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from postproc import PostProcessor
from postproc.images import Preprocessor
from postproc.inspection import inspect_model
from postproc.onnx_runner import OnnxRunner
from postproc.onnx_runner.session import CPU
from postproc.schema import Detection
from tests.inspection.networks import CHOSEN, Network, Shape, ultralytics
from tests.models import network as checked_network
from tests.models import torchvision_detector


def torchvision(image: Shape) -> Network:
    """Build what torchvision's detectors are exported as: neither input nor outputs have a batch axis."""
    return (
        Network({"image": image})
        .node("NonMaxSuppression")
        .output("boxes", ("n", 4))
        .output("labels", ("n",), integer=True)
        .output("scores", ("n",), CHOSEN)
    )


def test_inspect_torchvision_without_a_batch_axis_takes_one_image_a_run(tmp_path: Path) -> None:
    boxes = np.array([[0, 0, 40, 20], [40, 20, 80, 40]], np.float32)
    model = torchvision_detector(boxes, np.array([0, 2]), np.array([0.9, 0.8], np.float32), (3, 320, 480))
    (tmp_path / "model.onnx").write_bytes(model)
    proposal = inspect_model(tmp_path / "model.onnx").proposals[0]
    preprocessing = proposal.preprocessing
    assert preprocessing is not None
    assert (preprocessing.batched_input, preprocessing.batched_output) == (False, False)
    image = preprocessing.inputs[0].image
    assert image is not None
    assert (image.dimension_order, image.target_shape) == ("NCHW", (320, 480))
    (post_processing,) = proposal.version.post_processings or ()
    assert isinstance(post_processing.task, Detection)
    assert post_processing.task.input_size == (320, 480)


def test_inspect_torchvision_gives_documents_that_run_it(tmp_path: Path) -> None:
    boxes = np.array([[0, 0, 4, 2], [4, 2, 8, 4]], np.float32)
    path = tmp_path / "model.onnx"
    path.write_bytes(
        torchvision_detector(boxes, np.array([1, 2]), np.array([0.9, 0.8], np.float32), (3, 4, 8))
    )
    # Where classes begin cannot be told from one of them.
    proposals = inspect_model(path, labels=["cat", "dog"]).proposals
    proposal = next(item for item in proposals if item.spec.outputs[0].labels.labels[0].id == 1)
    preprocessing = proposal.preprocessing
    assert preprocessing is not None
    batch = Preprocessor(preprocessing)([np.full((40, 80, 3), 255, np.uint8)])
    runner = OnnxRunner(
        path,
        PostProcessor(proposal.spec, proposal.version),
        [CPU],
        batched=preprocessing.batched_output,
        batched_input=preprocessing.batched_input,
    )
    (output,) = runner(batch.tensors, transforms=batch.transforms).outputs
    np.testing.assert_array_equal(output.boxes, [[0, 0, 0.5, 0.5]])  # white is 1: one box is found
    assert output.label_names == ["cat"]


@pytest.mark.parametrize(
    ("shape", "found"),
    [
        ((3, 320, 480), True),
        ((3, "height", "width"), True),
        ((320, 480, 3), True),
        (("batch", "length", "features"), False),
        (("batch", 1024, 3), False),
        ((1, 1024, 3), False),
        ((1, 80, 3000), False),
    ],
    ids=str,
)
def test_inspect_tells_one_image_from_a_batch_of_something_else(
    shape: Shape, found: bool, tmp_path: Path
) -> None:
    graph = inspect_model(torchvision(shape).save(tmp_path / "model.onnx")).graph
    assert (graph.image is not None) is found


def test_inspect_takes_a_batch_of_images_before_a_tensor_that_might_be_one(tmp_path: Path) -> None:
    network = Network({"table": (3, 5, 4), "images": (1, 3, 64, 96)}).output("boxes", ("n", 4))
    graph = inspect_model(network.save(tmp_path / "model.onnx")).graph
    assert graph.image is not None
    assert (graph.image.name, graph.input_size) == ("images", (64, 96))


def test_inspect_one_image_of_free_size_is_followed_to_the_outputs(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Unsqueeze", ["image", "zero"], ["batch"]),
        helper.make_node("Conv", ["batch", "w"], ["y"], strides=[8, 8]),
    ]
    constants = {"zero": np.zeros(1, np.int64), "w": np.zeros((30, 3, 8, 8), np.float32)}
    model = checked_network(
        nodes,
        {"image": (np.float32, (3, "H", "W"))},
        {"y": (np.float32, (1, 30, "h", "w"))},
        constants,
    )
    (tmp_path / "net.onnx").write_bytes(model)
    assert inspect_model(tmp_path / "net.onnx", size=(64, 96)).graph.outputs[0].shape == (1, 30, 8, 12)


@pytest.mark.parametrize(
    ("axes", "metadata", "stride"),
    [
        pytest.param(("height", "width"), {}, 32, id="free"),
        pytest.param(("height", "width"), {"stride": "64"}, 64, id="stride of P6"),
        pytest.param(("height", "width"), {"stride": "48"}, None, id="stride beside the size"),
        pytest.param((640, 640), {}, None, id="fixed"),
        pytest.param(("height", 640), {}, None, id="half fixed"),
    ],
)
def test_inspect_network_of_ultralytics_pads_to_its_stride_where_the_size_is_free(
    axes: tuple[str | int, str | int], metadata: dict[str, str], stride: int | None, tmp_path: Path
) -> None:
    network = Network(
        {"images": ("batch", 3, *axes)}, {**ultralytics(names={0: "cat", 1: "dog"}), **metadata}
    )
    network.output("output0", ("batch", 6, "anchors"), "decoded+sigmoid")
    proposal = inspect_model(network.save(tmp_path / "model.onnx")).proposals[0]
    assert proposal.preprocessing is not None
    image = proposal.preprocessing.inputs[0].image
    assert image is not None
    assert (image.resize_type, image.target_size, image.stride) == ("FILL", "640x640", stride)


@pytest.mark.parametrize("operator", ["Div", "Sub"])
def test_inspect_graph_that_scales_its_pixels_itself_says_so(operator: str, tmp_path: Path) -> None:
    nodes = [
        helper.make_node(operator, ["images", "by"], ["scaled"]),
        helper.make_node("Conv", ["scaled", "w"], ["maps"]),
        helper.make_node("GlobalAveragePool", ["maps"], ["y"]),
        helper.make_node("Softmax", ["y"], ["probabilities"], axis=1),
    ]
    constants = {"by": np.float32(255).reshape(1), "w": np.ones((5, 3, 1, 1), np.float32)}
    inputs, outputs = {"images": (np.float32, (1, 3, 8, 8))}, {"probabilities": (np.float32, (1, 5, 1, 1))}
    (tmp_path / "net.onnx").write_bytes(checked_network(nodes, inputs, outputs, constants))
    proposal = inspect_model(tmp_path / "net.onnx").proposals[0]
    assert any(f"changes pixels before its first layer ({operator})" in text for text in proposal.checks)
