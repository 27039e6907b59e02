from __future__ import annotations

from typing import Any

import pytest

from postproc.schema import ConstantInput, ImageInput, Preprocessing
from tests.schema.documents import IMAGE, PREPROCESSING

SIZE = 'expected "WIDTHxHEIGHT" or "SIDE" in pixels, such as "640x480" or "416"'
PIXEL = "expected a number from 0 to 255, or a list of one per channel"
FINITE = "expected a finite number"
RELATIVE = "expected a path relative to the document's folder, without '..'"
PADS = '"FILL", or "NETWORK" with a stride, pads'
REFERENCE = "expected a number or TENSOR.AXIS with axis 0, 1 or 2"


def image(**fields: Any) -> dict[str, Any]:
    return {"inputs": [{"tensor_name": "data", "image": {**IMAGE, **fields}}]}


def constant(**fields: Any) -> dict[str, Any]:
    tensor = {"tensor_name": "info", "constant": {"shape": [2], "data": [1, 2], **fields}}
    return {"inputs": [*PREPROCESSING["inputs"], tensor]}


REJECTED: dict[str, tuple[dict[str, Any], str]] = {
    "no_inputs": ({}, "inputs: required field is missing; add it"),
    "empty_inputs": ({"inputs": []}, "inputs: expected a list that is not empty, got []"),
    "unknown_field": (
        {**PREPROCESSING, "batched_outputs": True},
        "batched_outputs: unknown field; did you mean 'batched_output'?",
    ),
    "batched_output_text": (
        {**PREPROCESSING, "batched_output": "True"},
        'batched_output: expected true or false, got "True"',
    ),
    "batched_input_null": (
        {**PREPROCESSING, "batched_input": None},
        "batched_input: expected true or false, got null",
    ),
    "neither_image_nor_constant": (
        {"inputs": [{"tensor_name": "data"}]},
        "inputs[0]: expected exactly one of image, constant, got none; add one",
    ),
    "image_and_constant": (
        {"inputs": [{"tensor_name": "data", "image": IMAGE, "constant": {"shape": [], "data": [1]}}]},
        "inputs[0]: expected exactly one of image, constant, got image and constant; keep one",
    ),
    "no_tensor_name": (
        {"inputs": [{"image": IMAGE}]},
        "inputs[0].tensor_name: required field is missing; add it",
    ),
    "tensor_name_empty": (
        {"inputs": [{"tensor_name": "", "image": IMAGE}]},
        'inputs[0].tensor_name: expected text that is not empty, got ""',
    ),
    "tensor_name_repeated": (
        {"inputs": [*PREPROCESSING["inputs"], *PREPROCESSING["inputs"]]},
        'inputs[1].tensor_name: expected unique names, got "data", the name of inputs[0]',
    ),
    "constants_only": (
        {"inputs": [{"tensor_name": "a", "constant": {"shape": [1], "data": [1]}}]},
        "inputs: expected at least one input with an image, got constants only",
    ),
    **{
        f"{name}_{value}".lower(): (image(**{name: value}), f"inputs[0].image.{name}: expected {expected}")
        for name, value, expected in (
            ("dimension_order", "NHCW", '"NCHW", "NCWH", "NHWC" or "NWHC", got "NHCW"'),
            ("resize_type", "squash", '"SQUASH", "CROP", "FILL" or "NETWORK", got "squash"'),
            ("color_channels", "RGBA", '"RGB", "BGR" or "L", got "RGBA"'),
            ("data_type", "INT8", '"FLOAT32", "FLOAT16" or "UINT8", got "INT8"'),
            ("pad_align", "left", '"center" or "top_left", got "left"'),
            ("rounding", "down", '"half_up" or "half_even", got "down"'),
        )
    },
    "target_size_missing": (
        {"inputs": [{"tensor_name": "data", "image": {}}]},
        "inputs[0].image.target_size: required field is missing; add it",
    ),
    **{
        f"target_size_{case}": (image(target_size=value), f"inputs[0].image.target_size: {SIZE}, got {found}")
        for case, value, found in (
            ("number", 416, "416"),
            ("zero", "0", '"0"'),
            ("zero_height", "640x0", '"640x0"'),
            ("negative", "-1x5", '"-1x5"'),
            ("fraction", "1.5x2", '"1.5x2"'),
            ("three_sides", "1x2x3", '"1x2x3"'),
            ("spaces", "640 x 480", '"640 x 480"'),
            ("new_line", "640x480\n", '"640x480\\n"'),
            ("other_digits", "\u0664", '"\u0664"'),
            ("empty", "", '""'),
            ("too_large", "1000000", '"1000000"'),
        )
    },
    **{
        f"pixel_scaling_{case}": (
            image(pixel_scaling=value),
            f"inputs[0].image.pixel_scaling: expected a finite number above 0, got {found}",
        )
        for case, value, found in (
            ("zero", 0, "0"),
            ("negative", -1.0, "-1.0"),
            ("nan", float("nan"), "NaN"),
            ("infinite", float("inf"), "Infinity"),
            ("text", "255", '"255"'),
        )
    },
    "mean_number": (image(mean=104), "inputs[0].image.mean: expected a list, got 104"),
    "mean_count": (
        image(mean=[104, 117]),
        "inputs[0].image.mean: expected 3 numbers, one per channel of RGB, got 2",
    ),
    "mean_count_grey": (
        image(mean=[1, 2, 3], color_channels="L"),
        "inputs[0].image.mean: expected 1 number, one per channel of L, got 3",
    ),
    "mean_infinite": (
        image(mean=[1, float("inf"), 2]),
        f"inputs[0].image.mean[1]: {FINITE}, got Infinity",
    ),
    "mean_empty": (image(mean=[]), "inputs[0].image.mean: expected a list that is not empty, got []"),
    "mean_and_mean_file": (
        image(mean=[1, 2, 3], mean_file="mean.npy"),
        "inputs[0].image.mean_file: expected either mean or mean_file, got both; keep one",
    ),
    "mean_file_null": (image(mean_file=None), "inputs[0].image.mean_file: expected text, got null"),
    **{
        f"mean_file_{case}": (
            image(mean_file=value),
            f"inputs[0].image.mean_file: {RELATIVE}, got {found}",
        )
        for case, value, found in (
            ("absolute", "/etc/mean.npy", '"/etc/mean.npy"'),
            ("parent", "../mean.npy", '"../mean.npy"'),
            ("inner_parent", "a/../../mean.npy", '"a/../../mean.npy"'),
            ("windows_parent", "a\\..\\mean.npy", '"a\\\\..\\\\mean.npy"'),
            ("windows_drive", "C:mean.npy", '"C:mean.npy"'),
            ("windows_share", "\\\\host\\share\\mean.npy", '"\\\\\\\\host\\\\share\\\\mean.npy"'),
            ("null_character", "a\0.npy", '"a\\u0000.npy"'),
        )
    },
    "mean_file_other_type": (
        image(mean_file="mean.npz"),
        'inputs[0].image.mean_file: expected an .npy file, as numpy.save writes it, got "mean.npz"',
    ),
    "std_zero": (
        image(std=[1, 0, 1]),
        "inputs[0].image.std[1]: expected a finite number above 0, got 0",
    ),
    "std_count": (
        image(std=[1]),
        "inputs[0].image.std: expected 3 numbers, one per channel of RGB, got 1",
    ),
    **{
        f"pad_value_{case}": (
            image(resize_type="FILL", pad_value=value),
            f"inputs[0].image.pad_value: {expected}",
        )
        for case, value, expected in (
            ("negative", -1, f"{PIXEL}, got -1"),
            ("above_255", 255.5, f"{PIXEL}, got 255.5"),
            ("channel_above_255", [0, 256, 0], f"{PIXEL}, got [0, 256, 0]"),
            ("nan", float("nan"), f"{PIXEL}, got NaN"),
            ("bool", True, f"{PIXEL}, got true"),
            ("text", "white", f'{PIXEL}, got "white"'),
            ("count", [114, 114], "expected 3 numbers, one per channel of RGB, got 2"),
        )
    },
    "stride_of_squash": (
        image(stride=32),
        'inputs[0].image.stride: only resize_type "FILL" or "NETWORK" pads to a stride, got "SQUASH"; '
        "leave stride out",
    ),
    "stride_beside_the_target": (
        image(resize_type="FILL", target_size="640x100", stride=32),
        'inputs[0].image.target_size: expected multiples of the stride, 32, got "640x100"',
    ),
    "stride_of_nothing": (
        image(resize_type="FILL", target_size="640", stride=0),
        "inputs[0].image.stride: expected an integer from 1 to 2147483647, got 0",
    ),
    **{
        f"{name}_of_{resize_type}".lower(): (
            image(resize_type=resize_type, **{name: value}),
            f'inputs[0].image.{name}: only resize_type {what}, got "{resize_type}"; leave {name} out',
        )
        for name, value, what in (
            ("pad_value", 114, PADS),
            ("pad_align", "top_left", PADS),
            ("rounding", "half_even", '"FILL" has a choice'),
        )
        for resize_type in ("SQUASH", "CROP", "NETWORK")
    },
    "image_unknown_field": (
        image(color_channel="RGB"),
        "inputs[0].image.color_channel: unknown field; did you mean 'color_channels'?",
    ),
    "constant_without_data": (
        {"inputs": [*PREPROCESSING["inputs"], {"tensor_name": "a", "constant": {"shape": [1]}}]},
        "inputs[1].constant.data: required field is missing; add it",
    ),
    "shape_zero": (
        constant(shape=[0]),
        f"inputs[1].constant.shape[0]: expected an integer from 1 to {2**31 - 1}, got 0",
    ),
    "shape_float": (
        constant(shape=[2.0]),
        f"inputs[1].constant.shape[0]: expected an integer from 1 to {2**31 - 1}, got 2.0",
    ),
    "data_too_short": (
        constant(shape=[2, 3]),
        "inputs[1].constant.data: expected 6 elements for shape [2, 3], got 2",
    ),
    "data_of_a_scalar": (
        constant(shape=[]),
        "inputs[1].constant.data: expected 1 element for shape [], got 2",
    ),
    **{
        f"data_{case}": (constant(data=[1, value]), f"inputs[1].constant.data[1]: {expected}")
        for case, value, expected in (
            ("bool", True, 'expected a finite number or a reference such as "data.1", got true'),
            ("nan", float("nan"), 'expected a finite number or a reference such as "data.1", got NaN'),
            ("empty_text", "", 'expected a finite number or a reference such as "data.1", got ""'),
            ("nested", [1], 'expected a finite number or a reference such as "data.1", got [1]'),
            ("no_axis", "data", f'{REFERENCE}, got "data"'),
            ("axis_3", "data.3", f'{REFERENCE}, got "data.3"'),
            ("axis_negative", "data.-1", f'{REFERENCE}, got "data.-1"'),
            ("axis_empty", "data.", f'{REFERENCE}, got "data."'),
            (
                "unknown_tensor",
                "dta.1",
                "expected the name of an image input before the last dot, got \"dta\"; did you mean 'data'?",
            ),
            (
                "constant_tensor",
                "info.0",
                'expected the name of an image input before the last dot, got "info"; known: data',
            ),
            (
                "number_as_text",
                "1.0",
                'expected the name of an image input before the last dot, got "1"; known: data',
            ),
        )
    },
}


