"""A network's graph with the post-processing behind it."""

from __future__ import annotations

import itertools
import json
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from postproc import Detections, PostProcessor, StandardOutput, Yolov8Output, Yolov8SegOutput
from postproc.errors import FusingError
from postproc.fusing import FuseOptions, append, to_onnx
from tests.fusing.graphs import Array, chain, run, table, yolov8
from tests.models import passthrough

TENSOR = table(*chain(40))


def network(name: str = "output0", opset: int = 17, batch: Any = "N", boxes: Any = 40) -> onnx.ModelProto:
    """Make a network that gives its input, by a branch whose graph uses an outer value."""
    shape = [batch, 5, boxes]
    branch = helper.make_graph(
        [helper.make_node("Mul", [name + "_in", "one"], ["branch"])],
        "branch",
        [],
        [helper.make_tensor_value_info("branch", TensorProto.FLOAT, None)],
    )
    nodes = [
        helper.make_node("Identity", ["image"], [name + "_in"]),
        helper.make_node("If", ["yes"], [name], then_branch=branch, else_branch=branch),
    ]
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)],
        [
            helper.make_tensor("one", TensorProto.FLOAT, [], [1.0]),
            helper.make_tensor("yes", TensorProto.BOOL, [], [True]),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def expected_regions(post: PostProcessor, tensor: Array, name: str) -> list[int]:
    found = post({name: tensor}).outputs[0]
    assert isinstance(found, Detections)
    regions: list[int] = found.regions.tolist()
    return regions


@pytest.mark.parametrize("opset", [11, 13, 17, 21])
@pytest.mark.parametrize("keep_outputs", [False, True])
@pytest.mark.parametrize("name", ["output0", "boxes", "scores"])
def test_network_ends_in_rows_whatever_its_opset_and_the_names_of_its_outputs(
    opset: int, keep_outputs: bool, name: str
) -> None:
    post, before = yolov8(name=name, nms_threshold=0.5), network(name, opset)
    text = before.SerializeToString()
    fused = append(before, post, keep_outputs=keep_outputs)
    assert before.SerializeToString() == text
    onnx.checker.check_model(fused, full_check=True)
    values = run(fused, {"image": TENSOR})
    names = json.loads({one.key: one.value for one in fused.metadata_props}["postproc.fused"])["outputs"][0]
    count = values[names["count"]][0]
    assert values[names["regions"]][0, :count].tolist() == expected_regions(post, TENSOR, name)
    assert (name in values and values[name].shape == TENSOR.shape) == keep_outputs
    if not keep_outputs:
        assert {*values} == {"boxes", "scores", "labels", "regions", "count", "complete"}


def test_values_of_branches_that_have_names_of_outputs_make_way() -> None:
    model = network()
    for attribute in model.graph.node[1].attribute:
        attribute.g.node[0].output[0] = attribute.g.output[0].name = "count"
    fused = append(model, yolov8(nms_threshold=0.5))
    inner = {name for one in fused.graph.node[1].attribute for node in one.g.node for name in node.output}
    assert not inner & {name for node in fused.graph.node for name in node.output}
    assert run(fused, {"image": TENSOR})["count"][0] == 20


def test_prototypes_stay_for_the_coefficients_of_rows() -> None:
    output = Yolov8SegOutput(output_tensor="table", prototypes_tensor="prototypes", box_format="xyxy")
    post = PostProcessor.for_detection(["cat"], output, thresholds=0.3)
    shapes = {"table": (1, 8, 40), "prototypes": (1, 3, 5, 5)}
    values = {
        name: [helper.make_tensor_value_info(name + end, TensorProto.FLOAT, shape) for end in ("_in", "")]
        for name, shape in shapes.items()
    }
    nodes = [helper.make_node("Identity", [name + "_in"], [name]) for name in shapes]
    inputs, outputs = zip(*values.values(), strict=True)
    opset = helper.make_opsetid("", 17)
    model = helper.make_model(
        helper.make_graph(nodes, "network", inputs, outputs), opset_imports=[opset], ir_version=8
    )
    rng = np.random.default_rng(0)
    tensors = {
        "table": np.concatenate([TENSOR, rng.normal(0, 1, (1, 3, 40)).astype(np.float32)], axis=1),
        "prototypes": rng.normal(0, 1, shapes["prototypes"]).astype(np.float32),
    }
    found = run(append(model, post), {f"{name}_in": array for name, array in tensors.items()})
    assert [*found][-1] == "prototypes"
    assert "table" not in found
    regions = found["regions"][0, : found["count"][0]]
    np.testing.assert_array_equal(found["coefficients"][0, : len(regions)], tensors["table"][0, 5:, regions])


def test_opset_of_a_network_stays_if_it_has_all_that_is_needed() -> None:
    opsets = [append(network(opset=opset), yolov8()).opset_import[0].version for opset in (11, 13, 21)]
    assert opsets == [17, 13, 21]


def test_fused_network_is_not_fused_again() -> None:
    fused = append(network(), yolov8(), keep_outputs=True)
    with pytest.raises(FusingError, match="already"):
        append(fused, yolov8())


def test_file_tells_its_documents_and_options() -> None:
    post = yolov8()
    fused = append(network(), post, FuseOptions(candidates=30, nms="rounds", rounds=3))
    texts = {one.key: json.loads(one.value) for one in fused.metadata_props}
    assert texts["postproc.version"] == post.version.dump()
    assert texts["postproc.spec"] == post.spec.dump()
    assert texts["postproc.fused"]["candidates"] == texts["postproc.fused"]["max_predictions"] == 30
    assert texts["postproc.fused"]["rounds"] == 3


def test_metadata_of_the_network_stay_but_for_keys_that_are_written() -> None:
    model = network()
    helper.set_model_props(model, {"names": "cat", "postproc.spec": "another"})
    fused = append(model, yolov8())
    onnx.checker.check_model(fused, full_check=True)
    texts = {one.key: one.value for one in fused.metadata_props}
    assert texts["names"] == "cat"
    assert json.loads(texts["postproc.spec"]) == yolov8().spec.dump()


def test_sizes_below_0_are_free() -> None:
    model = network(batch=-1)
    fused = append(model, yolov8(nms_threshold=0.5))
    assert fused.graph.output[0].type.tensor_type.shape.dim[0].dim_param
    assert run(fused, {"image": np.concatenate([TENSOR, TENSOR])})["count"].tolist() == [20, 20]
    with pytest.raises(FusingError, match="only the first axis may be free"):
        append(network(boxes=-1), yolov8())


@pytest.mark.parametrize("kind", ["sequence", "optional"])
def test_output_that_is_no_tensor_is_an_error(kind: str) -> None:
    model = network()
    tensor = helper.make_tensor_type_proto(TensorProto.FLOAT, None)
    described = model.graph.output[0].type
    described.Clear()
    if kind == "sequence":
        described.CopyFrom(helper.make_sequence_type_proto(tensor))
    else:
        described.CopyFrom(helper.make_optional_type_proto(tensor))
    with pytest.raises(FusingError, match=rf"'output0' of the network is {kind}.*: expected a tensor"):
        append(model, yolov8())


def test_bfloat16_is_read_or_refused_by_an_older_onnx() -> None:
    model = onnx.load_from_string(passthrough({"image": ("N", 5, 40)}, {"output0": "image"}))
    model.graph.node[0].op_type = "Cast"
    model.graph.node[0].attribute.append(helper.make_attribute("to", TensorProto.BFLOAT16))
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.BFLOAT16
    post = yolov8(nms_threshold=1.0)
    try:
        fused = append(model, post)
    except FusingError as error:  # onnx 1.16 takes it for float32
        assert "'output0' is bfloat16, which onnx" in str(error)  # noqa: PT017
        return
    onnx.checker.check_model(fused, full_check=True)
    rounded = (TENSOR.view(np.uint32) + 0x7FFF + ((TENSOR.view(np.uint32) >> 16) & 1)) & 0xFFFF0000
    expected = expected_regions(post, rounded.astype(np.uint32).view(np.float32), "output0")
    found = run(fused, {"image": TENSOR})
    assert found["regions"][0, : found["count"][0]].tolist() == expected
    assert len(expected) > 1


@pytest.mark.parametrize("declared", [None, ("N", 5, 40)])
def test_type_that_an_output_lacks_follows_from_the_inputs(declared: Any) -> None:
    model = network()
    described = model.graph.output[0].type
    described.Clear()
    if declared is not None:
        described.CopyFrom(helper.make_tensor_type_proto(TensorProto.UNDEFINED, declared))
    fused = append(model, yolov8(nms_threshold=0.5))
    assert run(fused, {"image": TENSOR})["count"].tolist() == [20]
    model.graph.node[1].domain = "elsewhere"  # of which ONNX knows nothing
    with pytest.raises(FusingError, match=r"'output0' .* is of no type .*: export the network with"):
        append(model, yolov8())


def test_functions_of_the_network_are_not_lost() -> None:
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    inner = [helper.make_node("Identity", ["x"], ["count"]), helper.make_node("Identity", ["count"], ["y"])]
    same = helper.make_function("own", "Same", ["x"], ["y"], inner, opsets[:1])
    model = onnx.load_from_string(passthrough({"image": ("N", 5, 40)}, {"output0": "image"}))
    del model.opset_import[:]
    model.opset_import.extend(opsets)
    model.functions.append(same)
    model.graph.node[0].op_type, model.graph.node[0].domain = "Same", "own"
    assert run(append(model, yolov8(nms_threshold=0.5)), {"image": TENSOR})["count"].tolist() == [20]
    model.opset_import[0].version = model.functions[0].opset_import[0].version = 12
    with pytest.raises(FusingError, match="opset 12 and functions of its own"):
        append(model, yolov8())


def test_batch_stays_free_or_as_it_is() -> None:
    for batch, size in (("N", "N"), (2, 2)):
        shape = append(network(batch=batch), yolov8()).graph.output[0].type.tensor_type.shape
        assert (shape.dim[0].dim_param or shape.dim[0].dim_value) == size
        assert [one.dim_value for one in shape.dim[1:]] == [100, 4]


@pytest.mark.parametrize("declared", [None, ["N", "rows", "boxes"], [None, 5, None]])
@pytest.mark.parametrize("batch", ["N", 2])
def test_sizes_that_follow_from_those_of_the_inputs_count_as_declared(
    declared: list[Any] | None, batch: str | int
) -> None:
    model = onnx.load_from_string(passthrough({"data": (batch, 5, 40)}, {"output0": "data"}))
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("output0", TensorProto.FLOAT, declared))
    fused = append(model, yolov8())
    first, *others = fused.graph.output[0].type.tensor_type.shape.dim
    assert [axis.dim_value for axis in others] == [100, 4]
    assert first.dim_value == (batch if batch == 2 else 0)
    tensor = np.concatenate([TENSOR, TENSOR])
    expected = expected_regions(yolov8(), TENSOR, "output0")
    for regions in run(fused, {"data": tensor})["regions"]:
        assert regions[: len(expected)].tolist() == expected


