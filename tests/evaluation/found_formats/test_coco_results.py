"""COCO results: numbers as pycocotools', in all forms that tools write, and what is broken is named."""

from __future__ import annotations

import contextlib
import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from postproc import SchemaError
from postproc.evaluation import DetectionEvaluation, GroundTruth, calibrate, evaluate
from postproc.evaluation.found_formats import read_found

SIDES = (640, 480)


def made_up(seed: int = 0, images: int = 40, labels: int = 4) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Make ground truth with crowds, and results with ties, other images' detections far from any object."""
    rng = np.random.default_rng(seed)
    width, height = SIDES
    document: dict[str, Any] = {
        "images": [
            {"id": 3 * row + 7, "file_name": f"{3 * row + 7:012d}.jpg", "width": width, "height": height}
            for row in range(images)
        ],
        "categories": [{"id": 2 * row + 1, "name": f"label {row}"} for row in range(labels)],
        "annotations": [],
    }
    results = []
    for image in document["images"]:
        for _ in range(rng.integers(0, 6)):
            box = [*rng.uniform(0, 300, 2), *rng.uniform(4, 150, 2)]
            category = int(rng.integers(0, labels)) * 2 + 1
            document["annotations"].append(
                {
                    "id": len(document["annotations"]) + 1,
                    "image_id": image["id"],
                    "category_id": category,
                    "bbox": [round(side, 2) for side in box],
                    "area": round(box[2] * box[3] * 0.8, 2),
                    "iscrowd": int(rng.random() < 0.1),
                }
            )
            for _ in range(rng.integers(0, 3)):
                shifted = np.add(box, np.append(rng.normal(0, 6, 2), [0, 0]))
                results.append(result(image["id"], category, shifted.tolist(), rng.beta(3, 2)))
        for _ in range(5):
            box = [*rng.uniform(0, 300, 2), *rng.uniform(4, 150, 2)]
            category = int(rng.integers(0, labels)) * 2 + 1
            results.append(result(image["id"], category, box, rng.beta(1, 4)))
    return document, results


def result(image: Any, category: int, box: list[float], score: float) -> dict[str, Any]:
    box = [round(side, 3) for side in box]
    return {"image_id": image, "category_id": category, "bbox": box, "score": round(float(score), 2) + 0.001}


def by_pycocotools(document: dict[str, Any], results: list[dict[str, Any]], kind: str = "bbox") -> Any:
    coco, evaluation = (pytest.importorskip(f"pycocotools.{name}") for name in ("coco", "cocoeval"))
    with contextlib.redirect_stdout(io.StringIO()):
        truth = coco.COCO()
        truth.dataset = document
        truth.createIndex()
        measured = evaluation.COCOeval(truth, truth.loadRes(json.loads(json.dumps(results))), kind)
        measured.evaluate()
        measured.accumulate()
        measured.summarize()
    return measured


def measured(*arguments: Any, **options: Any) -> DetectionEvaluation:
    evaluation = evaluate(*arguments, **options)
    assert isinstance(evaluation, DetectionEvaluation)
    return evaluation


@pytest.mark.parametrize("seed", range(3))
def test_numbers_of_a_list_are_those_of_pycocotools_to_the_last_digit(seed: int) -> None:
    document, results = made_up(seed)
    expected, found = by_pycocotools(document, results), measured(results, document)
    for name in ("precision", "recall", "scores"):
        assert np.array_equal(expected.eval[name], getattr(found.coco.curves, name)), name
    assert list(found.coco.numbers.values()) == [
        None if value == -1 else value for value in expected.stats.tolist()
    ]
    assert any("of every detection of the detections" in note for note in found.notes())


