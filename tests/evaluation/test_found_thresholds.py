"""Thresholds chosen from files of detections are those that tensors give, where these can be lower."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from postproc import PostProcessor, SchemaError
from postproc.evaluation import CalibratedVersion, Objective, Settings, calibrate, evaluate
from postproc.evaluation.found_thresholds import below
from tests.evaluation.noisy_boxes import boxes_and_truth, names_and_sizes, spec_of, version_of
from tests.evaluation.test_evaluate import InMemory

TENSORS, TRUTH = boxes_and_truth(2)
SPEC, VERSION = spec_of(3), version_of(thresholds=[0.5, 0.6, 0.7])
SETTINGS = Settings(min_examples=2, folds=3, repeats=2, draws=30)


def results(lowest: float = 0.001, version: Any = VERSION) -> list[dict[str, Any]]:
    (task,) = (item["detection"] for item in version["post_processings"])
    low = {"post_processings": [{"detection": {**task, "thresholds": [lowest] * 3}}]}
    found: Any = PostProcessor(SPEC, low)(TENSORS, max_predictions=10_000).outputs[0]
    names, sizes = names_and_sizes(len(found))
    return json.loads(json.dumps(found.to_coco(np.arange(len(names)) + 1, sizes)))  # type: ignore[no-any-return]


def thresholds(calibrated: CalibratedVersion) -> list[float]:
    return [label.new for label in calibrated.calibrations[0].labels]


@pytest.mark.parametrize(
    "objective", [Objective(), Objective("precision", 0.6), Objective("false_positives", 0.3)]
)
def test_thresholds_of_a_whole_list_are_those_of_the_tensors(objective: Objective) -> None:
    settings = Settings(objective, 2, 3, 2, 30)
    documents = {"spec": SPEC, "version": VERSION, "settings": settings}
    expected = calibrate(InMemory(TENSORS), TRUTH, **documents)
    found = calibrate(results(), TRUTH, **documents)
    assert found.version == expected.version
    [of_file], [of_tensors] = found.to_dict()["outputs"], expected.to_dict()["outputs"]
    assert of_file["labels"] == of_tensors["labels"]
    assert of_file["validation"]["macro_f1"] == of_tensors["validation"]["macro_f1"]


def test_thresholds_do_not_fall_below_the_file_and_it_is_said() -> None:
    version = version_of(thresholds=[0.2, 0.9, 0.9])
    whole = calibrate(results(), TRUTH, spec=SPEC, version=version, settings=SETTINGS)
    cut = results(0.85)
    found = calibrate(cut, TRUTH, spec=SPEC, version=version, settings=SETTINGS)
    lows = [min(item["score"] for item in cut if item["category_id"] == label) for label in (1, 2, 3)]
    assert min(thresholds(whole)) < 0.85 < min(lows)
    assert all(low - 0.01 < new for low, new in zip(lows, thresholds(found), strict=True))
    notes = "\n".join(found.notes())
    assert "no threshold is chosen below the lowest score of each label" in notes
    assert "1 label has a threshold below all scores of the detections, label 0" in notes


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"class_agnostic": True}, "boxes of different labels suppress each other"),
        ({"nms_method": "soft"}, "scores decay"),
        ({"nms_method": "weighted"}, "a box is the mean"),
    ],
)
def test_what_cannot_be_read_off_a_file_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(SchemaError, match=message):
        calibrate(results(), TRUTH, spec=SPEC, version=version_of(**change))


def test_grids_and_scores_that_are_none_are_refused() -> None:
    with pytest.raises(SchemaError, match="nms_grid: what NMS left is in the detections"):
        calibrate(results(), TRUTH, nms_grid=[0.5])
    with pytest.raises(SchemaError, match="scores are from"):
        calibrate([{**item, "score": item["score"] * 100} for item in results()], TRUTH)


@pytest.mark.parametrize("spec_and_version", [False, True])
def test_labels_without_a_new_threshold_are_told_of_together(spec_and_version: bool) -> None:
    truth = {**TRUTH, "categories": [{"id": row + 1, "name": f"label {row}"} for row in range(80)]}
    documents: dict[str, Any] = {"settings": Settings(min_examples=24, folds=0)}
    if spec_and_version:
        documents |= {"spec": spec_of(80), "version": version_of(thresholds=0.5)}
    found = calibrate(results(), truth, **documents)
    kept = [label for label in found.calibrations[0].labels if label.kept is not None]
    (note,) = (note for note in found.notes() if "fewer than 24 examples" in note)
    does = "keep their thresholds" if spec_and_version else "get no threshold"
    assert note.startswith(f"{len(kept)} labels {does}: fewer than 24 examples; by their examples label")
    assert note.endswith("(0) and others")
    text = " ".join(found.to_text(200).split())
    assert "77 labels neither there nor found" in text
    assert ("0→" in text, "- gets no threshold" in text) == ((False, True), (True, False))[spec_and_version]
    assert "label 2" in text
    assert "label 3" not in text


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_scores_beyond_float32_are_above_the_thresholds_of_a_version() -> None:
    odd = [{**item, "score": 1e300} for item in results()[:3]]
    assert evaluate(odd, TRUTH, spec=SPEC, version=VERSION).total() == evaluate(odd, TRUTH).total()


def test_without_a_version_the_result_is_thresholds_by_label() -> None:
    found = calibrate(results(), TRUTH, settings=Settings(min_examples=24, folds=0))
    assert found.version is None
    kept = [label.kept is not None for label in found.calibrations[0].labels]
    assert any(kept)
    assert not all(kept)
    assert [item["threshold"] is None for item in found.thresholds()["thresholds"]] == kept
    assert [item["id"] for item in found.thresholds()["thresholds"]] == [1, 2, 3]
    assert any("is taken for what NMS of each label by itself left" in note for note in found.notes())


def test_cut_lists_are_said_with_the_score_that_they_are_sure_above(tmp_path: Path) -> None:
    kept = []
    everything = results()
    for image in range(1, len(TRUTH["images"]) + 1):
        of_image = sorted(
            (item for item in everything if item["image_id"] == image), key=lambda item: -item["score"]
        )
        kept += of_image[:20]
    notes = "\n".join(calibrate(kept, TRUTH, settings=SETTINGS).notes())
    assert "have exactly 20 detections, and none has more" in notes
    assert "are chosen from cut lists" in notes


def test_results_are_typed_and_give_frames_and_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    found = calibrate(results(), TRUTH, spec=SPEC, version=VERSION, settings=SETTINGS)
    pandas = pytest.importorskip("pandas")
    frame = found.to_frame()
    assert isinstance(frame, pandas.DataFrame)
    assert frame["new_threshold"].tolist() == thresholds(found)
    assert "label 0" in found.to_html()
    polars = pytest.importorskip("polars")
    monkeypatch.setitem(sys.modules, "pandas", None)
    assert isinstance(found.to_frame(), polars.DataFrame)
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(ImportError, match="needs pandas or polars"):
        found.to_frame()


def test_gains_of_equal_thresholds_are_no_better_and_of_bad_ones_are() -> None:
    documents: dict[str, Any] = {"spec": SPEC, "settings": SETTINGS}
    bad = calibrate(results(), TRUTH, version=version_of(thresholds=[0.97, 0.97, 0.02]), **documents)
    assert bad.why_not_better() is None
    assert bad.version is not None
    again = calibrate(results(), TRUTH, version=bad.version, **documents)
    assert "the 95 % interval of the gain of" in str(again.why_not_better())
    none = calibrate(results(), TRUTH, spec=SPEC, version=VERSION, settings=Settings(folds=0))
    assert "no cross-validation" in str(none.why_not_better())


def test_floors_are_just_below_scores_in_few_digits() -> None:
    rng = np.random.default_rng(0)
    for score in [*rng.uniform(0, 1, 200), *10 ** rng.uniform(-6, 0, 200), 0.25, 1.0, 0.001, 0.0]:
        floor = below(float(score))
        assert np.float32(floor) < np.float32(score) or score == floor == 0
        assert floor >= score * 0.989 or score < 1e-30
        assert floor == float(f"{floor:.3g}")