@pytest.mark.parametrize(("document", "expected"), REJECTED.values(), ids=REJECTED)
def test_preprocessing_broken_rule_names_path_and_value(
    document: dict[str, Any], expected: str, problems_of: Any
) -> None:
    assert problems_of(Preprocessing, document) == [expected]


def test_mean_file_binaryproto_says_how_to_convert(problems_of: Any) -> None:
    (line,) = problems_of(Preprocessing, image(mean_file="mean.binaryproto"))
    assert line.startswith(
        'inputs[0].image.mean_file: expected an .npy file, got Caffe\'s "mean.binaryproto"; convert it'
    )
    assert "numpy.save('mean.npy', caffe.io.blobproto_to_array(blob)[0])" in line


def test_preprocessing_several_broken_rules_reports_all(problems_of: Any) -> None:
    document = image(mean=[1], std=[2], pad_value=3, mean_file="mean.npy")
    document["inputs"].append({"tensor_name": "a", "constant": {"shape": [2], "data": ["b.1"]}})
    assert [line.partition(": ")[0] for line in problems_of(Preprocessing, document)] == [
        "inputs[0].image.mean",
        "inputs[0].image.std",
        "inputs[0].image.mean_file",
        "inputs[0].image.pad_value",
        "inputs[1].constant.data",
    ]