@pytest.mark.parametrize("has_box", [True, False])
@pytest.mark.parametrize(("kind", "measure"), [("segm", "masks"), ("keypoints", "keypoints")])
def test_sizes_of_shapes_are_told_as_pycocotools_does_on_reading(
    kind: str, measure: str, has_box: bool
) -> None:
    document, results = made_up(5)
    rng = np.random.default_rng(5)
    for item in (*document["annotations"], *results):
        x, y, width, height = item["bbox"]
        item["segmentation"] = [[x, y, x + width, y, x + width / 2, y + height]]
        points = np.stack([x + width * rng.random(17), y + height * rng.random(17), np.full(17, 2)], axis=1)
        if item in document["annotations"]:
            item["keypoints"], item["num_keypoints"] = points.ravel().tolist(), 17
    for item in results:
        near = [one for one in document["annotations"] if one["image_id"] == item["image_id"]] or [item]
        around = near[int(rng.integers(0, len(near)))].get("keypoints", [10.0, 20, 2] * 17)
        item["keypoints"] = (np.array(around) + np.tile([*rng.normal(0, 4, 2), 0], 17)).tolist()
        if kind == "segm":
            del item["keypoints"]
        else:
            del item["segmentation"]
        if not has_box:
            del item["bbox"]
        if not has_box and kind == "segm":  # pycocotools reads run lengths alone
            masks = pytest.importorskip("pycocotools.mask")
            (encoded,) = masks.frPyObjects(item["segmentation"], SIDES[1], SIDES[0])
            item["segmentation"] = {"size": encoded["size"], "counts": encoded["counts"].decode()}
    expected = by_pycocotools(document, results, kind)
    found = measured(results, document, measure=measure)
    np.testing.assert_allclose(list(found.coco.numbers.values()), expected.stats, rtol=0, atol=1e-12)
    assert 0.05 < found.coco.numbers["AP"] < 0.95  # type: ignore[operator]


def test_file_with_a_byte_less_or_more_is_read_the_same(tmp_path: Path) -> None:
    document, results = made_up()
    path = tmp_path / "results"
    path.write_text(json.dumps(results, indent=1))
    (tmp_path / "truth.json").write_text(json.dumps(document))
    expected = measured(results, document).to_dict()
    assert measured(path, tmp_path / "truth.json").to_dict() == expected
    numpy = [
        {**item, "bbox": np.array(item["bbox"]), "image_id": np.int64(item["image_id"])} for item in results
    ]
    assert measured(numpy, document).to_dict() == expected


def test_stems_and_file_names_of_ultralytics_find_their_images() -> None:
    document, results = made_up()
    names = {image["id"]: f"street {image['id']}.jpg" for image in document["images"]}
    for image in document["images"]:
        image["file_name"] = f"val/{names[image['id']]}"
    expected = measured(results, document).to_dict()
    stems = [{**item, "image_id": names[item["image_id"]].removesuffix(".jpg")} for item in results]
    assert measured(stems, document).to_dict() == expected
    # Ids that are other images' in the ground truth, as of stems that are numbers: file names count.
    shifted = [
        {**item, "image_id": item["image_id"] + 3, "file_name": names[item["image_id"]]} for item in results
    ]
    found = measured(shifted, document)
    assert found.to_dict() == expected
    assert any(
        "matched by their file_name: 39 image_ids of it are another image's" in note for note in found.notes()
    )


def test_ids_that_are_numbers_of_file_names_find_their_images() -> None:
    document, results = made_up()
    expected = measured(results, document).to_dict()
    for row, image in enumerate(document["images"]):
        for item in document["annotations"]:
            item["image_id"] = row + 1_000_000 if item["image_id"] == image["id"] else item["image_id"]
        image["id"] = row + 1_000_000
    found = measured(results, document)
    assert found.to_dict() == expected
    assert any("by the numbers that their file names are" in note for note in found.notes())


def test_unknown_images_and_categories_are_left_out_and_said() -> None:
    document, results = made_up()
    expected = measured(results, document).to_dict()
    more = [result("nowhere", 1, [0, 0, 9, 9], 0.5), result(7, 99, [0, 0, 9, 9], 0.5)]
    found = measured([*results, *more], document)
    assert found.to_dict() == expected
    notes = "\n".join(found.notes())
    assert "1 image left out, since the ground truth does not know them: nowhere" in notes
    assert "left out: 1 detection of the detections of categories that are no labels, 99" in notes