def test_tensor_of_sizes_that_is_an_input_stays_one() -> None:
    output = Yolov8Output(output_tensor="output0", box_format="xyxy")
    post = PostProcessor.for_detection(["cat"], output, thresholds=0.3, normalize_wrt_tensor="scores")
    shapes = {"data": ("N", 5, 40), "scores": ("N", 3)}
    model = onnx.load_from_string(passthrough(shapes, {"output0": "data"}))
    tensors = {"data": TENSOR, "scores": np.array([[2, 4, 1]], np.float32)}
    found = run(append(model, post, keep_outputs=True), tensors)
    assert [*found][1] == "detected_scores"
    assert [*found][-1] == "output0"
    (expected,) = post({"output0": TENSOR, "scores": tensors["scores"]}).outputs
    assert isinstance(expected, Detections)
    np.testing.assert_array_equal(found["boxes"][0, : found["count"][0]], expected.boxes)
    assert found["count"][0] == len(expected.boxes) > 0


def test_shape_that_nothing_tells_is_an_error() -> None:
    model = onnx.load_from_string(passthrough({"data": ("N", 5, 40)}, {"output0": "data"}))
    for info in (model.graph.input[0], model.graph.output[0]):
        info.type.tensor_type.ClearField("shape")
    with pytest.raises(FusingError, match="'output0' has no shape in the file, and none follows"):
        append(model, yolov8())


