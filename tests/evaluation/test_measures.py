"""Masks, keypoints and oriented boxes from detections to numbers, beside pycocotools."""

from __future__ import annotations

import contextlib
import io
import json
import pickle
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from postproc import PostProcessor
from postproc.errors import SchemaError, TensorError
from postproc.evaluation.collected import Collected
from postproc.evaluation.detection import DetectionEvaluation, evaluate_detections
from postproc.evaluation.evaluating import evaluate
from postproc.evaluation.ground_truth import GroundTruth
from postproc.evaluation.measured_detections import MeasuredDetections
from postproc.evaluation.measures import MEASURES
from postproc.evaluation.shapes import Shapes
from postproc.evaluation.sigmas import read_sigmas
from postproc.results import LabelTable, Recognitions
from postproc.saved_tensors.predictions import Predicted
from tests.evaluation.random_sets import LABELS, SIDE, RandomSet, random_set
from tests.evaluation.shaped import SHAPES as SHAPES_OF_KINDS
from tests.evaluation.shaped import of_kind, shaped_truth
from tests.pipelines import post_processor

NAMES = tuple(f"label {row}" for row in range(LABELS))
SPEC = {
    "outputs": [
        {
            "labels": {
                "labels": [{"id": row + 1, "name": name} for row, name in enumerate(NAMES)],
                "exclusive": False,
                "roi": "BBOX",
            }
        }
    ]
}
YIELDS = {"bbox": "boxes", "segm": "masks", "keypoints": "keypoints"}
THRESHOLD = 0.5


def found_of(case: RandomSet) -> MeasuredDetections:
    """Give the detections of known images and labels the form of results."""
    known = np.flatnonzero((case.found.images >= 0) & (case.found.labels >= 0))
    rows = known[np.lexsort((-case.found.scores[known], case.found.images[known]))]
    columns: dict[str, Any] = {}
    if case.kind == "segm":
        columns["masks"] = [
            {**case.shapes[row], "counts": case.shapes[row]["counts"].decode()} for row in rows
        ]
    if case.kind == "keypoints":
        columns["keypoints"] = [case.shapes[row].reshape(-1).tolist() for row in rows]
    shapes = Shapes.of(len(rows), **columns)
    corners = np.hstack([case.boxes[rows, :2], case.boxes[rows, :2] + case.boxes[rows, 2:]])
    return MeasuredDetections(
        case.found.scores[rows],
        case.found.labels[rows],
        np.ones(len(rows), np.bool_),
        np.searchsorted(case.found.images[rows], np.arange(len(case.ids) + 1)),
        LabelTable(np.arange(LABELS) + 1, NAMES, (THRESHOLD,) * LABELS),
        (corners / SIDE).astype(np.float32),
        np.arange(len(rows)),
        shapes.masks,
        shapes.keypoints,
        shapes.rectangles,
    )


def truth_document(case: RandomSet) -> dict[str, Any]:
    shapes, boxes, side = case.truth_shapes, case.truth_boxes, 3 * SIDE  # some reach far beyond their images
    if case.kind == "segm":
        side = SIDE  # of the masks, which boxes say nothing about
        boxes = np.hstack([boxes[:, :2], np.minimum(boxes[:, 2:], SIDE - boxes[:, :2])])
    annotations: list[dict[str, Any]] = []
    for row in range(len(case.truth)):
        annotation: dict[str, Any] = {
            "id": row + 1,
            "image_id": int(case.ids[case.truth.images[row]]),
            "category_id": int(case.truth.labels[row]) + 1,
            "bbox": boxes[row].tolist(),
            "area": float(case.truth.areas[row]),
            "iscrowd": int(case.truth.crowd[row]),
        }
        if case.kind == "segm":
            annotation["segmentation"] = _written(case, row)
        if case.kind == "keypoints":
            points = shapes[row]
            annotation["keypoints"] = points.reshape(-1).tolist()
            annotation["num_keypoints"] = int((points[:, 2] > 0).sum())
        annotations.append(annotation)
    return {
        "info": {},
        "images": [
            {"id": int(key), "file_name": f"{key}.png", "height": side, "width": side} for key in case.ids
        ],
        "categories": [{"id": row + 1, "name": name} for row, name in enumerate(NAMES)],
        "annotations": annotations,
    }


