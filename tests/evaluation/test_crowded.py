"""Images with hundreds of finds: numbers as pycocotools' and calibrate's, and what a limit cuts is said."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from postproc import PostProcessor
from postproc.errors import TensorError
from postproc.evaluation.calibration import Settings, choose_thresholds
from postproc.evaluation.coco_metrics import coco_numbers
from postproc.evaluation.collected import collect
from postproc.evaluation.detection import DetectionEvaluation, evaluate_detections
from postproc.evaluation.ground_truth import GroundTruth
from postproc.evaluation.measuring_post_processor import MeasuringPostProcessor
from postproc.evaluation.one_pass import PASS_PREDICTIONS, OnePass
from postproc.evaluation.pass_matches import gather
from postproc.saved_tensors.predictions import Predicted
from postproc.schema import RecognitionSpec, RecognitionVersion
from tests.evaluation.noisy_boxes import spec_of, version_of

HEIGHT, WIDTH = 120, 200
IMAGES = 4


@dataclass(frozen=True, eq=False)
class World:
    """A made-up network's tensors of crowded images, and what is on them."""

    spec: RecognitionSpec
    version: RecognitionVersion
    document: dict[str, Any]
    tensors: dict[str, NDArray[np.float32]]

    @property
    def truth(self) -> GroundTruth:
        return GroundTruth.load(self.document, self.spec)

    def predicted(self, post: PostProcessor, **options: Any) -> Predicted:
        names = [image["file_name"] for image in self.document["images"]]
        return Predicted(names, np.full((IMAGES, 2), (HEIGHT, WIDTH)), post(self.tensors, **options))

    def evaluated(self, max_detections: int = 100) -> DetectionEvaluation:
        post = MeasuringPostProcessor(self.spec, self.version, max_detections=max_detections)
        collected = collect(self.truth, [self.predicted(post)])
        return evaluate_detections(self.truth, collected, max_detections=max_detections)


def world(seed: int, labels: int, boxes: int, objects: int) -> World:
    """Make boxes of which many are found. Scores are of few values: there are ties within and across images.

    Images do not stand in the order of their ids, and pycocotools' does: that decides between equal scores.
    """
    rng = np.random.default_rng(seed)
    table = np.zeros((IMAGES, 4 + labels, boxes), np.float32)
    annotations: list[dict[str, Any]] = []
    ids = [7, 3, 40, 12]
    for image in range(IMAGES):
        corners = np.stack(
            [rng.integers(0, WIDTH - 20, objects), rng.integers(0, HEIGHT - 20, objects)], axis=1
        )
        sides = rng.integers(3, 40, (objects, 2))
        kinds = rng.integers(0, labels, objects)
        near = rng.integers(0, objects, boxes)
        table[image, :2] = (corners + sides / 2)[near].T + rng.normal(0, 1.5, (2, boxes))
        table[image, 2:4] = sides[near].T + rng.integers(0, 4, (2, boxes))
        table[image, 4:] = rng.beta(1, 9, (labels, boxes)) * (rng.random((labels, boxes)) < 0.3)
        table[image, 4 + kinds[near], np.arange(boxes)] = rng.beta(3, 2, boxes)
        for corner, side, kind in zip(corners.tolist(), sides.tolist(), kinds.tolist(), strict=True):
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": ids[image],
                    "category_id": kind + 1,
                    "bbox": [*corner, *side],
                    "area": side[0] * side[1],
                    "iscrowd": int(rng.random() < 0.05),
                }
            )
    table[:, 4:] = np.round(table[:, 4:] * 40) / 40
    images = [
        {"id": ids[row], "file_name": f"{row}.png", "height": HEIGHT, "width": WIDTH} for row in range(IMAGES)
    ]
    spec = spec_of(labels)
    return World(
        RecognitionSpec.load(spec),
        RecognitionVersion.load(
            version_of(thresholds=[0.3] * labels, nms_threshold=0.7, input_size=[HEIGHT, WIDTH])
        ),
        {
            "info": {},
            "images": images,
            "categories": spec["outputs"][0]["labels"]["labels"],
            "annotations": annotations,
        },
        {"out": table},
    )


