"""The report: which mistakes it tells of and why, and that it is one safe page."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from postproc.errors import ImageError
from postproc.evaluation import charts
from postproc.evaluation.classification import ClassificationEvaluation
from postproc.evaluation.collected import Collected
from postproc.evaluation.detection import DetectionEvaluation, evaluate_detections
from postproc.evaluation.ground_truth import GroundTruth
from postproc.evaluation.mistakes import (
    Mistake,
    false_detections,
    false_labels,
    missed_labels,
    missed_objects,
)
from postproc.evaluation.outlines import Outline
from postproc.evaluation.pictures import picture_mistakes
from postproc.evaluation.report import MOST_CHARTED, MOST_MISTAKES, render_report, write_report
from postproc.results import Detections, Recognitions
from postproc.results.labels import LabelTable
from tests.evaluation.scenes import all_of
from tests.evaluation.test_classification import NAMES
from tests.evaluation.test_classification import evaluated as evaluated_labels

SIDE = 100
HOSTILE = "<script>alert(1)</script>"

Detected = tuple[int, str, float, list[float]]  # image, label, score, xyxy in pixels


def evaluated(
    objects: list[tuple[int, str, list[float]]],
    found: list[Detected],
    names: str | list[str] = "ab",
    threshold: float = 0.5,
    images: int = 2,
) -> DetectionEvaluation:
    """Measure detections by the objects (image, label, xyxy in pixels) of images of 100 x 100 pixels."""
    document = {
        "images": [
            {
                "id": row,
                "file_name": f'{row}"><img src=x onerror=alert(1)>.png',
                "width": SIDE,
                "height": SIDE,
            }
            for row in range(images)
        ],
        "categories": [{"id": row, "name": name} for row, name in enumerate(names)],
        "annotations": [
            {
                "image_id": image,
                "category_id": names.index(label),
                "bbox": [box[0], box[1], box[2] - box[0], box[3] - box[1]],
            }
            for image, label, box in objects
        ],
    }
    labels = [{"id": row, "name": name} for row, name in enumerate(names)]
    spec = {"outputs": [{"labels": {"labels": labels, "exclusive": False, "roi": "BBOX"}}]}
    truth = GroundTruth.load(document, spec)
    found = sorted(found, key=lambda row: (row[0], -row[2]))
    table = LabelTable(np.arange(len(names)), tuple(names), (threshold,) * len(names))
    low = Detections(
        np.array([score for *_, score, _ in found], np.float32),
        np.array([names.index(label) for _, label, *_ in found], np.int64),
        np.ones(len(found), np.bool_),
        np.searchsorted([image for image, *_ in found], np.arange(images + 1)),
        table,
        np.array([box for *_, box in found], np.float32).reshape(-1, 4) / SIDE,
        np.arange(len(found)),
        is_cut=np.zeros(images, np.bool_),
    )
    outputs = (low[low.scores > threshold], low)
    collected = Collected(Recognitions(outputs), all_of(truth), (), (), ())
    return evaluate_detections(truth, collected)


BOX: list[float] = [20, 20, 60, 60]


def test_wrong_detections_are_told_with_their_reasons_best_score_first() -> None:
    found = evaluated(
        [(0, "a", BOX), (1, "a", BOX)],
        [
            (0, "a", 0.9, BOX),
            (0, "a", 0.8, [20, 20, 60, 58]),
            (0, "b", 0.7, BOX),
            (1, "a", 0.95, [40, 20, 80, 60]),
            (1, "b", 0.6, [70, 70, 90, 90]),
            (1, "b", 0.4, BOX),
        ],
    )
    assert [(wrong.image, wrong.title, wrong.explanation) for wrong in false_detections(found, 9)] == [
        (1, "a, score 0.950", "badly placed: its Jaccard index with the object is 0.33"),
        (0, "a, score 0.800", "found twice: a better scored detection has this object"),
        (0, "b, score 0.700", "wrong label: it is a"),
        (1, "b, score 0.600", "nothing like it is there"),
    ]
    assert len(false_detections(found, 2)) == 2


def test_missed_objects_are_told_with_their_reasons_largest_first() -> None:
    found = evaluated(
        [(0, "a", BOX), (0, "b", [70, 70, 90, 90]), (1, "a", [0, 0, 95, 95]), (1, "b", [0, 0, 5, 5])],
        [(0, "b", 0.7, BOX), (0, "b", 0.31, [70, 70, 90, 90]), (1, "b", 0.8, [0, 0, 5, 5])],
    )
    assert [(missed.image, missed.title, missed.explanation) for missed in missed_objects(found, 9)] == [
        (1, "a", "not found at any score"),
        (0, "a", "found as b, score 0.700"),
        (0, "b", "its best score is 0.310, the threshold 0.5"),
    ]


def labels_case() -> ClassificationEvaluation:
    written = np.zeros((3, len(NAMES)), np.bool_)
    written[[0, 1], [0, 1]] = True
    scores = np.full((3, len(NAMES)), 0.1, np.float32)
    scores[0, 2], scores[2, 3], scores[1, 1] = 0.9, 0.7, 0.6
    return evaluated_labels(scores, written)


def test_labels_that_are_wrong_and_missed_are_told() -> None:
    found = labels_case()
    assert [(wrong.title, wrong.explanation) for wrong in false_labels(found, 9)] == [
        ("c, score 0.900", "it is a"),
        ("d, score 0.700", "it has no label"),
    ]
    (missed,) = missed_labels(found, 9)
    assert (missed.title, missed.explanation) == ("a", "its score is 0.100, the threshold 0.4")


# --- the page


class Page(HTMLParser):
    """What a browser would see: elements, their attributes and texts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def picture(row: int) -> Image.Image:
    return Image.new("RGB", (2 * SIDE, 2 * SIDE), (20, 60, 240))


