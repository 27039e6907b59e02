"""Choose the thresholds of a version from data, and write them into a new version."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from postproc.errors import SchemaError
from postproc.evaluation.counts import ConfusionCounts
from postproc.evaluation.one_pass import Passed
from postproc.evaluation.pass_matches import PassMatches
from postproc.evaluation.threshold_choice import Objective, ThresholdChoice, Variant, choose
from postproc.evaluation.validation import Gain, Validation, cross_validate
from postproc.schema import RecognitionVersion

MIN_EXAMPLES = 10


@dataclass(frozen=True, slots=True)
class Settings:
    """How thresholds are chosen, and how that is validated.

    Parameters
    ----------
    objective : Objective
    min_examples : int
        Labels with fewer objects keep their threshold.
    folds, repeats, draws, seed : int
        As of `cross_validate`; no validation with 0 folds.

    Raises
    ------
    SchemaError
        If one of them is out of range.
    """

    objective: Objective = field(default_factory=Objective)
    min_examples: int = MIN_EXAMPLES
    folds: int = 5
    repeats: int = 5
    draws: int = 500
    seed: int = 0

    def __post_init__(self) -> None:
        least = {"min_examples": 1, "folds": 2 if self.folds else 0, "repeats": 1, "draws": 10, "seed": 0}
        for name, value in least.items():
            if getattr(self, name) < value:
                more = ", or 0 for none" if name == "folds" else ""
                raise SchemaError(f"{name}: expected {value} or more{more}, got {getattr(self, name)}")


@dataclass(frozen=True, slots=True)
class LabelCalibration:
    """One label, before and after.

    Parameters
    ----------
    id : int
    name : str
    old, new : float
        Thresholds.
    kept : str or None
        Why the label keeps its threshold; None if it got a new one.
    before, after : ConfusionCounts
        On the very data that the threshold was chosen from: better than on other data.
    validated : Gain or None
        F1 on images that no threshold was chosen from; None without validation or objects.
    precision, recall : float or None
        On such images, with new thresholds.
    """

    id: int
    name: str
    old: float
    new: float
    kept: str | None
    before: ConfusionCounts
    after: ConfusionCounts
    validated: Gain | None
    precision: float | None
    recall: float | None

    def to_dict(self) -> dict[str, Any]:
        """All numbers, ready for JSON."""
        return {
            "id": self.id,
            "name": self.name,
            "old_threshold": self.old,
            "new_threshold": self.new,
            "kept": self.kept,
            "in_sample": {"before": self.before.to_dict(), "after": self.after.to_dict()},
            "cross_validated": None
            if self.validated is None
            else {"f1": self.validated.to_dict(), "precision": self.precision, "recall": self.recall},
        }


@dataclass(frozen=True, eq=False, slots=True)
class Calibration:
    """One output of a version, calibrated.

    Parameters
    ----------
    output : int
    kind : {"detection", "classification"}
    images : int
    settings : Settings
    labels : tuple of LabelCalibration
    old_nms, new_nms : float or None
        None for labels of whole images, and where each label has an NMS threshold of its own.
    validation : Validation or None
    not_validated : str or None
        Why there is no validation.
    has_version : bool
        Whether old thresholds are those of a version; else there are none, and "before" is all detections.
    """

    output: int
    kind: str
    images: int
    settings: Settings
    labels: tuple[LabelCalibration, ...]
    old_nms: float | None
    new_nms: float | None
    validation: Validation | None
    not_validated: str | None
    has_version: bool = True

    def to_dict(self) -> dict[str, Any]:
        """All numbers, ready for JSON."""
        return {
            "output": self.output,
            "kind": self.kind,
            "images": self.images,
            "objective": {"kind": self.settings.objective.kind, "wanted": self.settings.objective.wanted},
            "min_examples": self.settings.min_examples,
            "nms_threshold": {"old": self.old_nms, "new": self.new_nms},
            "validation": None if self.validation is None else self.validation.to_dict(),
            "not_validated": self.not_validated,
            "labels": [label.to_dict() for label in self.labels],
        }


def choose_thresholds(
    outputs: Sequence[Passed], gathered: PassMatches, settings: Settings | None = None
) -> list[Calibration]:
    """Choose a threshold for each label of each output of a pass.

    A label keeps its threshold, and `LabelCalibration.kept` says why, where it has fewer than
    ``settings.min_examples`` objects, where nothing right is found at any threshold, or where no threshold
    reaches the wanted precision or number of false positives. Thresholds lie between two scores that occur,
    near the middle, in few digits: a version with them predicts exactly what was chosen.

    Parameters
    ----------
    outputs : sequence of Passed
        As of `OnePass`.
    gathered : PassMatches
        Of these outputs, by `gather`.
    settings : Settings, optional
    """
    settings = settings or Settings()
    return [
        _calibrated(passed, variants, settings)
        for passed, variants in zip(outputs, gathered.variants, strict=True)
    ]


def with_thresholds(document: Mapping[str, Any], calibrations: Sequence[Calibration]) -> dict[str, Any]:
    """Write calibrated thresholds into a version; all else stays as it is, fields of others included.

    Parameters
    ----------
    document : mapping
        The version as JSON was read; it is not changed.
    calibrations : sequence of Calibration

    Raises
    ------
    SchemaError
        If the result is no version.
    """
    result = copy.deepcopy(dict(document))
    for calibration in calibrations:
        task = result["post_processings"][calibration.output][calibration.kind]
        task["thresholds"] = [label.new for label in calibration.labels]
        if calibration.new_nms != calibration.old_nms:
            task["nms_threshold"] = calibration.new_nms
    RecognitionVersion.load(result)
    return result


def _calibrated(passed: Passed, variants: Sequence[Variant], settings: Settings) -> Calibration:
    old = np.array(passed.thresholds, np.float64)
    floors = np.array(passed.floors, np.float64)
    own = variants[0].ranked
    objects = own.objects_by_label()
    considered = objects >= settings.min_examples
    choice = choose(variants, old, floors, considered, settings.objective)
    validation, reason = None, "it was not asked for"
    if settings.folds:
        folds = min(settings.folds, own.images)
        reason = f"there are too few images, {own.images}"
        if folds > 1:
            validation, reason = cross_validate(
                variants, old, floors, considered, settings.objective,
                folds=folds, repeats=settings.repeats, draws=settings.draws, seed=settings.seed,
            ), ""  # fmt: skip
    chosen = variants[choice.variant].ranked
    before = ConfusionCounts.of_labels(objects, *own.counts(own.above(old)))
    after = ConfusionCounts.of_labels(objects, *chosen.counts(chosen.above(choice.thresholds)))
    table = passed.truth.table.labels
    labels = [
        LabelCalibration(
            label.id,
            label.name,
            float(old[row]),
            float(choice.thresholds[row]),
            _why_kept(row, int(objects[row]), choice, settings),
            before[row],
            after[row],
            validation.labels[row] if validation else None,
            validation.precision[row] if validation else None,
            validation.recall[row] if validation else None,
        )
        for row, label in enumerate(table)
    ]
    return Calibration(
        output=passed.output,
        kind=passed.kind,
        images=own.images,
        settings=settings,
        labels=tuple(labels),
        old_nms=variants[0].nms_threshold,
        new_nms=variants[choice.variant].nms_threshold,
        validation=validation,
        not_validated=None if validation else reason,
        has_version=passed.has_version,
    )


def _why_kept(row: int, objects: int, choice: ThresholdChoice, settings: Settings) -> str | None:
    if objects < settings.min_examples:
        examples = "1 example" if objects == 1 else f"{objects} examples"
        return f"{examples}, fewer than {settings.min_examples}"
    if choice.values[row] > 0:
        return None
    if choice.precisions[row] == 0:
        return "nothing right is found at any threshold"
    if settings.objective.kind == "precision":
        return (
            f"a precision of {settings.objective.wanted:g} is not reached: {choice.precisions[row]:.3g} is "
            "the highest"
        )
    return (
        f"{settings.objective.wanted:g} false positives an image are exceeded before anything right is found"
    )