def test_image_defaults_are_rgb_planes_of_0_to_255() -> None:
    assert ImageInput.load({"target_size": "8"}).dump(defaults=True) == {
        "dimension_order": "NCHW",
        "resize_type": "SQUASH",
        "target_size": "8",
        "color_channels": "RGB",
        "pixel_scaling": 255.0,
        "mean_file": "",
        "pad_value": 255.0,
        "pad_align": "center",
        "rounding": "half_up",
        "data_type": "FLOAT32",
    }
    assert Preprocessing.load(PREPROCESSING).batched_output is True
    assert Preprocessing.load(PREPROCESSING).batched_input is True


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ({}, None),
        ({"batched_output": False}, "batched_output"),
        ({"batched_input": False}, "batched_input"),
        ({"batched_input": False, "batched_output": True}, "batched_input"),
        ({"batched_input": False, "batched_output": False}, "batched_input"),
    ],
)
def test_images_run_one_by_one_where_input_or_output_has_no_batch_axis(
    flags: dict[str, bool], expected: str | None
) -> None:
    assert Preprocessing.load({**PREPROCESSING, **flags}).unbatched_by == expected


@pytest.mark.parametrize(
    ("text", "height_and_width"),
    [("640x480", (480, 640)), ("416", (416, 416)), ("1x999999", (999999, 1))],
)
def test_target_shape_is_height_and_width(text: str, height_and_width: tuple[int, int]) -> None:
    assert ImageInput(target_size=text).target_shape == height_and_width


@pytest.mark.parametrize(("color_channels", "count"), [("RGB", 3), ("BGR", 3), ("L", 1)])
def test_channels_follow_color_channels(color_channels: Any, count: int) -> None:
    assert ImageInput(target_size="8", color_channels=color_channels).channels == count


def test_constant_resolve_replaces_references_by_sizes() -> None:
    info = ConstantInput(shape=(4,), data=("data.1", "a.b:0.2", 1.5, "data.0"))
    shapes = {"data": (3, 480, 640), "a.b:0": (1, 2, 7)}
    assert info.resolve(shapes) == (480, 7, 1.5, 3)
