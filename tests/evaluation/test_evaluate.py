"""Measuring and calibrating a version in one call, from any source of predictions."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import postproc.evaluation
from postproc import ImageError, PostProcessor, RecognitionVersion, SchemaError, TensorError
from postproc.evaluation import (
    ConfusionCounts,
    DetectionEvaluation,
    Found,
    GroundTruth,
    ImagesThroughNetwork,
    MeasuringPostProcessor,
    OnePass,
    SavedTensors,
    Settings,
    calibrate,
    choose_thresholds,
    collect,
    evaluate,
    evaluate_detections,
    gather,
    with_thresholds,
)
from postproc.evaluation.one_pass import PASS_PREDICTIONS
from postproc.saved_tensors.predictions import Predicted
from postproc.schema import RecognitionSpec
from tests.cli import test_evaluate as command
from tests.evaluation.noisy_boxes import SIDE, boxes_and_truth, spec_of, version_of

LABELS = 3
TENSORS, TRUTH = boxes_and_truth(2)
SPEC, VERSION = RecognitionSpec.load(spec_of(LABELS)), RecognitionVersion.load(version_of())
NAMES = [image["file_name"] for image in TRUTH["images"]]
SETTINGS = Settings(min_examples=2, folds=2, repeats=1, draws=10)
folder = command.folder  # with three images of a cat each


@dataclass
class InMemory:
    """Tensors of a network that someone holds in memory."""

    tensors: dict[str, NDArray[np.float32]]

    def predict(
        self, post: PostProcessor, truth: GroundTruth, max_predictions: int = 100
    ) -> tuple[Iterable[Predicted], bool]:
        found = post(self.tensors, max_predictions=max_predictions)
        return [Predicted(NAMES, np.full((len(NAMES), 2), SIDE), found)], False


def saved(path: Path) -> SavedTensors:
    tensors: dict[str, Any] = {**TENSORS, "images": NAMES, "sizes": np.full((len(NAMES), 2), SIDE)}
    np.savez(path / "tensors.npz", **tensors)
    return SavedTensors(file for file in [path / "tensors.npz"])  # whatever is iterable


def test_evaluate_gives_the_numbers_of_its_steps_from_every_source(tmp_path: Path) -> None:
    truth = GroundTruth.load(TRUTH, SPEC)
    post = MeasuringPostProcessor(SPEC, VERSION)
    predictions, _ = InMemory(TENSORS).predict(post, truth)
    expected = evaluate_detections(truth, collect(truth, predictions)).to_dict()
    assert expected["total"]["right"] > 0
    (tmp_path / "truth.json").write_text(json.dumps(TRUTH))
    seen: list[int] = []
    for source in (InMemory(TENSORS), saved(tmp_path)):
        for known in (truth, TRUTH, tmp_path / "truth.json"):
            found = evaluate(source, known, spec=SPEC, version=VERSION.dump(), on_images=seen.append)
            assert found.to_dict() == expected
    assert seen == 6 * [len(NAMES)]
    assert evaluate(InMemory(TENSORS), TRUTH, spec=SPEC, version=VERSION, iou=0.9).to_dict() != expected


def test_evaluation_tells_its_numbers_as_text(tmp_path: Path) -> None:
    found = evaluate(saved(tmp_path), TRUTH, spec=SPEC, version=VERSION)
    text = found.to_text(90)
    assert f"{found.to_dict()['coco']['AP']:.3f}" in text
    assert max(map(len, text.splitlines())) <= 90
    found.write_report(tmp_path / "report.html", title="made up")
    assert "made up" in (tmp_path / "report.html").read_text()


def test_evaluate_with_a_ground_truth_of_other_labels_is_an_error() -> None:
    other = {"outputs": [*spec_of(LABELS)["outputs"], *spec_of(LABELS + 1)["outputs"]]}
    truth = GroundTruth.load(TRUTH, other, output=1)
    with pytest.raises(SchemaError, match="was loaded for other labels than those of output 0 of the spec"):
        evaluate(InMemory(TENSORS), truth, spec=SPEC, version=VERSION)


def test_calibrate_gives_what_its_steps_give(tmp_path: Path) -> None:
    truth = GroundTruth.load(TRUTH, SPEC)
    plan = OnePass.of(SPEC, VERSION, {0: truth})
    predictions, _ = InMemory(TENSORS).predict(
        PostProcessor(plan.spec, plan.version), truth, PASS_PREDICTIONS
    )
    expected = choose_thresholds(plan.outputs, gather(plan, predictions), SETTINGS)
    found = calibrate(saved(tmp_path), {0: TRUTH}, spec=SPEC, version=VERSION, settings=SETTINGS)
    assert found.version is not None
    assert found.to_dict() == {"outputs": [one.to_dict() for one in expected]}
    assert found.version.dump() == with_thresholds(VERSION.dump(), expected) != VERSION.dump()
    assert str(expected[0].images) in found.to_text()
    kept = [label.name for label in expected[0].labels if label.kept is not None]
    assert [name for name in kept if any(f"{name} keeps" in note for note in found.notes())] == kept


def test_evaluate_runs_a_network_on_a_folder_or_on_files(folder: Path) -> None:
    model, images = folder / "model.onnx", folder / "images"
    truth = folder / "truth.json"
    documents = {"spec": folder / "spec.json", "version": folder / "version.json"}
    all_of_them = evaluate(ImagesThroughNetwork(model, images), truth, **documents)
    assert isinstance(all_of_them, DetectionEvaluation)
    assert all_of_them.total() == ConfusionCounts(3, 3, 0)
    one = evaluate(ImagesThroughNetwork(model, images / "a.png"), truth, **documents)
    assert isinstance(one, DetectionEvaluation)
    assert one.total() == ConfusionCounts(1, 1, 0)
    all_of_them.write_report(folder / "report.html", title="cats", images=images)


def test_evaluate_raises_for_an_unreadable_image_unless_it_is_told_what_to_do(folder: Path) -> None:
    (folder / "images" / "b.png").write_bytes(b"")
    source = ImagesThroughNetwork(folder / "model.onnx", folder / "images")
    truth = folder / "truth.json"
    documents = {"spec": folder / "spec.json", "version": folder / "version.json"}
    with pytest.raises(ImageError, match=r"b\.png"):
        evaluate(source, truth, **documents)
    failed: list[Path] = []
    source = ImagesThroughNetwork(
        source.network, source.images, on_unreadable=lambda path, error: failed.append(path)
    )
    assert evaluate(source, truth, **documents).collected.missing == ("b.png",)
    assert [path.name for path in failed] == ["b.png"]


def test_older_names_give_what_they_gave() -> None:
    counts = Found(10, 6, 2)
    assert (counts.right, counts.wrong, counts.missed) == (6, 2, 4)
    found = evaluate(InMemory(TENSORS), TRUTH, spec=SPEC, version=VERSION)
    assert isinstance(found, DetectionEvaluation)
    assert found.matches.written is found.matches.objects
    assert all(hasattr(postproc.evaluation, name) for name in postproc.evaluation.__all__)


@pytest.mark.parametrize("measure", [evaluate, calibrate])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"output": 3}, "output: COCO results are of one output, and 3 is asked for"),
        ({"output": -1}, "output: expected the row of an output, 0 or more, got -1"),
        ({"output": 0.5}, r"output: expected the row of an output, 0 or more, got 0\.5"),
        ({"output": True}, "output: expected the row of an output, 0 or more, got true"),
        ({"categories": "foo"}, 'categories: expected "auto", "ids" or "names", got "foo"'),
        ({"categories": ["ids"]}, r'categories: expected .* got \["ids"\]'),
        ({"format": "kitti"}, "format: expected one of coco"),
        ({"split": "train"}, "a split 'train' is asked for"),
    ],
)
def test_options_that_mean_nothing_are_refused(measure: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(SchemaError, match=message):
        measure([], TRUTH, **options)


@pytest.mark.parametrize("limit", [0, -1, 1.5, 1.0, True, "100"])
def test_limits_of_detections_that_are_no_whole_numbers_are_refused(limit: Any) -> None:
    with pytest.raises(TensorError, match="max_detections: expected a whole number of 1 or more, got"):
        evaluate([], TRUTH, max_detections=limit)
    assert evaluate([], TRUTH, max_detections=np.int64(7)).to_dict()["coco_limit"]["max_detections"] == 7


def test_options_of_loading_come_too_late_for_what_is_loaded() -> None:
    known = GroundTruth.load(TRUTH)
    for late in ({"split": "val"}, {"format": "coco"}, {"images": "."}, {"skip_unknown": True}):
        with pytest.raises(SchemaError, match=f"is loaded already, and {next(iter(late))} would change how"):
            evaluate([], known, **late)  # type: ignore[arg-type]