def _written(case: RandomSet, row: int) -> Any:
    """Write a mask in one of COCO's three forms, the same one each time."""
    from pycocotools import mask

    encoded = case.truth_shapes[row]
    x, y, width, height = case.truth_boxes[row].tolist()
    if row % 3 == 0 and width * height > 0:
        return [[x, y, x + width, y, x + width, y + height], [x, y, x + width / 3, y, x, y + height / 2]]
    if row % 3 == 1:
        pixels = mask.decode(encoded).reshape(-1, order="F")
        edges = np.flatnonzero(np.diff(pixels, prepend=0, append=1 - pixels[-1]))
        return {"size": [SIDE, SIDE], "counts": np.diff(edges, prepend=0).tolist()}
    return {"size": [SIDE, SIDE], "counts": encoded["counts"].decode()}


def evaluated(case: RandomSet, **options: Any) -> DetectionEvaluation:
    truth = GroundTruth.load(truth_document(case), SPEC)
    low = found_of(case)
    own = low[low.scores > THRESHOLD]
    batch = truth.batch(range(len(truth)))
    options = {"yields": YIELDS[case.kind], **options}
    return evaluate_detections(truth, Collected(Recognitions((own, low)), batch, (), (), ()), **options)


def by_pycocotools(case: RandomSet, limit: int, detections: MeasuredDetections) -> Any:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    truth = COCO()
    truth.dataset = truth_document(case)
    images = np.repeat(case.ids, np.diff(detections.offsets)).tolist()
    results: list[dict[str, Any]] = []
    for row, image in enumerate(images):
        result = {"image_id": image, "category_id": int(detections.labels[row]) + 1}
        result["score"] = float(detections.scores[row])
        if case.kind == "segm":
            result["segmentation"] = dict(detections.masks[row])
        else:
            result["keypoints"] = detections.keypoints[row].reshape(-1).tolist()
        results.append(result)
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(results), case.kind)
        evaluation.params.maxDets = [limit] if case.kind == "keypoints" else [1, 10, limit]
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation


def without_none(numbers: dict[str, float | None]) -> list[float]:
    return [-1.0 if value is None else value for value in numbers.values()]


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools
@pytest.mark.parametrize(("kind", "limit"), [("segm", 100), ("keypoints", 20), ("segm", 3), ("keypoints", 3)])
def test_numbers_of_masks_and_keypoints_equal_those_of_pycocotools(kind: str, limit: int) -> None:
    reached = 0
    for seed in range(10):
        case = random_set(kind, seed)
        low = found_of(case)
        if not len(low.labels) or not len(case.truth):
            continue
        options = {} if limit in (20, 100) else {"max_detections": limit}
        found, expected = evaluated(case, **options), by_pycocotools(case, limit, low)
        assert next(iter(found.metrics)) == YIELDS[kind]
        assert list(found.metrics) == [YIELDS[kind], "boxes"]
        curves = found.coco.curves
        for name in ("precision", "recall", "scores"):
            ours = getattr(curves, name)
            theirs = expected.eval[name]
            if limit == 3 and kind == "segm":  # of which ours has the limits up to it alone
                theirs = theirs[..., :2]
            np.testing.assert_array_equal(ours, theirs, err_msg=f"{name}, seed {seed}")
        if limit in (20, 100):
            with contextlib.redirect_stdout(io.StringIO()):
                expected.summarize()
            assert len(found.coco.numbers) == len(expected.stats) == (12 if kind == "segm" else 10)
            np.testing.assert_array_equal(without_none(found.coco.numbers), expected.stats)
            value = found.average_precision(0.75)
            np.testing.assert_array_equal(value, curves.by_label(0.75))
            reached += expected.stats[0] > 0.05
    assert reached > 3 or limit == 3
    assert np.isfinite(found.average_precision(0.33)).any()


def simple(annotations: list[dict[str, Any]], names: tuple[str, ...] = NAMES, side: int = 100) -> GroundTruth:
    document = {
        "images": [{"id": 1, "file_name": "a.png", "height": side, "width": side}],
        "categories": [{"id": row + 1, "name": name} for row, name in enumerate(names)],
        "annotations": [
            {"id": row, "image_id": 1, "category_id": 1, **item} for row, item in enumerate(annotations)
        ],
    }
    labels = {"labels": document["categories"], "exclusive": False, "roi": "BBOX"}
    return GroundTruth.load(document, {"outputs": [{"labels": labels}]})


