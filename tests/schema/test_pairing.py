from __future__ import annotations

from typing import Any

import pytest

from postproc.errors import SchemaError
from postproc.schema import RecognitionSpec, RecognitionVersion, check_pair
from tests.schema.documents import CLASSIFICATION, DETECTION, LABELS, YOLOV3, YOLOX

IMAGE_LABELS = {**LABELS, "roi": "NONE"}


def spec(*labels: dict[str, Any], **fields: Any) -> RecognitionSpec:
    return RecognitionSpec.load({"outputs": [{"labels": item} for item in labels], **fields})


def version(*post_processings: dict[str, Any], **fields: Any) -> RecognitionVersion:
    return RecognitionVersion.load({"post_processings": list(post_processings), **fields})


def classification(**fields: Any) -> dict[str, Any]:
    return {"classification": {**CLASSIFICATION, **fields}}


def detection(**fields: Any) -> dict[str, Any]:
    return {"detection": {**DETECTION, **fields}}


OBJECTNESS: dict[str, dict[str, Any]] = {"yolov3": YOLOV3, "yolov5": YOLOX, "yolox": YOLOX}


def objectness(kind: str, fields: dict[str, Any]) -> dict[str, Any]:
    return {"detection": {f"{kind}_output": {**fields, "confidence": "objectness"}}}


@pytest.mark.parametrize("kind", OBJECTNESS)
def test_pair_of_objectness_and_one_label_is_accepted(kind: str) -> None:
    check_pair(spec({**LABELS, "labels": LABELS["labels"][:1]}), version(objectness(kind, OBJECTNESS[kind])))


@pytest.mark.parametrize(
    ("spec_id", "version_spec_id"),
    [(None, None), (1, None), (None, 1), (1, 1), ("public", "public")],
)
def test_pair_ids_equal_or_unset_is_accepted(
    spec_id: int | str | None, version_spec_id: int | str | None
) -> None:
    check_pair(spec(LABELS, id=spec_id), version(detection(), spec_id=version_spec_id))


def test_pair_of_several_outputs_that_fits_is_accepted() -> None:
    check_pair(
        spec(IMAGE_LABELS, LABELS),
        version(classification(thresholds=[0.1, 0.2]), detection(thresholds=[0.3, 0.4])),
    )


REJECTED = {
    "other_spec": (
        spec(LABELS, id=1),
        version(detection(), spec_id=2),
        ["spec_id: expected 1, the id of the spec, got 2"],
    ),
    "public_spec": (
        spec(LABELS, id="1"),
        version(detection(), spec_id=1),
        ['spec_id: expected "1", the id of the spec, got 1'],
    ),
    "row_of_a_list": (
        spec(LABELS, LABELS),
        RecognitionVersion.load({"spec_id": 1}),
        [
            "post_processings: expected 2 post-processings, one per output of the spec, got none; "
            "load the whole version, not a row of a list"
        ],
    ),
    "too_few": (
        spec(LABELS, LABELS),
        version(detection()),
        ["post_processings: expected 2 post-processings, one per output of the spec, got 1"],
    ),
    "too_many": (
        spec(LABELS),
        version(detection(), detection()),
        ["post_processings: expected 1 post-processing, one per output of the spec, got 2"],
    ),
    "classification_of_boxes": (
        spec(IMAGE_LABELS, LABELS),
        version(classification(), classification()),
        ['post_processings[1]: expected detection, since outputs[1] has roi "BBOX", got classification'],
    ),
    "detection_of_images": (
        spec(IMAGE_LABELS),
        version(detection()),
        ['post_processings[0]: expected classification, since outputs[0] has roi "NONE", got detection'],
    ),
    "threshold_missing": (
        spec(LABELS),
        version(detection(thresholds=[0.5])),
        [
            "post_processings[0].detection.thresholds: expected 2 thresholds, one per label of outputs[0], "
            "got 1"
        ],
    ),
    "nms_threshold_missing": (
        spec(LABELS),
        version(detection(nms_thresholds=[0.5], thresholds=0.5)),
        [
            "post_processings[0].detection.nms_thresholds: expected 2 thresholds, one per label of "
            "outputs[0], got 1"
        ],
    ),
    "no_thresholds": (
        spec(IMAGE_LABELS),
        version(classification(thresholds=[])),
        [
            "post_processings[0].classification.thresholds: expected 2 thresholds, one per label of "
            "outputs[0], got 0"
        ],
    ),
    **{
        f"{kind}_objectness_of_two_labels": (
            spec(IMAGE_LABELS, LABELS),
            version(classification(), objectness(kind, fields)),
            [
                f'post_processings[1].detection.{kind}_output.confidence: expected "product", since '
                'outputs[1] has 2 labels, which objectness alone cannot tell apart, got "objectness"'
            ],
        )
        for kind, fields in OBJECTNESS.items()
    },
    "all_at_once": (
        spec(LABELS, IMAGE_LABELS, id=1),
        version(classification(thresholds=[0, 0, 0]), spec_id=2),
        [
            "spec_id: expected 1, the id of the spec, got 2",
            "post_processings: expected 2 post-processings, one per output of the spec, got 1",
            'post_processings[0]: expected detection, since outputs[0] has roi "BBOX", got classification',
            "post_processings[0].classification.thresholds: expected 2 thresholds, one per label of "
            "outputs[0], got 3",
        ],
    ),
}


@pytest.mark.parametrize(("spec", "version", "expected"), REJECTED.values(), ids=REJECTED)
def test_pair_that_does_not_fit_names_paths_of_the_version(
    spec: RecognitionSpec, version: RecognitionVersion, expected: list[str]
) -> None:
    with pytest.raises(SchemaError) as caught:
        check_pair(spec, version)
    assert str(caught.value).split("\n") == expected
