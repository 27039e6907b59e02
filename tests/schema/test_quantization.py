"""The `quantization` of an output: what it takes, and what it says of what it does not."""

from __future__ import annotations

import copy
import math
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from postproc import Classification, Detection, PostProcessor, SchemaError
from postproc.schema import DetectionOutput
from tests.kinds import KINDS
from tests.pipelines import OUTPUTS

SCALE = "a finite number above 0 that float32 holds"
ZERO_POINT = "an integer from -32768 to 65535"
EACH = ", or a list of them, one per channel"


def of(quantization: Any) -> dict[str, Any]:
    return {"yolov8_output": {"output_tensor": "table", "quantization": quantization}}


def with_quantization(output: DetectionOutput, quantization: Any) -> dict[str, Any]:
    return {Detection.kind_of(output): {**output.dump(), "quantization": quantization}}


BROKEN: dict[str, tuple[Any, str]] = {
    "list": ([], ": expected an object, got []"),
    "number": ({"table": 0.5}, ".table: expected an object, got 0.5"),
    "without_scale": ({"table": {}}, ".table.scale: required field is missing; add it"),
    "unknown_field": (
        {"table": {"scale": 1, "axis": 1}},
        ".table.axis: unknown field; known: scale, zero_point",
    ),
    "unknown_tensor": (
        {"tabel": {"scale": 1}},
        ".tabel: the output has no tensor of this name; did you mean 'table'?",
    ),
    "name_that_is_no_word": (
        {"images:0": {"scale": 1}},
        '["images:0"]: the output has no tensor of this name; known: table',
    ),
    "name_that_is_no_text": ({0: {"scale": 1}}, ": expected names of tensors, which are text, got 0"),
    **{
        f"scale_{name}": ({"table": {"scale": value}}, f".table.scale: expected {SCALE}{EACH}, got {found}")
        for name, value, found in (
            ("zero", 0, "0"),
            ("negative", -0.5, "-0.5"),
            ("infinite", math.inf, "Infinity"),
            ("nan", math.nan, "NaN"),
            ("0_in_float32", 1e-46, "1e-46"),
            ("infinite_in_float32", 1e39, "1e+39"),
            ("text", "1", '"1"'),
            ("bool", True, "true"),
            ("null", None, "null"),
        )
    },
    "scale_in_a_list": ({"table": {"scale": [1, 0]}}, f".table.scale[1]: expected {SCALE}, got 0"),
    "no_scales": ({"table": {"scale": []}}, ".table.scale: expected a list that is not empty, got []"),
    **{
        f"zero_point_{name}": (
            {"table": {"scale": 1, "zero_point": value}},
            f".table.zero_point: expected {ZERO_POINT}{EACH}, got {found}",
        )
        for name, value, found in (
            ("below_int16", -32769, "-32769"),
            ("above_uint16", 65536, "65536"),
            ("fraction", 0.5, "0.5"),
            ("whole_float", 3.0, "3.0"),
            ("null", None, "null"),
        )
    },
    "zero_point_in_a_list": (
        {"table": {"scale": 1, "zero_point": [0, 65536]}},
        f".table.zero_point[1]: expected {ZERO_POINT}, got 65536",
    ),
    "lists_of_two_lengths": (
        {"table": {"scale": [1, 2], "zero_point": [1, 2, 3]}},
        ".table.zero_point: expected 2 integers, as many as there are scales, got 3",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_quantization_names_path_and_value(case: str, problems_of: Any) -> None:
    quantization, message = BROKEN[case]
    assert problems_of(Detection, of(quantization)) == [f"yolov8_output.quantization{message}"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_refuses_the_quantization_of_an_unknown_tensor(kind: str, problems_of: Any) -> None:
    (line,) = problems_of(Detection, with_quantization(OUTPUTS[kind], {"other": {"scale": 1}}))
    assert line.startswith(
        f"{kind}_output.quantization.other: the output has no tensor of this name; known: "
    )


def test_classification_refuses_the_quantization_of_an_unknown_tensor(problems_of: Any) -> None:
    (line,) = problems_of(Classification, {"output_tensor": "p", "quantization": {"q": {"scale": 1}}})
    assert line == "quantization.q: the output has no tensor of this name; known: p"


@pytest.mark.parametrize(
    "output",
    [
        {"direct_output": {"boxes_tensor": "b", "scores_tensor": "s", "classes_tensor": "ids"}},
        {"end_to_end_output": {"output_tensor": "rows", "count_tensor": "ids"}},
    ],
    ids=["classes", "count"],
)
def test_tensor_of_integers_takes_no_quantization(output: dict[str, Any], problems_of: Any) -> None:
    ((kind, fields),) = output.items()
    field = list(fields)[-1]
    described = {kind: {**fields, "quantization": {"ids": {"scale": 1}}}}
    assert problems_of(Detection, described) == [
        f"{kind}.quantization.ids: {field} holds integers that are what they are; leave it out"
    ]


def test_error_of_a_version_has_the_whole_path() -> None:
    labels = {"labels": [{"id": 0, "name": "cat"}], "exclusive": True, "roi": "BBOX"}
    version = {"post_processings": [{"detection": of({"table": {"scale": 0}})}]}
    with pytest.raises(SchemaError, match=r"^post_processings\[0\]\.detection\.yolov8_output\.quantization"):
        PostProcessor({"outputs": [{"labels": labels}]}, version)


@pytest.mark.parametrize("kind", KINDS)
def test_channels_lie_along_the_axis_that_a_layout_names(kind: str) -> None:
    output = OUTPUTS[kind]
    fields = {str(location[0]) for location, _ in output.tensor_fields()}
    for field in fields:
        assert set(output.channel_axes(field, 3)) <= {0, 1, 2}
    if "layout" not in type(output).model_fields:
        return
    field = next(str(location[0]) for location, name in output.tensor_fields() if name == output.scores_name)
    rank, first, last = (4, 1, 3) if output.channels_of_maps else (3, 1, 2)
    axes = {
        layout: output.model_copy(update={"layout": layout}).channel_axes(field, rank)
        for layout in ("auto", "channels_first", "channels_last")
    }
    assert axes == {"auto": (first, last), "channels_first": (first,), "channels_last": (last,)}
    assert output.model_copy(update={"layout": "channels_first"}).channel_axes(field, rank - 1) == (0,)


def test_quantization_cannot_be_changed_and_survives_pickle_and_copy() -> None:
    output = Detection.load(of({"table": {"scale": 0.5}})).output
    quantization = output.quantization
    assert quantization is not None
    assert [*quantization] == ["table"]
    one = quantization["table"]
    changes: list[Callable[[], Any]] = [
        lambda: quantization.__setitem__("table", one),
        lambda: quantization.__delitem__("table"),
        lambda: quantization.update(other=one),
        quantization.clear,
        lambda: quantization.pop("table"),
        quantization.popitem,
        lambda: quantization.setdefault("other", one),
        lambda: quantization.__ior__({"other": one}),
    ]
    for change in changes:
        with pytest.raises(TypeError, match="documents are frozen"):
            change()
    for twin in (pickle.loads(pickle.dumps(output)), copy.deepcopy(output)):
        assert twin == output
        assert hash(twin) == hash(output)
        assert type(twin.quantization) is type(quantization)