def finding(boxes: list[list[float]], side: int = 100, **shapes: Any) -> MeasuredDetections:
    """Give detections of one image and the first label; boxes are x, y, width, height."""
    array, count = np.array(boxes, float).reshape(-1, 4), len(boxes)
    of = Shapes.of(count, **shapes)
    corners = np.hstack([array[:, :2], array[:, :2] + array[:, 2:]])
    return MeasuredDetections(
        np.linspace(0.9, 0.6, count, dtype=np.float32),
        np.zeros(count, np.int64),
        np.ones(count, np.bool_),
        np.array([0, count]),
        LabelTable(np.arange(LABELS) + 1, NAMES, (0.5,) * LABELS),
        (corners / side).astype(np.float32),
        np.arange(count),
        of.masks,
        of.keypoints,
        of.rectangles,
    )


def measured(truth: GroundTruth, found: MeasuredDetections, **options: Any) -> DetectionEvaluation:
    collected = Collected(Recognitions((found, found)), truth.batch([0]), (), (), ())
    return evaluate_detections(truth, collected, **options)


def polygon(x: float, y: float, width: float, height: float) -> list[list[float]]:
    return [[x, y, x + width, y, x + width, y + height, x, y + height]]


HALVES = [[10.0, 10, 40, 20], [10.0, 30, 40, 20]]  # upper and lower of a box


def test_masks_tell_apart_what_boxes_do_not() -> None:
    truth = simple([{"bbox": [10, 10, 40, 40], "segmentation": polygon(*HALVES[0])}])
    found = finding([[10, 10, 40, 40]] * 2, masks=[polygon(*HALVES[1]), polygon(*HALVES[0])])
    by_masks = measured(truth, found, yields="masks")
    assert by_masks.matches.truth.tolist() == [-1, 0]
    assert by_masks.coco is by_masks.metrics["masks"]
    assert measured(truth, found, yields="masks", measure="boxes").matches.truth.tolist() == [0, -1]
    document = by_masks.to_dict()
    assert (document["measured"], document["heading"], document["version_yields"]) == (
        "masks",
        "mask",
        "masks",
    )
    assert document["labels"][0]["AP75"] == pytest.approx(0.5)
    assert document["labels"][0]["AR"] == 1
    assert document["labels"][1]["AR"] is None
    assert document["remarks"] == []
    text = by_masks.to_text(80)
    assert "COCO's mask AP and AR" in text
    assert "COCO's box AP and AR" in text
    assert "mask AP" in text.split("at the version's thresholds")[1]


@pytest.mark.parametrize("kind", ["masks", "keypoints", "oriented boxes"])
def test_objects_without_the_shape_need_not_be_found(kind: str) -> None:
    boxes = [[10.0, 10, 20, 20], [60.0, 60, 20, 20]]
    points = [[value for _ in range(17) for value in (x + 5, y + 5, 2)] for x, y, *_ in boxes]
    items: list[dict[str, Any]] = [{"bbox": box} for box in boxes]
    items[0] |= {"segmentation": polygon(*boxes[0])} if kind == "masks" else {"keypoints": points[0]}
    truth = simple(items)
    turned = np.array(
        [[20, 20, 20, 20, 0.0], [70, 70, 20, 20, 0.0], [70, 70, 20, 20, 0.0], [30, 80, 20, 20, 0]]
    )
    if kind == "oriented boxes":
        known = np.where(np.array([[True], [False]]), turned[:2], np.nan)
        truth = replace(truth, shapes=replace(truth.shapes, rectangles=known, keypoints=np.zeros((2, 0, 3))))
    four = [*boxes, boxes[1], [20.0, 70, 20, 20]]
    shapes: dict[str, Any] = {
        "masks": {"masks": [polygon(*box) for box in four]},
        "keypoints": {"keypoints": [[x + 5, y + 5, 1] * 17 for x, y, *_ in four]},
        "oriented boxes": {"rectangles": turned},
    }[kind]
    found = measured(truth, finding(four, **shapes), yields=kind)
    # One takes the object, one the object that need not be found, which is one and no crowd.
    assert found.matches.truth.tolist() == [0, -2, -1, -1]
    assert (found.total().objects, found.total().ignored) == (1, 1)
    assert found.mistakes(5)[1] == []
    said = f"1 object of the ground truth without {kind} need not be found, and what finds them counts as"
    assert any(remark.startswith(said) for remark in found.remarks())
    assert found.metrics["boxes"].numbers["AR100"] == 1


