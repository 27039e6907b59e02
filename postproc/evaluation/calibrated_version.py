"""A version whose thresholds are chosen from data, in one call."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from postproc.evaluation.calibration import Calibration, Settings, calibrate, with_thresholds
from postproc.evaluation.measuring import LOWEST_THRESHOLD, Truth, truth_of
from postproc.evaluation.one_pass import PASS_PREDICTIONS, OnePass
from postproc.evaluation.pass_matches import PassMatches, gather
from postproc.evaluation.predictions import PredictionSource, each_counted
from postproc.evaluation.seen_images import some_of
from postproc.evaluation.validation import MEASURES
from postproc.pipeline.post_processor import DocumentLike, PostProcessor
from postproc.schema import RecognitionSpec, RecognitionVersion, check_pair


@dataclass(frozen=True, eq=False, slots=True)
class CalibratedVersion:
    """A version with new thresholds, and what they are worth.

    Parameters
    ----------
    version : RecognitionVersion
    calibrations : tuple of Calibration
        One of each output that was calibrated.
    plan : OnePass
    matches : PassMatches
        What the thresholds were chosen from.
    """

    version: RecognitionVersion
    calibrations: tuple[Calibration, ...]
    plan: OnePass
    matches: PassMatches

    def to_dict(self) -> dict[str, Any]:
        """All numbers, ready for JSON."""
        return {"outputs": [calibration.to_dict() for calibration in self.calibrations]}

    def to_text(self, width: int = 100) -> str:
        """Write the numbers as tables (extra ``cli``)."""
        from postproc.evaluation.tables import calibration_tables, text_of

        return text_of((table for item in self.calibrations for table in calibration_tables(item)), width)

    def notes(self) -> Iterator[str]:
        """Say what a reader of the numbers has to know."""
        for number, calibration in enumerate(self.calibrations):
            where = f"output {calibration.output}: " if len(self.calibrations) > 1 else ""
            source = self.plan.outputs[number].truth.source
            for text, images in (
                ("without a prediction, so that all on them counts as missed", self.matches.missing[number]),
                (f"left out, since {source} does not know them", self.matches.unknown[number]),
            ):
                if images:
                    yield f"{where}images {text}: {len(images)}, {some_of(images)}"
            for label in calibration.labels:
                if label.kept is not None:
                    yield f"{where}{label.name} keeps its threshold {label.old:g}: {label.kept}"
            validation = calibration.validation
            if validation is None:
                yield (
                    f"{where}nothing is known of the gain on other images, since there was no "
                    f"cross-validation: {calibration.not_validated}"
                )
            elif calibration.settings.objective.kind == "f1":
                for name in ("macro_f1", "micro_f1"):
                    if (gain := validation.measures[name]).may_be_luck:
                        yield (
                            f"{where}{MEASURES[name]}: the gain of {gain} is within its spread, and "
                            "may be luck; more images would tell"
                        )


def calibrate_version(
    spec: RecognitionSpec | DocumentLike,
    version: RecognitionVersion | DocumentLike,
    truths: Mapping[int, Truth],
    source: PredictionSource,
    *,
    settings: Settings | None = None,
    nms_grid: Sequence[float] = (),
    lowest: float = LOWEST_THRESHOLD,
    iou: float = 0.5,
    on_images: Callable[[int], None] = lambda images: None,
) -> CalibratedVersion:
    """Choose each label's threshold from images whose content is known, as ``postproc calibrate`` does.

    Parameters
    ----------
    spec : RecognitionSpec, dict, JSON text or path
    version : RecognitionVersion, dict, JSON text or path
    truths : mapping of int to GroundTruth, path or dict
        What is on the images, by output; other outputs stay as they are. What is no `GroundTruth` is read by
        `GroundTruth.load`.
    source : PredictionSource
        What thresholds are chosen from: `SavedTensors`, or `ImagesThroughNetwork`.
    settings : Settings, optional
        The objective, how few examples are too few, and the cross-validation.
    nms_grid, lowest
        As of `OnePass.of`.
    iou : float
        Jaccard index from which on a detection takes an object, above 0 and at most 1.
    on_images : function, optional
        Takes numbers of images as they are done.

    Raises
    ------
    SchemaError
        If the documents or the ground truth are wrong, or one pass would not be exact.
    TensorError, RunnerError, ImageError
        As of the source.
    """
    spec, version = RecognitionSpec.load(spec), RecognitionVersion.load(version)
    check_pair(spec, version)
    known = {output: truth_of(truth, spec, output) for output, truth in truths.items()}
    plan = OnePass.of(spec, version, known, nms_grid, lowest)
    post = PostProcessor(plan.spec, plan.version)
    predictions, only_predicted = source.predict(post, next(iter(known.values())), PASS_PREDICTIONS)
    matches = gather(plan, each_counted(predictions, on_images), iou=iou, only_predicted=only_predicted)
    calibrations = calibrate(plan, matches, settings)
    document = with_thresholds(version.dump(), calibrations)
    return CalibratedVersion(RecognitionVersion.load(document), tuple(calibrations), plan, matches)
