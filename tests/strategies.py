"""Hypothesis strategies of whole cases and of candidates for NMS, and which cases tests leave out.

Structure is drawn, so that failures shrink; the numbers come from a generator whose seed is drawn,
so that examples stay quick.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests import reference
from tests.kinds import KINDS
from tests.random_cases.builder import Case, CaseBuilder, random_case
from tests.random_cases.numbers import Json, clustered_boxes
from tests.reference.rectangles import Rectangle, probiou, rectangle_iou

__all__ = [
    "CandidateSet",
    "Case",
    "candidate_sets",
    "cases",
    "near_tie",
    "random_case",
    "uses_softmax",
]


SEEDS = st.integers(0, 2**32 - 1)
# A strategy that is made for each draw takes longer than the draw.
PLACES = [st.integers(0, max(0, count - 1)) for count in range(20)]


@dataclass(frozen=True, eq=False)
class CandidateSet:
    """What `postproc.ops.batched_nms` takes."""

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    idxs: NDArray[np.int64]
    iou_threshold: float


@st.composite
def cases(draw: st.DrawFn, kind: str, nms_method: str = "hard") -> Case:
    """Draw a case of one output of a kind of `tests.random_cases.builder.ALL`, or of several outputs.

    That is ``"several"`` of v0.7's kinds, ``"any"`` of all of them.
    """
    rng = np.random.default_rng(draw(SEEDS))
    return CaseBuilder(rng, lambda *values: values[draw(PLACES[len(values)])], nms_method=nms_method).case(
        kind
    )


@st.composite
def candidate_sets(draw: st.DrawFn, ties: bool = True) -> CandidateSet:
    """Draw finite boxes with scores and labels for NMS; NaN scores are left to the tests."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    count = draw(st.sampled_from((2, 0, 1, 5, 20, 60)))
    style = draw(st.sampled_from(("grid", "random")))
    boxes = clustered_boxes(rng, (1, count), style)[0] * np.float32(draw(st.sampled_from((1, 64))))
    scores: NDArray[np.float32] = rng.permutation(count).astype(np.float32)
    if ties and draw(st.booleans()):
        scores = (rng.integers(0, 9, count) / 8).astype(np.float32)
    idxs = rng.integers(0, draw(st.sampled_from((1, 3))), count)
    threshold = draw(st.sampled_from((0.5, 0.3, 0.0, 1 / 3, 0.7, 1.0, None)))
    if threshold is None:  # the very Jaccard index of two boxes, where the last bit decides
        overlaps = reference.box_iou(boxes[:1], boxes)
        threshold = float(rng.choice(overlaps[overlaps > 0])) if (overlaps > 0).any() else 0.5
    return CandidateSet(boxes, scores, idxs, threshold)


def near_tie(case: Case) -> bool:
    """Say whether float32 softmax may decide otherwise than the reference.

    That is so where rectangles overlap by just the threshold, and where the score of a softmax or of a
    YOLO grid lies within 4 ulp of a threshold, or within twice that of a score it is compared with. Equal
    scores of one label from equal logits
    are safe, and so are the zeros of masked labels.
    """
    if not any(map(_may_tie, case.version["post_processings"])):
        return False  # without decoding it all
    options = {name: case.options.get(name) for name in ("input_size", "transforms", "batch_size")}
    decoded = reference.hypotheses(case.spec, case.version, case.tensors, **options)
    for output, post, images in zip(
        case.spec["outputs"], case.version["post_processings"], decoded, strict=True
    ):
        detection = post.get("detection", {})
        limits = detection.get("nms_thresholds") or [detection.get("nms_threshold", 0.3)]
        tie = _probiou_ties if detection.get("iou") == "probiou" else _rectangles_tie
        if any(tie(found, float(np.float32(limit))) for found in images for limit in limits):
            return True
        if not uses_softmax(post):
            continue
        thresholds = reference.thresholds_of(post, output)
        floor = detection.get("discard_threshold", 0.025)
        for found in images:
            finite = sorted((one for one in found if np.isfinite(one.score)), key=lambda one: one.score)
            if any(
                _within(one.score, limit, 4) for one in finite for limit in (thresholds[one.label], floor)
            ):
                return True
            for low, high in itertools.pairwise(finite):
                masked = low.score == high.score == 0
                twins = low.label == high.label and low.logits == high.logits
                if _within(low.score, high.score, 8) and not (masked or twins):
                    return True
    return False


def _may_tie(post: Json) -> bool:
    """Say whether a post-processing has a softmax, whose last bits are free, or rectangles."""
    return uses_softmax(post) or any(
        field == "yolov8_obb_output" or "angle" in output.get("columns", ())
        for field, output in post.get("detection", {}).items()
        if field.endswith("_output")
    )


def _rectangles_tie(found: list[reference.Hypothesis], limit: float) -> bool:
    """Say whether two rectangles share about as much as the limit, so that rounding decides.

    Or about that much or more, where one has a side that its corners' numbers are too coarse for.
    """
    return limit < 1 and any(
        rectangle_iou(a, b) > limit - 1e-9
        if _is_thin(a) or _is_thin(b)
        else abs(rectangle_iou(a, b) - limit) < 1e-9
        for a, b in itertools.combinations(_rectangles(found), 2)
    )


def _is_thin(rectangle: Rectangle) -> bool:
    sizes = [abs(number) for number in rectangle[:4]]
    return min(sizes[2:]) < 1e-9 * max(sizes)


def _probiou_ties(found: list[reference.Hypothesis], limit: float) -> bool:
    """Say whether float32 may take the index of two rectangles to the other side of the limit.

    The longer they are, and the more they lie across the axes, the more their determinants cancel.
    """
    doubts = [(one, 3e-7 * (1 + _cancelling(one))) for one in _rectangles(found)]
    return limit < 1 and any(
        abs(probiou(a, b) - limit) < a_doubt + b_doubt
        for (a, a_doubt), (b, b_doubt) in itertools.combinations(doubts, 2)
    )


def _cancelling(rectangle: Rectangle) -> float:
    """Return what the determinant of a rectangle's covariance is a difference of, over itself."""
    _, _, width, height, angle = rectangle
    cos2, sin2 = np.cos(angle) ** 2, np.sin(angle) ** 2
    x, y = width**2 * cos2 + height**2 * sin2, width**2 * sin2 + height**2 * cos2
    return float(x / width**2 * y / height**2)


def _rectangles(found: list[reference.Hypothesis]) -> list[Rectangle]:
    rectangles = {
        one.region: one.rectangle
        for one in found
        if one.rectangle is not None and np.isfinite(one.corners).all()
    }
    return list(rectangles.values())


def uses_softmax(post: Json) -> bool:
    """Say whether a post-processing's scores come from a softmax, so that the last bits are free."""
    if "classification" in post:
        return bool(post["classification"].get("score_activation") == "softmax")
    return any(
        KINDS[field.removesuffix("_output")].softmax or output.get("score_activation") == "softmax"
        for field, output in post["detection"].items()
        if field.endswith("_output")
    )


def _within(a: Any, b: Any, ulps: int) -> bool:
    return bool(abs(float(a) - float(b)) <= ulps * np.spacing(np.float32(max(a, b))))