def test_what_cannot_be_measured_is_said() -> None:
    truth = simple([{"bbox": [10, 10, 40, 40], "keypoints": [1, 1, 2]}])
    found = finding([[10, 10, 40, 40]], masks=[polygon(10, 10, 40, 40)])
    evaluation = measured(truth, found, yields="masks")
    assert list(evaluation.metrics) == ["boxes"]
    assert evaluation.remarks() == [
        "the version finds masks, and the ground truth has none: boxes are measured, masks are not",
        "the ground truth has keypoints of 1 object, which are not used",
    ]
    with pytest.raises(SchemaError, match="measure: the ground truth has no masks; boxes can be measured"):
        measured(truth, found, measure="masks")
    with pytest.raises(SchemaError, match="measure: the detections have no keypoints; boxes can be measured"):
        measured(truth, found, measure="keypoints")
    with pytest.raises(
        SchemaError, match="measure: expected one of boxes, masks, keypoints, oriented boxes, got"
    ):
        measured(truth, found, measure="hats")


def test_keypoints_need_sigmas_of_their_own_number() -> None:
    truth = simple([{"bbox": [10, 10, 40, 40], "keypoints": [20, 20, 2, 30, 30, 2, 0, 0, 0]}])
    found = finding([[10, 10, 40, 40]], keypoints=[[20, 20, 1, 30, 30, 1, 90, 90, 1]])
    with pytest.raises(
        SchemaError, match=r"there are 3 keypoints, .* Give 3 numbers .* 1 / 3 = 0.3333 for all"
    ):
        measured(truth, found, yields="keypoints")
    with pytest.raises(SchemaError, match="sigmas: expected 3 numbers, one a keypoint, got 2"):
        measured(truth, found, yields="keypoints", sigmas=[0.1, 0.1])
    evaluation = measured(truth, found, yields="keypoints", sigmas=[0.1, 0.1, 0.1])
    assert evaluation.coco.numbers["AP"] == pytest.approx(1)
    assert "OKS 0.5" in evaluation.to_text(100)
    two = finding([[10, 10, 40, 40]], keypoints=[[20, 20, 1, 30, 30, 1]])
    with pytest.raises(SchemaError, match="objects have 3 keypoints, and detections 2: only the same ones"):
        measured(truth, two, yields="keypoints", sigmas=[0.1, 0.1, 0.1])


def test_sigmas_of_people_are_remarked_on_where_labels_are_others() -> None:
    item = {"bbox": [10, 10, 40, 40], "keypoints": [20, 20, 2] * 17}
    found = finding([[10, 10, 40, 40]], keypoints=[[20, 20, 1] * 17])
    said = "keypoints are compared by the sigmas of COCO's people, which other labels may not fit"
    assert said in measured(simple([item]), found, yields="keypoints").remarks()
    people = measured(simple([item], ("person",)), found, yields="keypoints")
    assert people.remarks() == []


@pytest.mark.parametrize(
    ("text", "expected"), [("0.1, 0.2", (0.1, 0.2)), ([1, 2.5], (1.0, 2.5)), (None, None), ("0.5", (0.5,))]
)
def test_sigmas_are_read(text: Any, expected: Any, tmp_path: Path) -> None:
    assert read_sigmas(text) == expected
    if expected is not None:
        (tmp_path / "sigmas.json").write_text(json.dumps(expected))
        assert read_sigmas(tmp_path / "sigmas.json") == expected


@pytest.mark.parametrize(
    "text", ["0.1,0", "", "[0.1]", "x.json", "nan", [-1.0], ["a"], [True], [], [10**400]]
)
def test_sigmas_that_are_none_are_an_error(text: Any) -> None:
    with pytest.raises(SchemaError, match="sigmas"):
        read_sigmas(text)