def test_category_ids_that_fit_one_further_are_said() -> None:
    document, results = made_up()
    for items, key in ((document["categories"], "id"), (document["annotations"], "category_id")):
        for item in items:
            item[key] = (item[key] - 1) // 2
    shifted = [{**item, "category_id": (item["category_id"] + 1) // 2} for item in results]
    notes = list(measured(shifted, document).notes())
    assert any("seem to begin at 1, unlike those of the ground truth" in note for note in notes)


def test_ids_that_may_begin_at_one_are_said() -> None:
    document, results = made_up(1, labels=3)
    for item in document["categories"]:
        item["id"] = (item["id"] - 1) // 2
    for item in document["annotations"]:
        item["category_id"] = (item["category_id"] - 1) // 2
    for item in results:
        item["category_id"] = (item["category_id"] + 1) // 2
    fewer = [item for item in results if item["category_id"] < 3]  # of which all are known, as other labels
    assert any("may begin at 1" in note for note in evaluate(fewer, document).notes())
    assert any("seem to begin at 1" in note for note in evaluate(results, document).notes())
    document["categories"] = document["categories"][:1]
    document["annotations"] = [item for item in document["annotations"] if item["category_id"] == 0]
    ones = [item for item in results if item["category_id"] == 1]
    with pytest.raises(SchemaError, match=r"labels are 0 'label 0'; .* seem to begin at 1.*--spec"):
        evaluate(ones, document)


def test_numbers_are_not_matched_to_labels_that_have_names_alone(tmp_path: Path) -> None:
    page = tmp_path / "a.xml"
    page.write_text(
        "<annotation><filename>a.jpg</filename><size><width>64</width><height>48</height></size><object><name>"
        "dog</name><bndbox><xmin>5</xmin><ymin>6</ymin><xmax>20</xmax><ymax>30</ymax></bndbox></object>"
        "</annotation>"
    )
    results = [{"image_id": "a", "category_id": 0, "bbox": [4, 5, 16, 25], "score": 0.5}]
    with pytest.raises(SchemaError, match=r"categories are numbers, 0, .* are names, 'dog': .*--spec"):
        evaluate(results, tmp_path)
    labels = {"labels": [{"id": 0, "name": "dog"}], "exclusive": False, "roi": "BBOX"}
    assert measured(results, tmp_path, spec={"outputs": [{"labels": labels}]}).total().recall == 1.0


def test_ground_truth_of_another_type_is_an_error() -> None:
    with pytest.raises(SchemaError, match="the ground truth: expected a file, a folder, or COCO's document"):
        evaluate([], [1])  # type: ignore[arg-type]


def test_results_that_are_not_finite_or_turned_over_are_left_out_and_said() -> None:
    document, results = made_up()
    odd = [
        result(7, 1, [0, 0, 9, 9], math.nan),
        result(7, 1, [0, math.inf, 9, 9], 0.5),
        result(7, 1, [10, 10, -4, 9], 0.5),
    ]
    found = measured([*odd, *results], document)
    assert found.to_dict() == measured(results, document).to_dict()
    notes = "\n".join(found.notes())
    assert (
        "2 detections of the detections whose score or box is infinite or not a number, [0] for one" in notes
    )
    assert "1 detection of the detections whose box has a side below 0, [2] for one" in notes


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ({"score": "0.5"}, r'\[1\]\.score: expected a number, got "0.5"'),
        ({"score": True}, r"\[1\]\.score: expected a number, got true"),
        ({"score": 10**400}, r"\[1\]\.score: expected a number, got"),
        ({"bbox": [1, 2, 3]}, r"\[1\]\.bbox: expected \[x, y, width, height\] in pixels"),
        ({"bbox": [1, 2, 3, "4"]}, r"\[1\]\.bbox: expected"),
        ({"bbox": 7}, r"\[1\]\.bbox: expected"),
        ({"bbox": None}, r"\[1\]\.bbox: expected"),
        ({"bbox": {"x": 1}}, r"\[1\]\.bbox: expected"),
        ({"image_id": None}, r"\[1\]\.image_id: expected a whole number, or the stem"),
        ({"image_id": 1.5}, r"\[1\]\.image_id: expected"),
        ({"image_id": [1]}, r"\[1\]\.image_id: expected"),
        ({"category_id": "cat"}, r'\[1\]\.category_id: expected a whole number, got "cat"'),
        ({"keypoints": [1, "2", 3]}, r"\[1\]\.keypoints: expected numbers of points"),
        ({"segmentation": 5}, r"\[1\]\.segmentation: expected polygons, or run lengths"),
        ({"poly": [1, 2]}, r"\[1\]\.poly: expected x and y of four corners"),
        ({"rbox": [1, 2, 3, 4]}, r"\[1\]\.rbox: expected \[centre x, centre y, width, height, angle in rad"),
        ({"rbox": [30, 30, 40, 20, 90]}, r"\[1\]\.rbox: expected .* got \[30, 30, 40, 20, 90\]"),
        ({"rbox": "30"}, r'\[1\]\.rbox: expected .* got "30"'),
    ],
)
def test_broken_result_is_named_by_its_path(broken: dict[str, Any], message: str) -> None:
    right = result(7, 1, [1, 2, 3, 4], 0.5)
    with pytest.raises(SchemaError, match=message):
        read_found([right, {**right, **broken}])


@pytest.mark.parametrize("results", [[1], [None], [[1, 2]], ["image_id"], [{}]])
def test_list_of_something_else_is_named_by_its_path(results: list[Any]) -> None:
    with pytest.raises(SchemaError, match=r"the detections: \[0\]"):
        read_found(results)