@pytest.mark.parametrize("kind", ["detection", "classification"])
def test_report_is_one_page_that_runs_and_loads_nothing(kind: str) -> None:
    found = labels_case() if kind == "classification" else evaluated(
        [(0, HOSTILE, BOX), (1, "b", BOX)], [(0, "b", 0.9, BOX), (1, "b", 0.9, BOX)], [HOSTILE, "b"]
    )  # fmt: skip
    page = Page(render_report(found, title=HOSTILE, open_image=picture))
    tags = {tag for tag, _ in page.elements}
    assert not tags & {"script", "link", "iframe", "object", "base"}
    for _, attributes in page.elements:
        assert not {name for name in attributes if name.startswith("on")}
        for name in ("src", "href"):
            assert (attributes.get(name) or "data:").startswith("data:")
    assert page.text.count(HOSTILE) >= (1 if kind == "classification" else 4)
    assert "http" not in page.text


def test_report_draws_the_mistakes_around_their_boxes() -> None:
    found = evaluated([(0, "a", BOX), (1, "b", [10, 10, 30, 30])], [(0, "b", 0.9, BOX)])
    page = Page(render_report(found, title="t", open_image=picture))
    pictures = [attributes["src"] or "" for tag, attributes in page.elements if tag == "img"]
    assert len(pictures) == 3  # the wrong one, and two that are missed
    for source in pictures:
        pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2]))), np.int64)
        assert pixels.shape == (240, 240, 3)
        assert (abs(pixels[120, 120] - (20, 60, 240)) < 25).all()
        assert (pixels[:, :, 2] < 120).any()  # an outline
    unopened = Page(render_report(found, title="t"))
    assert not [tag for tag, _ in unopened.elements if tag == "img"]
    assert "found as b, score 0.900" in unopened.text
    assert "No picture" not in unopened.text
    assert "Red: the detection" not in unopened.text
    assert "Red: the detection" in page.text


