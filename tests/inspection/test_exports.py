"""The table of exported graphs is what it says: valid models, which run as they declare."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper

from postproc.inspection import inspect_model
from tests.inspection.exports import CASES, Case, Reads, Refused, Undecided

# What a free axis of an image is here, and what the inputs beside the image take.
FREE_SIDE = 320
OTHERS: dict[str, Any] = {
    "scale_factor": [[1, 1]],
    "im_info": [[FREE_SIDE, FREE_SIDE, 1]],
    "image_shape": [[FREE_SIDE, FREE_SIDE]],
    "orig_target_sizes": [[FREE_SIDE, FREE_SIDE]],
    "pixel_mask": np.ones((1, FREE_SIDE, FREE_SIDE)),
    "input_ids": np.arange(20).reshape(5, 4),
    "attention_mask": np.ones((5, 4)),
}

BY_NAME = {case.name: case for case in CASES}


def dtype_of(info: Any) -> np.dtype[Any]:
    return helper.tensor_dtype_to_np_dtype(info.type.tensor_type.elem_type)


def axes_of(info: Any) -> list[int | str]:
    return [axis.dim_value or axis.dim_param for axis in info.type.tensor_type.shape.dim]


def fed(info: Any, seed: int) -> np.ndarray[Any, Any]:
    """An input for one image: noise for the image, and what others take by their name."""
    if info.name in OTHERS:
        return np.asarray(OTHERS[info.name], dtype_of(info))
    axes = axes_of(info)
    channels = 3 if axes[-1] in (1, 3) else len(axes) - 3
    free = {0: 1, channels: 3} if len(axes) == 4 else {}
    shape = [size if isinstance(size, int) else free.get(axis, FREE_SIDE) for axis, size in enumerate(axes)]
    noise = np.random.default_rng(seed).random(shape)
    return (noise * 255 if dtype_of(info) == np.uint8 else noise).astype(dtype_of(info))


def test_exports_are_of_all_kinds_of_expectation_and_their_names_are_unique() -> None:
    assert len(BY_NAME) == len(CASES) >= 60
    assert {type(case.expect).__name__ for case in CASES} == {"Reads", "Undecided", "Refused"}


@pytest.mark.parametrize("name", [name for name, case in BY_NAME.items() if case.runs])
def test_export_is_valid_and_runs_as_it_declares(name: str) -> None:
    content = BY_NAME[name].build()
    model = onnx.load_from_string(content)
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    first, second = (
        session.run(None, {info.name: fed(info, seed) for info in model.graph.input}) for seed in (3, 4)
    )
    symbols: dict[str, int] = {}
    for info, array in zip(model.graph.output, first, strict=True):
        assert array.dtype == dtype_of(info)
        declared = axes_of(info)
        for size, axis in zip(array.shape, declared, strict=True):
            assert size == (symbols.setdefault(axis, size) if isinstance(axis, str) else axis), declared
        assert array.size
        assert np.isfinite(array).all()
    is_fixed = name.startswith("shared case")
    assert is_fixed == all(np.array_equal(*arrays) for arrays in zip(first, second, strict=True))


@pytest.mark.parametrize("name", [name for name, case in BY_NAME.items() if not case.runs])
def test_export_for_another_runtime_is_valid_and_not_for_this_one(name: str) -> None:
    content = BY_NAME[name].build()
    onnx.checker.check_model(onnx.load_from_string(content))
    with pytest.raises(Exception, match="not a registered function/op"):
        onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])


def test_reading_differs_by_what_matters(tmp_path: Path) -> None:
    case: Case = BY_NAME["ultralytics: yolov8 of 2 labels, metadata lost"]
    proposal = inspect_model(case.save(tmp_path)).proposals[0]
    assert isinstance(case.expect, Reads)
    assert case.expect.differences(proposal) == []
    others = Reads(
        "yolov8_output",
        {"output_tensor": "output0", "coordinates": "normalized"},
        labels=3,
        input_size=None,
        suppresses=False,
        image={"color_channels": "BGR"},
    )
    assert [text.partition(" is ")[0] for text in others.differences(proposal)] == [
        "coordinates",
        "input_size",
        "suppresses",
        "labels",
        "color_channels",
    ]
    assert Reads("yolov5_output", labels=2, input_size=(320, 320)).differences(proposal) == [
        "kind is 'yolov8_output', not 'yolov5_output'"
    ]


@pytest.mark.parametrize(
    ("name", "classes", "first_id", "is_right"),
    [
        ("tensorflow: detection api, fixed size", "ids", 1, True),
        ("tensorflow: detection api, fixed size", "ids", 0, False),  # class 0 has no label
        ("tensorflow: detection api, fixed size", "rows", 0, False),
        ("ultralytics: yolov10", "rows", 0, True),
        ("ultralytics: yolov10", "ids", 0, True),
        ("ultralytics: yolov10", "ids", 1, True),  # there is no class 0
        ("ultralytics: yolov10", "rows", 1, False),  # class 0 is label 1
    ],
)
def test_reading_is_right_where_each_class_gets_its_id(
    name: str, classes: str, first_id: int, is_right: bool, tmp_path: Path
) -> None:
    case: Case = BY_NAME[name]
    proposal = inspect_model(case.save(tmp_path)).proposals[0]
    assert isinstance(case.expect, Reads)
    expect = case.expect.but(fields={"classes": classes}, first_id=first_id)
    assert (expect.differences(proposal) == []) is is_right


def test_inspection_is_right_or_wrong_by_what_is_expected(tmp_path: Path) -> None:
    case: Case = BY_NAME["ultralytics: yolov8 of 2 labels, metadata lost"]
    right = case.expect
    assert isinstance(right, Reads)
    wrong = replace(right, labels=3)
    proposal = inspect_model(case.save(tmp_path)).proposals[0]
    decided, several, none = (proposal, [proposal]), (None, [proposal]), (None, [])
    for expect, found, said, is_right in (
        (right, decided, "", True),
        (wrong, decided, "", False),
        (right, several, "", False),
        (right, none, "", False),
        (Undecided(right), decided, "", True),
        (Undecided(right), several, "", True),
        (Undecided(right), none, "", False),
        (Undecided(wrong), decided, "", False),
        (Undecided(wrong), several, "", False),
        (Undecided(), decided, "", False),
        (Undecided(), several, "", True),
        (Undecided(), none, "", True),
        (Refused("NanoDet|bins"), none, "it is a nanodet", True),
        (Refused("NanoDet|bins"), none, "", False),
        (Refused("NanoDet|bins"), decided, "it is a nanodet", False),
        (Refused("masks", right), decided, "", True),
        (Refused("masks", wrong), decided, "", False),
    ):
        assert (replace(case, expect=expect).faults(*found, said) == []) is is_right, expect


def test_export_lies_beside_its_configuration(tmp_path: Path) -> None:
    path = BY_NAME["rt-detr: optimum, config.json and preprocessor_config.json"].save(tmp_path)
    assert sorted(file.name for file in path.parent.iterdir()) == [
        "config.json",
        "model.onnx",
        "preprocessor_config.json",
    ]