def test_boxes_in_other_units_are_refused() -> None:
    document, results = made_up()
    for item in results:
        x, y, width, height = item["bbox"]
        item["bbox"] = [x, y, x + width, y + height]
    with pytest.raises(SchemaError, match=r"detections: .* boxes reach far beyond .* look like corners"):
        evaluate(results, document)
    for item in results:
        item["bbox"] = (np.array(item["bbox"]) / 640).tolist()
    with pytest.raises(SchemaError, match="look like fractions of the image"):
        evaluate(results, document)


def test_shapes_are_read_and_give_boxes_where_there_is_none() -> None:
    corners = [10.0, 20.0, 50.0, 20.0, 50.0, 40.0, 10.0, 40.0]
    given: list[dict[str, Any]] = [
        {"image_id": 7, "category_id": 1, "score": 0.5, "poly": corners, "rbox": [30, 30, 40, 20, 0]},
        {"image_id": 7, "category_id": 1, "score": 0.5, "segmentation": [[10, 20, 50, 20, 50, 40]]},
        {"image_id": 7, "category_id": 1, "score": 0.5, "keypoints": [10, 20, 0.9, 50, 40, 0.1]},
    ]
    for item in given:
        assert read_found([item]).boxes.tolist() == [[10, 20, 40, 20]]
    assert read_found(given[:1]).corners.reshape(-1).tolist() == corners
    assert read_found(given[2:]).keypoints.tolist() == [[10, 20, 0.9, 50, 40, 0.1]]
    masks = pytest.importorskip("pycocotools.mask")
    (mask,) = masks.frPyObjects([[10, 20, 50, 20, 50, 40, 10, 40]], 480, 640)
    mask["counts"] = mask["counts"].decode()
    found = read_found([{"image_id": 7, "category_id": 1, "score": 0.5, "segmentation": mask}])
    assert found.boxes.tolist() == [[10, 20, 40, 20]]
    assert found.masks[0] == mask


def test_rbox_alone_is_what_ultralytics_poly_is() -> None:
    """Corners as ultralytics' `xywhr2xyxyxyxy` has them: centre plus and minus half of both sides."""
    common = {"image_id": 7, "category_id": 1, "score": 0.5}
    angle, half = 0.3, np.array([[20, 10], [20, -10], [-20, -10], [-20, 10]])
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    poly = (half @ turn + [30, 50]).ravel().tolist()
    alone, both = ({**common, "rbox": [30, 50, 40, 20, angle], **more} for more in ({}, {"poly": poly}))
    found = read_found([alone])
    np.testing.assert_allclose(found.corners, read_found([both]).corners, atol=1e-12)
    np.testing.assert_allclose(found.boxes, read_found([both]).boxes, atol=1e-12)
    assert found.notes[0].startswith("rbox of the detections is read as ultralytics writes it")
    assert not read_found([both]).notes
    with pytest.raises(
        SchemaError, match=r"\[0\]\.bbox: expected .* or poly, rbox, segmentation or keypoints"
    ):
        read_found([common])


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_scalars_of_numpy_and_scores_out_of_range_give_no_warning() -> None:
    document, results = made_up(images=4)
    scalars = [
        {
            "image_id": np.int64(item["image_id"]),
            "category_id": np.int16(item["category_id"]),
            "bbox": np.array(item["bbox"], np.float32),
            "score": np.float32(item["score"]),
        }
        for item in results
    ]
    assert measured(scalars, document).total() == measured(results, document).total()
    for score in (1e300, -1e300, np.longdouble("1e39"), np.int8(-128)):
        odd = [{**results[0], "score": score}, *results[1:]]
        measured(odd, document)
        with pytest.raises(SchemaError, match="thresholds are chosen for scores from 0 to 1"):
            calibrate(odd, document)


def test_no_results_are_an_evaluation_in_which_all_is_missed() -> None:
    document, _ = made_up()
    found = measured([], document)
    assert found.total().recall == 0
    assert found.coco.numbers["AP"] == 0


def test_ids_of_results_that_mean_different_labels_are_refused() -> None:
    document, results = made_up(labels=2)
    spec = {
        "outputs": [
            {
                "labels": {
                    "labels": [{"id": 3, "name": "label 0"}, {"id": 5, "name": "label 1"}],
                    "exclusive": False,
                    "roi": "BBOX",
                }
            }
        ]
    }
    truth = GroundTruth.load(document, spec)
    assert truth.categories.by == "names"
    with pytest.raises(SchemaError, match=r"category_id 3 is 'label 1' by .* but 'label 0' by"):
        evaluate(results, truth)