def test_oriented_boxes_are_measured_by_their_angle() -> None:
    truth = simple([{"bbox": [10, 35, 80, 30]}])
    rectangle = [50, 50, 80, 10, 0.2]  # of 800 pixels, the box of 2,400
    truth = replace(truth, shapes=replace(truth.shapes, rectangles=np.array([rectangle], float)))
    turned = np.array([[50, 50, 80, 10, -0.2], [50, 50, 10, 80, 0.2 + np.pi / 2], [50, 50, 80, 10, 0.21]])
    found = measured(truth, finding([[10, 35, 80, 30]] * 3, rectangles=turned), yields="oriented boxes")
    assert found.matches.truth.tolist() == [-1, 0, -1]
    assert found.coco.numbers["AP_small"] == pytest.approx(0.5)
    assert found.measure is MEASURES["oriented boxes"]
    assert "COCO's oriented box AP" in found.to_text(100)


@pytest.mark.parametrize("kind", ["masks", "keypoints", "oriented boxes"])
def test_nothing_found_is_measured_by_what_a_version_would_find(kind: str) -> None:
    truth = simple(
        [{"bbox": [10, 10, 40, 40], "keypoints": [20, 20, 2] * 17, "segmentation": polygon(10, 10, 40, 40)}]
    )
    truth = replace(truth, shapes=replace(truth.shapes, rectangles=np.array([[30, 30, 40, 40, 0.0]])))
    evaluation = measured(truth, finding([]), yields=kind)
    assert list(evaluation.metrics) == [kind, "boxes"]
    assert evaluation.coco.numbers["AP"] == 0
    assert evaluation.confusion_matrix.counts[0, -1] == 1


def test_limits_of_a_measure_are_its_own() -> None:
    truth = simple([{"bbox": [10, 10, 40, 40], "keypoints": [20, 20, 2] * 17}])
    found = finding([[10, 10, 40, 40]] * 25, keypoints=[[20, 20, 1] * 17] * 25)
    evaluation = measured(truth, found, yields="keypoints")
    assert {name: one.max_detections for name, one in evaluation.metrics.items()} == {
        "keypoints": 20,
        "boxes": 100,
    }
    assert evaluation.coco_limit().detections == 5
    assert {one.max_detections for one in measured(truth, found, max_detections=7).metrics.values()} == {7}
    with pytest.raises(TensorError, match="max_detections: expected a whole number of 1 or more, got 0"):
        measured(truth, found, max_detections=0)


@pytest.mark.parametrize("kind", SHAPES_OF_KINDS)
def test_evaluation_of_a_version_is_headed_by_what_it_finds(kind: str) -> None:
    measuring, names, tensors, measured = of_kind(kind, 3)
    truth = shaped_truth(measuring, names, measured)
    post = post_processor(kind)
    sigmas = "0.1" + ",0.1" * (measured.keypoints.shape[1] - 1) if measured.keypoints.shape[1] else None
    source = InMemory(dict(zip(names, tensors, strict=True)))
    found = evaluate(source, truth, spec=post.spec, version=post.version, sigmas=sigmas)
    assert isinstance(found, DetectionEvaluation)
    document = found.to_dict()
    assert document["measured"] == document["version_yields"] == SHAPES_OF_KINDS[kind]
    assert list(document["metrics"]) == [SHAPES_OF_KINDS[kind], "boxes"]
    assert 0.05 < document["coco"]["AP"] != document["metrics"]["boxes"]["AP"]
    boxes = evaluate(source, truth, spec=post.spec, version=post.version, measure="boxes", sigmas=sigmas)
    assert isinstance(boxes, DetectionEvaluation)
    assert boxes.to_dict()["coco"] == document["metrics"]["boxes"]
    assert boxes.remarks()[-1].startswith(f"the version finds {SHAPES_OF_KINDS[kind]}: boxes head")
    assert boxes.total().true_positives != found.total().true_positives
    again = pickle.loads(pickle.dumps(found))
    np.testing.assert_array_equal(again.average_precision(0.6), found.average_precision(0.6))
    assert again.to_dict() == document


@dataclass
class InMemory:
    """Tensors of images, by their names."""

    tensors: dict[str, Any]

    def predict(self, post: PostProcessor, truth: GroundTruth, max_predictions: int = 100) -> Any:
        batches = ((name, post(one, max_predictions=max_predictions)) for name, one in self.tensors.items())
        return [Predicted([name], np.full((1, 2), 30), found) for name, found in batches], False