@pytest.mark.parametrize(
    ("model", "text"),
    [
        (network("other"), "'output0' is not among the network's outputs 'other'"),
        (network(boxes="anchors"), "only the first axis may be free"),
        (network(boxes=0), "there is nothing to find"),
    ],
)
def test_network_that_does_not_fit_is_an_error(model: onnx.ModelProto, text: str) -> None:
    with pytest.raises(FusingError, match=text):
        append(model, yolov8())


def test_name_of_an_option_that_the_network_has_already_is_an_error() -> None:
    options, text = FuseOptions(thresholds="input"), "input or output 'thresholds'"
    model = network()
    model.graph.input[0].name = model.graph.node[0].input[0] = "thresholds"
    with pytest.raises(FusingError, match=text):
        append(model, yolov8(), options)
    with pytest.raises(FusingError, match=text):
        append(network("thresholds"), yolov8(name="thresholds"), options, keep_outputs=True)
    with pytest.raises(FusingError, match=text):
        to_onnx(yolov8(name="thresholds"), {"thresholds": (1, 5, 9)}, options)


def test_thresholds_and_placement_can_be_inputs() -> None:
    post = yolov8(nms_threshold=1.0)
    options = FuseOptions(thresholds="input", placement="input")
    fused = append(network(), post, options)
    placement = np.array([[[1, 0, 0.5, 1], [1, 0, 1, 2]]], np.float64)
    feeds = {"image": TENSOR, "thresholds": np.array([0.7], np.float32), "placement": placement}
    values = run(fused, feeds)
    count = int(values["count"][0])
    expected = post.replace(thresholds=0.7)({"output0": TENSOR}).outputs[0]
    assert isinstance(expected, Detections)
    assert count == len(expected.scores) > 0
    np.testing.assert_array_equal(
        values["boxes"][0, :count], expected.boxes * np.array([2, 0.5, 2, 0.5], np.float32)
    )