def test_report_of_images_that_cannot_be_opened_says_why_in_their_places() -> None:
    def open_image(row: int) -> Image.Image:
        if row == 0:
            raise ImageError(f"not found in {HOSTILE}")
        return picture(row)

    found = evaluated([(0, "a", BOX), (1, "b", [10, 10, 30, 30])], [(0, "b", 0.9, BOX)])
    page = Page(render_report(found, title="t", open_image=open_image))
    assert [tag for tag, _ in page.elements].count("img") == 1
    assert page.text.count(f"No picture: not found in {HOSTILE}") == 2
    assert "found as b, score 0.900" in page.text


@pytest.mark.parametrize(
    ("box", "centre"),
    [([40, 50, 48, 62], (120, 120)), ([0, 0, 8, 12], (32, 48)), ([0, 0, 100, 100], (120, 120))],
    ids=["in the middle", "in a corner", "the whole image"],
)
def test_picture_of_a_mistake_shows_its_surroundings(box: list[int], centre: tuple[int, int]) -> None:
    image = Image.new("RGB", (3 * SIDE, 3 * SIDE), (20, 60, 240))
    image.paste((250, 250, 250), tuple(3 * side for side in box))
    corners = tuple(side / SIDE for side in box)
    mistake = Mistake(0, "a", "", Outline(corners))  # type: ignore[arg-type]
    (drawn,) = picture_mistakes([mistake], lambda row: image)
    assert drawn.source is not None
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(drawn.source.partition(",")[2]))), np.int64)
    rows, columns = np.nonzero(pixels.min(axis=2) > 180)
    assert abs(columns.mean() - centre[0]) < 4
    assert abs(rows.mean() - centre[1]) < 4
    red = (pixels[:, :, 0] > 150) & (pixels[:, :, 2] < 130)
    assert red[rows.min() - 3 : rows.min() + 4, centre[0]].any()
    assert red[centre[1], columns.max() - 3 : columns.max() + 4].any()


def test_report_of_many_labels_and_mistakes_stays_small() -> None:
    names = [f"label {row}" for row in range(400)]
    objects = [(row % 50, name, BOX) for row, name in enumerate(names)]
    found = [(row % 50, name, 0.9, [70.0, 70.0, 90.0, 90.0]) for row, name in enumerate(names)]
    text = render_report(evaluated(objects, found, names, images=50), title="t", open_image=picture)
    assert text.count("<svg") == 1 + 2 * MOST_CHARTED
    assert text.count("<img ") == 2 * MOST_MISTAKES
    assert f"{400 - MOST_CHARTED} more stand in" in text
    assert text.count("<tr") >= 400
    assert len(text) < 1_500_000


def test_report_without_any_mistake_says_so(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    write_report(path, evaluated([(0, "a", BOX)], [(0, "a", 0.9, BOX)]), title="all \u2713")
    page = Page(path.read_text(encoding="utf-8"))
    assert page.text.count("None.") == 2
    assert "all \u2713" in page.text


def test_curve_of_many_points_is_drawn_with_few() -> None:
    recall = np.linspace(0, 1, 50_000)
    chart = charts.precision_recall_chart(1 - recall / 2, recall, (0.75, 0.5))
    points = re.search('points="(.*?)"', chart)
    assert points is not None
    drawn = np.array([pair.split(",") for pair in points[1].split()], float)
    assert 200 < len(drawn) < 500
    assert drawn[-1].tolist() == [charts._RIGHT, charts._y(0.5)]
    assert 'cx="121.0"' in chart


def test_score_chart_shows_a_single_one_and_scores_outside_zero_to_one() -> None:
    one = np.array([1.5], np.float32)
    many = np.full(100_000, -0.2, np.float32)
    chart = charts.score_chart(one, many, 0.5)
    assert (chart.count('class="right"'), chart.count('class="wrong"')) == (1, 1)
    assert "10,000" in chart
