"""One pass over the images at the lowest thresholds, from which all higher ones are read off.

Why that is exact. Write D(t) for what a version returns of a label at threshold t, and let t0 <= t. With hard
NMS a label's candidates are met by descending score, and one is kept unless a kept one of its own label
overlaps it. So whether a candidate is kept depends on higher-scored ones of its label alone. Those that score
above t are the same candidates, met in the same order, at t and at t0: by induction the same ones of them are
kept. D(t) is the part of D(t0) that scores above t: its beginning. This also holds

- where boxes are clipped before they are compared, placed or left out for having no area: that depends on the
  box alone;
- with ``multi_label: false``, since a box's label of the highest score is found before any threshold is
  looked at, and with it which candidates there are;
- for the matching: a detection takes the best object that no higher-scored one of its label has taken, and
  crowds are never used up;
- for labels of whole images, which do not know each other.

It does not hold where a result depends on lower scores or on other labels' thresholds: with
``class_agnostic`` a box of a label whose threshold rises stops suppressing those of others; the mean boxes of
``weighted`` NMS contain lower-scored ones; and where predictions are limited, labels push each other out, so
that the limit may not be reached here. Such versions are refused. So is soft NMS: boxes only lose score to
higher-scored ones of their label, but none ever goes, so that at the lowest thresholds all are compared with
all, all are returned, and what is thresholded is no score of the network.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from postproc.errors import SchemaError, SchemaProblem
from postproc.evaluation.ground_truth import GroundTruth
from postproc.evaluation.measuring_post_processor import LOWEST_THRESHOLD
from postproc.schema import Detection, RecognitionSpec, RecognitionVersion, check_pair

PASS_PREDICTIONS = 100_000  # of an image and output at most

_NOT_EXACT = "so that one pass at low thresholds does not tell what is found at higher ones"
_REASONS = {
    "class_agnostic": "boxes of different labels suppress each other: what is found of a label depends on "
    f"the thresholds of the others, {_NOT_EXACT}",
    "soft": "scores decay, and are compared with their threshold again, while thresholds are read off one "
    "pass over the network's own scores; and at the low thresholds of that pass soft NMS keeps every box",
    "weighted": "a box is the mean of all those above the threshold that it is merged from, and moves with "
    f"the threshold, {_NOT_EXACT}",
}


@dataclass(frozen=True, slots=True)
class Passed:
    """An output of a version, and where its variants stand in what is predicted in one pass."""

    output: int
    truth: GroundTruth
    kind: str  # "detection" or "classification"
    thresholds: tuple[float, ...]  # of the version, and as lowered
    floors: tuple[float, ...]
    nms_thresholds: tuple[float | None, ...]  # the version's own first; None: not one of all labels
    first: int
    has_version: bool = True  # else there are no old thresholds, and `thresholds` are 0


@dataclass(frozen=True, eq=False, slots=True)
class OnePass:
    """Documents by which a version is calibrated: each output once for each NMS threshold, lowered.

    Parameters
    ----------
    spec : RecognitionSpec
    version : RecognitionVersion
        To predict with: all outputs and variants from one look at the tensors.
    outputs : tuple of Passed
    """

    spec: RecognitionSpec
    version: RecognitionVersion
    outputs: tuple[Passed, ...]

    @classmethod
    def of(
        cls,
        spec: RecognitionSpec,
        version: RecognitionVersion,
        truths: dict[int, GroundTruth],
        nms_grid: Sequence[float] = (),
        lowest: float = LOWEST_THRESHOLD,
    ) -> OnePass:
        """Describe the pass.

        Parameters
        ----------
        spec : RecognitionSpec
        version : RecognitionVersion
        truths : dict of int to GroundTruth
            By output; other outputs are left alone.
        nms_grid : sequence of float
            Values of ``nms_threshold`` to try besides the version's own.
        lowest : float
            No threshold below this is chosen, unless the version's own is lower.

        Raises
        ------
        SchemaError
            If the documents do not fit, or one pass would not be exact for an output: says why.
        """
        check_pair(spec, version)
        for name, values in (("nms_grid", nms_grid), ("lowest", [lowest])):
            if wrong := [value for value in values if not 0 <= value <= 1]:
                raise SchemaError(f"{name}: expected numbers from 0 to 1, got {wrong[0]!r}")
        outputs: list[Passed] = []
        labels: list[dict[str, Any]] = []
        described: list[dict[str, Any]] = []
        post_processings = version.post_processings or ()
        for output, truth in sorted(truths.items()):
            if not 0 <= output < len(post_processings):
                raise SchemaError(
                    f"output: the version has outputs 0 to {len(post_processings) - 1}, got {output}"
                )
            own = post_processings[output]
            path = f"post_processings[{output}].{own.kind}"
            grid: tuple[float | None, ...] = (None,)
            if isinstance(own.task, Detection):
                refuse_inexact(own.task, path)
                if nms_grid and own.task.nms_thresholds is not None:
                    raise SchemaError(
                        f"nms_grid: it chooses one nms_threshold for all labels, while {path}.nms_thresholds "
                        "has one for each; calibrate without a grid, or a version with nms_threshold"
                    )
                grid = (own.task.nms_threshold, *(v for v in nms_grid if v != own.task.nms_threshold))
            thresholds = own.task.thresholds_for(spec.outputs[output].labels)
            floors = tuple(min(lowest, value) for value in thresholds)
            variants = tuple(dict.fromkeys(grid))
            outputs.append(Passed(output, truth, own.kind, thresholds, floors, variants, len(described)))
            for nms_threshold in variants:
                document = own.dump()
                document[own.kind]["thresholds"] = list(floors)
                if nms_threshold is not None:
                    document[own.kind]["nms_threshold"] = nms_threshold
                described.append(document)
                labels.append(spec.outputs[output].dump())
        if nms_grid and not any(passed.kind == "detection" for passed in outputs):
            raise SchemaError("nms_grid: labels of whole images have no nms_threshold to choose")
        return cls(
            RecognitionSpec.load({**spec.dump(), "outputs": labels}),
            RecognitionVersion.load({**version.dump(), "post_processings": described}),
            tuple(outputs),
        )


def refuse_inexact(task: Detection, path: str) -> None:
    """Refuse an output whose detections at a higher threshold are not those that score above it.

    Raises
    ------
    SchemaError
        Says why, and what to calibrate instead.
    """
    reasons = list(_reasons(task))
    if reasons:
        raise SchemaError(
            *(
                SchemaProblem(f"{path}.{field}", f"thresholds cannot be calibrated: {reason}. {remedy}")
                for field, reason, remedy in reasons
            )
        )


def _reasons(task: Detection) -> Iterator[tuple[str, str, str]]:
    if task.class_agnostic:
        yield "class_agnostic", _REASONS["class_agnostic"], "Calibrate a version with class_agnostic false"
    if task.nms_method != "hard":
        yield "nms_method", _REASONS[task.nms_method], 'Calibrate a version with nms_method "hard"'