def test_tensors_named_as_outputs_do_not_clash() -> None:
    post = PostProcessor.for_detection(
        ["cat", "dog"], StandardOutput(boxes_tensor="boxes", scores_tensor="scores"), thresholds=0.3
    )
    model = to_onnx(post, {"boxes": (1, 7, 4), "scores": (1, 7, 2)})
    onnx.checker.check_model(model, full_check=True)
    assert {"detected_boxes", "detected_scores", "labels"} <= {one.name for one in model.graph.output}


@pytest.mark.parametrize(
    "names",
    [
        ["boxes", "network/boxes"],
        ["boxes", "network/boxes", "network_2/boxes"],
        ["postproc/constant_0", "postproc_2/constant_0"],
        ["postproc/TopK_3", "postproc/TopK_3.0", "postproc/TopK_3.1"],
    ],
)
def test_names_that_the_network_has_are_not_taken(names: list[str]) -> None:
    values = ["image", *names, "output0"]
    model = onnx.load_from_string(passthrough({"image": ("N", 5, 40)}, {"output0": "image"}))
    del model.graph.node[:]
    model.graph.node.extend(
        helper.make_node("Identity", [one], [other], name=other) for one, other in itertools.pairwise(values)
    )
    post = yolov8(nms_threshold=0.5)
    fused = append(model, post)
    onnx.checker.check_model(fused, full_check=True)
    nodes = [node.name for node in fused.graph.node]
    assert len(nodes) == len({*nodes})
    found = run(fused, {"image": TENSOR})
    assert {*found} == {"boxes", "scores", "labels", "regions", "count", "complete"}
    assert found["regions"][0, : found["count"][0]].tolist() == expected_regions(post, TENSOR, "output0")


def test_outputs_have_names_that_the_inputs_leave() -> None:
    shapes = {"boxes": ("N", 5, 40), "detected_boxes": ("N", 1), "detected_boxes_2": ("N", 1)}
    model = onnx.load_from_string(passthrough(shapes, {"output0": "boxes"}))
    fused = append(model, yolov8(nms_threshold=0.5))
    onnx.checker.check_model(fused, full_check=True)
    blank = np.zeros((1, 1), np.float32)
    found = run(fused, {"boxes": TENSOR, "detected_boxes": blank, "detected_boxes_2": blank})
    assert {"detected_boxes_3", "scores"} <= {*found}
    assert found["count"][0] == 20


def test_tensors_named_as_constants_do_not_clash() -> None:
    post = yolov8(name="postproc/constant_0", nms_threshold=0.5)
    model = to_onnx(post, {"postproc/constant_0": TENSOR.shape})
    onnx.checker.check_model(model, full_check=True)
    assert run(model, {"postproc/constant_0": TENSOR})["count"][0] == 20
