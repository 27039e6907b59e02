"""The real one needs MongoDB: ``FIFTYONE_DATABASE_URI`` where its package does not bring one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from postproc import PostProcessor, Yolov8PoseOutput, Yolov8SegOutput
from postproc.demo.dataset import write_dataset
from tests.examples.examples import SEEDS, check, is_installed, load, page

pytestmark = pytest.mark.filterwarnings("ignore")  # of others' packages


@pytest.fixture(scope="module")
def example() -> Any:
    return load("fiftyone/evaluate.py", "fiftyone")


class Sample(dict[str, Any]):
    def __init__(self, path: Path) -> None:
        self.filepath = str(path)


class Samples(list[Sample]):
    def iter_samples(self, *, autosave: bool) -> Samples:
        return self


def corners(label: Any) -> Any:
    x, y, width, height = label.bounding_box
    return [x, y, x + width, y + height]


def test_fiftyone_samples_get_what_is_on_pages(example: Any, tmp_path: Path) -> None:
    samples = Samples()
    for seed in SEEDS:
        samples.append(Sample(tmp_path / f"{seed}.png"))
        Image.fromarray(page(seed).image).save(samples[-1].filepath)
    example.add(samples)
    for sample, seed in zip(samples, SEEDS, strict=True):
        found = sample["found"].detections
        check([int(label.label) for label in found], [corners(label) for label in found], seed)
        assert all(0 < label.confidence < 1 for label in found)
        assert "poses" not in sample


def test_fiftyone_masks_are_of_their_boxes(example: Any) -> None:
    output = Yolov8SegOutput(output_tensor="boxes", prototypes_tensor="prototypes")
    post = PostProcessor.for_detection(["cat"], output, thresholds=[0.5], input_size=[64, 64])
    boxes = np.float32([[32], [32], [32], [16], [0.9], [1]])[None]  # 32 wide, 16 high in the middle
    prototypes = np.full((1, 1, 16, 16), -5, np.float32)
    prototypes[..., :8] = 5  # the left half
    found = post({"boxes": boxes, "prototypes": prototypes}).outputs[0][0]
    (label,) = example.labels(found, (128, 256))["found"].detections
    assert label.bounding_box == pytest.approx([0.25, 0.375, 0.5, 0.25])
    assert label.mask.shape == (32, 128)
    assert label.mask[:, :60].all()
    assert not label.mask[:, 68:].any()


def test_fiftyone_keypoints_have_their_scores(example: Any) -> None:
    post = PostProcessor.for_detection(
        ["cat"], Yolov8PoseOutput(output_tensor="poses", keypoints=2), thresholds=[0.5], input_size=[64, 64]
    )
    table = np.float32([32, 32, 32, 16, 0.9, 16, 32, 0.75, 48, 24, 0.25]).reshape(1, -1, 1)
    fields = example.labels(post({"poses": table}).outputs[0][0], (128, 256))
    (pose,) = fields["poses"].keypoints
    assert pose.label == "cat"
    assert np.array(pose.points) == pytest.approx(np.array([[0.25, 0.5], [0.75, 0.375]]))
    assert pose.confidence == [0.75, 0.25]
    assert len(fields["found"].detections) == 1


@pytest.mark.skipif(not is_installed("fiftyone"), reason="FiftyOne's own evaluation")
def test_fiftyone_counts_as_evaluate_does(example: Any, tmp_path: Path) -> None:
    write_dataset(tmp_path, 4, model="yolo", first_page=0)
    report = example.evaluate(tmp_path).report()
    assert report["micro avg"]["support"] == sum(len(page(seed).labels) for seed in range(4))
    assert report["micro avg"]["f1-score"] > 0.9
