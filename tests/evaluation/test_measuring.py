"""What a version is measured by: its own predictions, and those at lowered thresholds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from postproc import Detections, RecognitionSpec, RecognitionVersion
from postproc.errors import SchemaError
from postproc.evaluation.collected import collect
from postproc.evaluation.ground_truth import GroundTruth
from postproc.evaluation.measured_detections import MeasuredDetections
from postproc.evaluation.measuring_post_processor import MeasuringPostProcessor, measuring_documents
from tests.evaluation.scenes import spec_of
from tests.pipelines import post_processor, tensors_of


def test_measuring_gives_the_version_and_all_that_scores_anything() -> None:
    spec = RecognitionSpec.load(spec_of(2))
    direct = {"boxes_tensor": "boxes", "scores_tensor": "scores", "classes_tensor": "classes"}
    detection = {"direct_output": direct, "thresholds": [0.5, 0.0005], "nms_threshold": 0.4}
    version = RecognitionVersion.load({"spec_id": 3, "post_processings": [{"detection": detection}]})
    own, low = (item.detection for item in measuring_documents(spec, version)[1].post_processings or ())
    assert own == version.post_processings[0].detection  # type: ignore[index]
    assert low is not None
    assert low.thresholds == (0.001, 0.0005)
    assert low.nms_threshold == 0.4
    tensors = {
        "boxes": np.array([[[0.1, 0.1, 0.3, 0.3], [0.5, 0.5, 0.7, 0.7]]], np.float32),
        "scores": np.array([[0.7, 0.02]], np.float32),
        "classes": np.array([[1, 1]]),
    }
    found = MeasuringPostProcessor(spec, version)(tensors, show_discarded=True, max_predictions=0)
    assert [len(output.labels) for output in found.outputs] == [1, 2]
    with pytest.raises(SchemaError, match="the version has outputs 0 to 0, got 1"):
        MeasuringPostProcessor(spec, version, 1)


def test_measuring_a_classification_gives_all_labels() -> None:
    post = post_processor("classification")
    tensors: dict[str, Any] = tensors_of("classification")
    (found,) = MeasuringPostProcessor(post.spec, post.version)(tensors).outputs
    assert np.diff(found.offsets).tolist() == [len(found.table.ids)] * len(found)
    assert 0 < found.predicted.sum() < len(found.predicted)


@pytest.mark.parametrize("kind", ["yolov8_pose", "yolov8_seg", "yolov8_obb"])
def test_measuring_keeps_what_the_version_finds_until_it_is_collected(kind: str) -> None:
    post = post_processor(kind)
    tensors: dict[str, Any] = tensors_of(kind)
    (expected,) = post(tensors, max_predictions=10**6).outputs
    found = MeasuringPostProcessor(post.spec, post.version)(tensors)
    own, low = found.outputs
    assert type(own) is type(low) is type(expected) is not Detections
    np.testing.assert_array_equal(own.boxes, expected.boxes)  # type: ignore[union-attr]
    assert len(low.scores) > len(own.scores) > 0
    names = ["a.png", "b.png", "c.png"]
    images = [{"id": row, "file_name": name, "height": 60, "width": 90} for row, name in enumerate(names[:2])]
    document = {"images": images, "annotations": [], "categories": []}
    collected = collect(GroundTruth.load(document, post.spec), [(names, [(30, 45)] * 3, found)])
    for output, unmeasured in zip(collected.recognitions.outputs, (own, low), strict=True):
        measured = MeasuredDetections.of(unmeasured[:2], [(60, 90)] * 2)  # type: ignore[arg-type]
        assert type(output) is MeasuredDetections
        assert output.shapes.counts() == measured.shapes.counts() != {}
        for name in ("scores", "offsets", "boxes", "masks", "keypoints", "rectangles"):
            np.testing.assert_array_equal(getattr(output, name), getattr(measured, name))
