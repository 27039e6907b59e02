"""What a post-processor logs: ids that the spec lacks, and boxes that look like pixels, each once."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pytest

from postproc import Detections, DirectOutput, PostProcessor
from tests.pipelines import LABELS, OUTPUTS, Tensors, count, post_processor, tensors_of

DIRECT = OUTPUTS["direct"]


def tensors_in_pixels(scale: float) -> Tensors:
    tensors = tensors_of("direct")
    tensors["classes"][:] = 7
    return {**tensors, "boxes": tensors["boxes"] * np.float32(scale)}


@pytest.fixture
def warnings_logged(caplog: pytest.LogCaptureFixture) -> Any:
    caplog.set_level(logging.INFO)
    return lambda: [record.getMessage() for record in caplog.records]


def test_unknown_class_ids_are_skipped_and_each_is_logged_once(warnings_logged: Any) -> None:
    post, tensors = post_processor("direct"), tensors_of("direct")
    tensors["scores"][:] = 0.9
    tensors["classes"][:] = 7
    tensors["classes"][:, 1], tensors["classes"][:, 2] = 12, -5
    for _ in range(2):
        found = post(tensors).outputs[0]
        assert isinstance(found, Detections)
        assert not {1, 2} & set(found.regions.tolist())
        assert set(found.label_ids.tolist()) == {7}
    texts = [
        f"tensor 'classes' holds the label id {unknown}, which the spec does not have: its boxes are skipped"
        for unknown in (-5, 12)
    ]
    assert warnings_logged() == texts
    tensors["classes"][:, 3] = 13
    post(tensors)
    assert len(warnings_logged()) == 3


def test_unknown_class_ids_of_padding_are_not_logged(warnings_logged: Any) -> None:
    tensors = tensors_of("direct")
    tensors["classes"][:, 20:], tensors["scores"][:, 20:] = 0, 0
    tensors["classes"][:, :20] = 7
    post_processor("direct")(tensors)
    assert warnings_logged() == []


def test_unknown_class_ids_of_logits_are_logged_whatever_their_value(warnings_logged: Any) -> None:
    output = DirectOutput(**{**DIRECT.dump(), "score_activation": "sigmoid"})
    tensors = tensors_of("direct")
    tensors["classes"][:], tensors["scores"][:] = 12, 0.1  # a score of 0.52, above the threshold of 0.4
    PostProcessor.for_detection(LABELS, output, thresholds=0.4)(tensors)
    assert len(warnings_logged()) == 1


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e30], ids=str)
def test_class_ids_that_are_no_integers_are_logged_as_such(value: float, warnings_logged: Any) -> None:
    """And not as an integer that they might become on the way, and that the spec has."""
    tensors = tensors_of("direct")
    tensors["classes"] = np.full(tensors["classes"].shape, value)
    assert count(PostProcessor.for_detection(LABELS, DIRECT, thresholds=0.4)(tensors)) == 0
    (message,) = warnings_logged()
    assert f"the label id {value}, which the spec does not have" in message


def test_class_ids_that_are_fractions_are_logged_once_whatever_they_are(warnings_logged: Any) -> None:
    post, tensors = PostProcessor.for_detection(LABELS, DIRECT, thresholds=0.4), tensors_of("direct")
    tensors["classes"] = np.random.default_rng(0).random(tensors["classes"].shape)
    for _ in range(2):
        assert count(post(tensors)) == 0
    (message,) = warnings_logged()
    first = tensors["classes"][0, 0]
    assert f"tensor 'classes' holds {first:.4g} where a class is read, which is a whole number" in message
    assert "of another kind than direct_output?" in message


@pytest.mark.parametrize("num_threads", [1, 2])
@pytest.mark.parametrize("show_discarded", [False, True])
@pytest.mark.parametrize(
    ("odd", "said"), [(12, "holds the label id 12"), (7.5, "holds 7.5 where a class is read")]
)
def test_classes_of_no_label_are_logged_in_any_image_of_any_call(
    odd: float, said: str, show_discarded: bool, num_threads: int, warnings_logged: Any
) -> None:
    """The first calls are looked at as a whole; of others the kernels tell."""
    post, tensors = post_processor("direct", num_threads), tensors_of("direct")
    tensors["classes"] = np.full(tensors["classes"].shape, 7.0)
    tensors["scores"][:] = 0.1  # below the threshold
    post(tensors, show_discarded)
    tensors["classes"][2, 5] = 12
    post(tensors, show_discarded)
    assert warnings_logged() == []
    tensors["classes"][2, 5], tensors["scores"][2, 5] = odd, 0.1 if odd == 7.5 else 0.9
    for _ in range(2):
        found = post(tensors, show_discarded).outputs[0]
        assert isinstance(found, Detections)
        assert 5 not in found[2].regions
    (message,) = warnings_logged()
    assert said in message


def test_unknown_class_is_logged_though_better_candidates_leave_no_room_for_it(warnings_logged: Any) -> None:
    boxes = np.tile(np.array([0.1, 0.1, 0.2, 0.2], np.float32), (1, 5000, 1))
    scores = np.linspace(0.99, 0.5, 5000, dtype=np.float32)[None]
    tensors = {"boxes": boxes, "scores": scores, "classes": np.full((1, 5000), 7.0, np.float32)}
    post = post_processor("direct")
    post(tensors)
    tensors["classes"][0, -1] = 12
    post(tensors)
    (message,) = warnings_logged()
    assert "holds the label id 12" in message


def test_classes_as_rows_beyond_the_labels_are_logged_as_rows(warnings_logged: Any) -> None:
    output = DirectOutput(**{**DIRECT.dump(), "classes": "rows"})
    tensors = tensors_of("direct")
    tensors["classes"][:] = 3
    assert count(PostProcessor.for_detection(LABELS, output, thresholds=0.4)(tensors)) == 0
    assert warnings_logged() == [
        "tensor 'classes' holds the label row 3, which the spec does not have: its boxes are skipped"
    ]


def test_boxes_in_pixels_without_a_size_are_logged_once(warnings_logged: Any) -> None:
    post, tensors = post_processor("direct"), tensors_in_pixels(640)
    post(tensors)
    (message,) = warnings_logged()
    assert "'boxes', 'scores', 'classes'" in message
    assert "declare the detection's input_size, or pass input_size" in message
    assert float(message.partition("up to ")[2].partition(",")[0]) == round(float(tensors["boxes"].max()), 1)
    post(tensors)
    assert len(warnings_logged()) == 1


@pytest.mark.parametrize("nms_method", ["soft", "weighted"])
def test_boxes_in_pixels_are_logged_whatever_the_nms_method(nms_method: str, warnings_logged: Any) -> None:
    post = post_processor("direct", nms_method=nms_method)
    post(tensors_in_pixels(1))
    assert warnings_logged() == []
    post(tensors_in_pixels(640))
    (message,) = warnings_logged()
    assert "declare the detection's input_size, or pass input_size" in message


@pytest.mark.parametrize("kind", ["anchored", "yolov8"])
def test_boxes_in_pixels_of_other_outputs_are_logged_too(kind: str, warnings_logged: Any) -> None:
    tensors = tensors_of(kind)
    name = "anchors" if kind == "anchored" else "table"
    tensors[name][:, :4] *= 640
    post_processor(kind)(tensors)
    assert len(warnings_logged()) == 1


@pytest.mark.parametrize(
    ("document", "options", "scale"),
    [
        ({"input_size": [640, 640]}, {}, 640),
        ({}, {"input_size": (640, 640)}, 640),
        ({"normalize_wrt_tensor": "im_info"}, {}, 640),
        ({}, {}, 2),
    ],
    ids=["declared", "of the call", "of a tensor", "little beyond the image"],
)
def test_boxes_with_a_size_are_not_logged(
    document: dict[str, Any], options: dict[str, Any], scale: float, warnings_logged: Any
) -> None:
    tensors = {**tensors_in_pixels(scale), "im_info": np.array([640, 640])}
    post_processor("direct", **document)(tensors, **options)
    assert warnings_logged() == []


def test_boxes_of_yolo_are_never_logged(warnings_logged: Any) -> None:
    tensors = tensors_of("yolo")
    tensors["grid"][..., 2:4] = 5  # a box 150 cells wide
    assert count(post_processor("yolo")(tensors)) > 0
    assert warnings_logged() == []