def by_pycocotools(case: World, max_detections: int) -> Any:
    """Evaluate all that scores anything, in a run of its own, by pycocotools."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    document = case.version.dump()
    document["post_processings"][0]["detection"]["thresholds"] = [0.001] * len(case.truth.table.labels)
    found: Any = PostProcessor(case.spec, document)(case.tensors, max_predictions=10**6).outputs[0]
    assert (np.diff(found.offsets) > 300).all()
    truth = COCO()
    truth.dataset = case.document
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        results = found.to_coco([image["id"] for image in case.document["images"]], (HEIGHT, WIDTH))
        evaluation = COCOeval(truth, truth.loadRes(results), "bbox")
        evaluation.params.maxDets = [1, 10, max_detections]
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation


def mean(values: NDArray[np.float64]) -> float:
    return float(values[values > -1].mean()) if (values > -1).any() else -1.0


MANY_LABELS = pytest.param(world(0, labels=20, boxes=500, objects=60), id="many labels")
TWO_LABELS = pytest.param(world(1, labels=2, boxes=900, objects=300), id="more objects than the limit")


@pytest.mark.parametrize("max_detections", [30, 100, 1000])
@pytest.mark.parametrize("case", [MANY_LABELS, TWO_LABELS])
def test_numbers_of_crowded_images_equal_those_of_pycocotools(case: World, max_detections: int) -> None:
    found, expected = case.evaluated(max_detections).coco, by_pycocotools(case, max_detections)
    precision = expected.eval["precision"][:, :, :, 0, 2]
    # The first number of pycocotools is of a limit of 100, whatever maxDets says.
    numbers = [mean(precision), *expected.stats[1:]]
    assert list(found.numbers)[6:9] == ["AR1", "AR10", f"AR{max_detections}"]
    assert [-1 if value is None else value for value in found.numbers.values()] == numbers
    for label, value in enumerate(found.average_precision):
        assert value == mean(precision[:, :, label])
        assert found.average_precision_50[label] == mean(precision[0, :, label])


@pytest.mark.parametrize("max_detections", [5, 100])
@pytest.mark.parametrize("case", [MANY_LABELS, TWO_LABELS])
def test_counts_of_crowded_images_are_those_of_calibrate_whatever_coco_takes(
    case: World, max_detections: int
) -> None:
    plan = OnePass.of(case.spec, case.version, {0: case.truth})
    post = PostProcessor(plan.spec, plan.version)
    gathered = gather(plan, [case.predicted(post, max_predictions=PASS_PREDICTIONS)])
    (calibration,) = choose_thresholds(plan.outputs, gathered, Settings(folds=0))
    evaluation = case.evaluated(max_detections)
    assert [replace(label, ignored=0) for label in evaluation.by_label()] == [
        label.before for label in calibration.labels
    ]
    assert evaluation.total().true_positives > 150
    for label, part in enumerate(evaluation.by_label()):  # the curve goes through the version's own point
        precision, recall = evaluation.curve(label)
        last = part.true_positives + part.false_positives - 1
        assert (precision[last], recall[last]) == (part.precision, part.recall)


def test_what_is_kept_is_what_counts() -> None:
    case = world(1, labels=2, boxes=900, objects=300)
    own, low = case.predicted(
        MeasuringPostProcessor(case.spec, case.version, max_detections=20)
    ).recognitions.outputs
    everything: Any = PostProcessor(case.spec, case.version)(case.tensors, max_predictions=10**6).outputs[0]
    np.testing.assert_array_equal(own.scores, everything.scores)
    rows = low[0]
    for label in range(2):
        scores = rows.scores[rows.labels == label]
        assert len(scores) == max(20, int((scores > np.float32(0.3)).sum()))


@pytest.mark.parametrize(
    ("max_detections", "names"),
    [(1, ["AR1"]), (5, ["AR1", "AR5"]), (10, ["AR1", "AR10"]), (11, ["AR1", "AR10", "AR11"])],
)
def test_columns_are_named_by_the_limits(max_detections: int, names: list[str]) -> None:
    case = world(0, labels=20, boxes=500, objects=60)
    numbers = case.evaluated(max_detections).coco.numbers
    assert list(numbers) == list(coco_numbers(max_detections))
    assert [name for name in numbers if name.startswith("AR") and "_" not in name] == names
    assert all(0 < value < 1 for value in numbers.values() if value is not None)


def test_what_the_limit_cuts_is_said() -> None:
    case = world(1, labels=2, boxes=900, objects=300)
    document = case.evaluated().to_dict()
    limit = document["coco_limit"]
    assert (limit["max_detections"], limit["images"]) == (100, IMAGES)
    assert 140 < limit["most_objects"] < 180
    said = f"up to {limit['most_objects']} of {limit['most_label']!r} in {limit['most_image']}, so that AP"
    assert [said in remark for remark in document["remarks"]] == [True, False]
    assert f"cuts {limit['detections']} of the version's own detections" in document["remarks"][1]
    found = case.predicted(
        PostProcessor(case.spec, case.version), max_predictions=10**6
    ).recognitions.outputs[0]
    counts = [np.bincount(image.labels, minlength=2) for image in map(found.__getitem__, range(IMAGES))]
    assert limit["detections"] == np.maximum(np.array(counts) - 100, 0).sum() > 0
    assert case.evaluated(1000).to_dict()["remarks"] == []


def test_a_limit_below_one_is_an_error() -> None:
    with pytest.raises(TensorError, match="max_detections: expected a whole number of 1 or more, got 0"):
        world(0, labels=20, boxes=500, objects=60).evaluated(0)
