"""Texts of a form as the values that they stood for."""

from __future__ import annotations

from typing import Any

import pytest

from postproc.schema import Preprocessing
from postproc.service.http.form_values import restore
from postproc.service.http.request_models import InferenceRequest, NetworkFields


def as_texts(value: Any) -> Any:
    """Do as the vendor's client does: everything becomes text, what is empty vanishes."""
    if isinstance(value, dict):
        return {key: as_texts(item) for key, item in value.items() if item not in (None, [], {})}
    if isinstance(value, list):
        return [as_texts(item) for item in value]
    return str(value)


PREPROCESSING = {
    "inputs": [
        {
            "tensor_name": "1",
            "image": {
                "target_size": "64",
                "resize_type": "FILL",
                "pixel_scaling": 2.0,
                "mean": [1, -2.5e-05, 3.0],
                "mean_file": "",
                "pad_value": [0.0, 1, 2.5],
                "color_channels": "RGB",
            },
        },
        {"tensor_name": "True", "constant": {"shape": [3], "data": ["1.1", 2, 3.5]}},
    ],
    "batched_output": False,
}


def test_restore_gives_back_a_preprocessing_of_texts() -> None:
    restored = restore(as_texts(PREPROCESSING), Preprocessing)
    expected = {**PREPROCESSING}
    # The one ambiguity: a reference whose tensor is named by a number.
    assert restored["inputs"][1]["constant"]["data"] == [1.1, 2, 3.5]
    restored["inputs"][1]["constant"]["data"][0] = "1.1"
    assert restored == expected
    kinds = [type(value) for value in restored["inputs"][0]["image"]["mean"]]
    assert kinds == [int, float, float]


@pytest.mark.parametrize("text", ["123", "True", "1.5", "null", "{}", "[1]", "nan"])
@pytest.mark.parametrize("name", ["name", "framework", "description"])
def test_restore_keeps_text_where_the_schema_has_text(name: str, text: str) -> None:
    assert restore({name: text}, NetworkFields) == {name: text}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("True", True),
        ("false", False),
        ("1", 1),
        ("-0.5", -0.5),
        ("1e3", 1000.0),
        ("1e-05", 1e-05),
        ("nan", "nan"),
        ("Infinity", "Infinity"),
        ("0x1", "0x1"),
        ("01", "01"),
        ("1 ", "1 "),
        ("", ""),
        ("é", "é"),
        ("9" * 5000, "9" * 5000),
    ],
)
def test_restore_guesses_where_anything_may_stand(text: str, value: Any) -> None:
    restored = restore({"metadata": {"a": [text]}}, NetworkFields)["metadata"]["a"][0]
    assert (restored, type(restored)) == (value, type(value))


def test_restore_reads_json_text_where_an_object_belongs() -> None:
    text = '{"inputs": [{"tensor_name": "1", "image": {"target_size": "64"}}]}'
    expected = {"inputs": [{"tensor_name": "1", "image": {"target_size": "64"}}]}
    assert restore({"preprocessing": text}, NetworkFields) == {"preprocessing": expected}
    assert restore({"preprocessing": "{broken"}, NetworkFields) == {"preprocessing": "{broken"}
    assert restore({"preprocessing": "[" * 100_000}, NetworkFields) == {"preprocessing": "[" * 100_000}


def test_restore_reads_inference_requests() -> None:
    document = {
        "inputs": [{"image": {"source": "1", "bbox": {"xmin": "0.1"}, "crop_uniform_background": "False"}}],
        "show_discarded": "True",
        "max_predictions": "3",
    }
    assert restore(document, InferenceRequest) == {
        "inputs": [{"image": {"source": "1", "bbox": {"xmin": 0.1}, "crop_uniform_background": False}}],
        "show_discarded": True,
        "max_predictions": 3,
    }


def test_restore_leaves_unknown_fields_as_text() -> None:
    assert restore({"batched_outptu": "True"}, Preprocessing) == {"batched_outptu": "True"}
