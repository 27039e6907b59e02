"""Thresholds chosen from data, in one call: from a file of detections of anybody, or from tensors."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from postproc.errors import SchemaError
from postproc.evaluation.calibration import (
    Calibration,
    LabelCalibration,
    Settings,
    choose_thresholds,
    with_thresholds,
)
from postproc.evaluation.categories import MatchBy
from postproc.evaluation.evaluating import (
    DetectionsLike,
    SpecLike,
    Truth,
    VersionLike,
    both,
    load_documents,
    require_boxes,
    truth_of,
)
from postproc.evaluation.found_formats import read_found
from postproc.evaluation.found_thresholds import matches_of, passed_of
from postproc.evaluation.measuring_post_processor import LOWEST_THRESHOLD
from postproc.evaluation.one_pass import PASS_PREDICTIONS, OnePass, Passed
from postproc.evaluation.pass_matches import PassMatches, gather
from postproc.evaluation.placed import Placed
from postproc.evaluation.predictions import PredictionSource, each_counted
from postproc.evaluation.seen_images import some_of
from postproc.evaluation.validation import MEASURES
from postproc.pipeline import PostProcessor
from postproc.schema import RecognitionSpec, RecognitionVersion


@dataclass(frozen=True, eq=False, slots=True)
class CalibratedVersion:
    """New thresholds, and what they are worth.

    Parameters
    ----------
    version : RecognitionVersion or None
        With these thresholds; None where no version was given.
    calibrations : tuple of Calibration
        One of each output that was calibrated.
    outputs : tuple of Passed
        What was calibrated.
    matches : PassMatches
        What the thresholds were chosen from.
    remarks : tuple of str
        What has to be known of the detections.
    """

    version: RecognitionVersion | None
    calibrations: tuple[Calibration, ...]
    outputs: tuple[Passed, ...]
    matches: PassMatches
    remarks: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """All numbers, ready for JSON."""
        return {"outputs": [calibration.to_dict() for calibration in self.calibrations]}

    def thresholds(self) -> dict[str, Any]:
        """Give the thresholds by label, ready for JSON, of the first output that was calibrated.

        ``{"thresholds": [{"id", "name", "threshold"}, ...]}``: a detection counts that scores above the
        threshold of its label. Where a label has no new threshold it is that of the version, or without one
        None (null).
        """
        return {
            "thresholds": [
                {
                    "id": label.id,
                    "name": label.name,
                    "threshold": None if self.version is None and label.kept is not None else label.new,
                }
                for label in self.calibrations[0].labels
            ]
        }

    def to_frame(self) -> Any:
        """Give a row a label as a data frame of pandas, or of polars where that alone is there.

        Raises
        ------
        ImportError
            If neither is installed.
        """
        from postproc.evaluation.frames import frame_of

        rows = []
        for calibration in self.calibrations:
            for label in calibration.labels:
                numbers = label.to_dict()
                sample, validated = numbers.pop("in_sample"), numbers.pop("cross_validated")
                gain = validated["f1"] if validated else {}
                rows.append(
                    {
                        "output": calibration.output,
                        **numbers,
                        "objects": label.before.objects,
                        **{
                            f"{name}_{when}": sample[when][name]
                            for name in ("precision", "recall", "f1")
                            for when in ("before", "after")
                        },
                        "validated_f1_gain": gain.get("gain"),
                        "validated_f1_spread": gain.get("spread"),
                    }
                )
        return frame_of(rows)

    def to_text(self, width: int = 100) -> str:
        """Write the numbers as tables (extra ``cli``)."""
        from postproc.evaluation.tables import calibration_tables, text_of

        return text_of((table for item in self.calibrations for table in calibration_tables(item)), width)

    def to_html(self, width: int = 120) -> str:
        """Write the numbers as a page with these tables (extra ``cli``)."""
        from postproc.evaluation.tables import calibration_tables, page_of

        return page_of((table for item in self.calibrations for table in calibration_tables(item)), width)

    def why_not_better(self) -> str | None:
        """Say why the thresholds are not shown to be better than the old ones; None where they are.

        They are where the 95 % interval of what is gained on images that no threshold was chosen from is
        above 0, for each output: of the mean F1 of labels; for a wanted precision of the precision, if the
        old thresholds miss it, or else of the recall; for a wanted number of false positives of their number,
        if the old thresholds exceed it, or else of the recall.
        """
        for calibration in self.calibrations:
            if calibration.validation is None:
                return f"there was no cross-validation: {calibration.not_validated}"
            name, is_less = calibration.settings.objective.measure(
                calibration.validation.measures, len(calibration.labels)
            )
            gain = calibration.validation.measures[name]
            if gain.high >= 0 if is_less else gain.may_be_luck:
                where = f"output {calibration.output}: " if len(self.calibrations) > 1 else ""
                change = "change" if is_less else "gain"
                return (
                    f"{where}{MEASURES[name]}: the 95 % interval of the {change} of {gain} is "
                    f"{gain.low:+.3f} to {gain.high:+.3f}"
                )
        return None

    def notes(self) -> Iterator[str]:
        """Say what a reader of the numbers has to know."""
        yield from self.remarks
        for number, calibration in enumerate(self.calibrations):
            where = f"output {calibration.output}: " if len(self.calibrations) > 1 else ""
            truth = self.outputs[number].truth
            source = truth.source
            yield from (f"{where}{source}: {note}" for note in truth.notes)
            for text, images in (
                ("without a prediction, so that all on them counts as missed", self.matches.missing[number]),
                (f"left out, since {source} does not know them", self.matches.unknown[number]),
            ):
                if images:
                    yield f"{where}images {text}: {len(images)}, {some_of(images)}"
            yield from (f"{where}{note}" for note in _kept(calibration, self.version is not None))
            validation = calibration.validation
            if validation is None:
                yield (
                    f"{where}nothing is known of the gain on other images, since there was no "
                    f"cross-validation: {calibration.not_validated}"
                )
            elif calibration.settings.objective.kind == "f1":
                for name in ("macro_f1", "micro_f1"):
                    if (gain := validation.measures[name]).high < 0:
                        yield (
                            f"{where}{MEASURES[name]}: {gain} is a loss on images that no threshold was "
                            "chosen from; keep the old ones, unless they were chosen from these very images"
                        )
                    elif gain.may_be_luck:
                        yield (
                            f"{where}{MEASURES[name]}: the gain of {gain} is within its spread, and "
                            "may be luck; more images would tell"
                        )


def _kept(calibration: Calibration, has_version: bool) -> Iterator[str]:
    """Say which labels get no new threshold, and why: a note a reason, however many labels it is of."""
    by_reason: dict[str, list[LabelCalibration]] = {}
    for label in calibration.labels:
        if label.kept is not None:
            few = label.before.objects < calibration.settings.min_examples
            reason = f"fewer than {calibration.settings.min_examples} examples"
            by_reason.setdefault(reason if few else label.kept.partition(":")[0], []).append(label)
    for reason, labels in by_reason.items():
        if len(labels) == 1:
            kept = f"keeps its threshold {labels[0].old:g}" if has_version else "gets no threshold"
            yield f"{labels[0].name} {kept}: {labels[0].kept}"
        else:
            kept = "keep their thresholds" if has_version else "get no threshold"
            most = sorted(labels, key=lambda label: -label.before.objects)
            names = some_of(tuple(f"{label.name} ({label.before.objects})" for label in most))
            yield f"{len(labels)} labels {kept}: {reason}; by their examples {names}"


def calibrate(
    detections: DetectionsLike,
    truth: Truth | Mapping[int, Truth],
    *,
    spec: SpecLike = None,
    version: VersionLike = None,
    settings: Settings | None = None,
    output: int = 0,
    nms_grid: Sequence[float] = (),
    lowest: float = LOWEST_THRESHOLD,
    iou: float = 0.5,
    categories: MatchBy = "auto",
    skip_unknown: bool = False,
    format: str | None = None,
    split: str | None = None,
    images: str | os.PathLike[str] | None = None,
    on_images: Callable[[int], None] = lambda images: None,
) -> CalibratedVersion:
    """Choose each label's threshold from images whose content is known, as ``postproc calibrate`` does.

    From detections that are there already thresholds can only rise, as `found_thresholds` tells.

    Parameters
    ----------
    detections
        As of `evaluate`.
    truth : GroundTruth, path or dict, or mapping of int to these
        What is on the images; by output, where several are calibrated. Other outputs stay as they are.
    spec, version
        As of `evaluate`. Without a version the result has thresholds by label alone.
    settings : Settings, optional
        The objective, how few examples are too few, and the cross-validation.
    output : int
        Which output, unless `truth` says it.
    nms_grid, lowest
        As of `OnePass.of`; from detections that are there already, no ``nms_threshold`` can be chosen.
    iou : float
        Jaccard index from which on a detection takes an object, above 0 and at most 1.
    categories, skip_unknown, format, split, images
        As of `GroundTruth.load`.
    on_images : function, optional
        Takes numbers of images as they are done.

    Raises
    ------
    SchemaError
        If the documents, the detections or the ground truth are wrong, or what is found at other thresholds
        cannot be read off them.
    TensorError, RunnerError, ImageError
        As of the source.
    """
    loaded = load_documents(spec, version)
    truths: Any = {output: truth}
    if isinstance(truth, Mapping) and truth and all(isinstance(key, int) for key in truth):
        truths = truth
    known = {
        row: truth_of(
            item,
            loaded[0],
            row,
            categories=categories,
            skip_unknown=skip_unknown,
            format=format,
            split=split,
            images=images,
        )
        for row, item in sorted(truths.items())
    }
    remarks: tuple[str, ...] = ()
    if isinstance(detections, PredictionSource):
        plan = OnePass.of(*both(loaded), known, nms_grid, lowest)
        post = PostProcessor(plan.spec, plan.version)
        predictions, only_predicted = detections.predict(post, next(iter(known.values())), PASS_PREDICTIONS)
        matches = gather(plan, each_counted(predictions, on_images), iou=iou, only_predicted=only_predicted)
        outputs = plan.outputs
    else:
        outputs, matches, remarks = _of_file(detections, known, loaded, nms_grid, lowest, iou)
        on_images(matches.variants[0][0].ranked.images)
    calibrations = choose_thresholds(outputs, matches, settings)
    new = None
    if loaded[1] is not None:
        new = RecognitionVersion.load(with_thresholds(loaded[1].dump(), calibrations))
    return CalibratedVersion(new, tuple(calibrations), outputs, matches, remarks)


def _of_file(
    detections: Any,
    truths: Mapping[int, Any],
    documents: tuple[RecognitionSpec | None, RecognitionVersion | None],
    nms_grid: Sequence[float],
    lowest: float,
    iou: float,
) -> tuple[tuple[Passed, ...], PassMatches, tuple[str, ...]]:
    if nms_grid:
        raise SchemaError(
            "nms_grid: what NMS left is in the detections, and other boxes are not: choose nms_threshold "
            "from tensors or through the network"
        )
    if not 0 <= lowest <= 1:
        raise SchemaError(f"lowest: expected a number from 0 to 1, got {lowest!r}")
    if len(truths) > 1:
        raise SchemaError(
            f"truth: detections of a file are of one output, and there are ground truths of {len(truths)}: "
            "calibrate one after the other (--output-index)"
        )
    ((output, truth),) = truths.items()
    require_boxes(truth, output)
    placed = Placed.of(read_found(detections, output, has_spec=documents[0] is not None), truth)
    passed, remarks = passed_of(placed, truth, documents[1], output, lowest)
    return (passed,), matches_of(placed, truth, iou), remarks
