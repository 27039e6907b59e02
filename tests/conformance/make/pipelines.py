"""Cases of whole pipelines: what is clipped when, what is returned, in which order, and how much of it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any

import numpy as np

from tests.conformance.make.documents import Row, batch, detection, direct, rows, standard
from tests.conformance.make.writing import Draft

NAN, INF = float("nan"), float("inf")
QUARTERS: list[list[float]] = [[0, 0, 0.5, 0.5], [0.5, 0, 1, 0.5], [0, 0.5, 0.5, 1], [0.5, 0.5, 1, 1]]
WHOLE: list[float] = [0, 0, 1, 1]


def detect(
    id: str,
    rule: int,
    title: str,
    document: dict[str, Any],
    inputs: dict[str, Any],
    expected: dict[str, Any],
    why: str,
    **more: Any,
) -> Draft:
    return Draft(
        "pipelines", f"detect-{id}", rule, title, "detect", inputs, expected, "by hand", why,
        document=document,
        **more,
    )  # fmt: skip


def tensors(boxes: Any, scores: Any) -> dict[str, Any]:
    """The tensors of one image."""
    return {"boxes": batch(boxes), "scores": batch(scores)}


def drafts() -> Iterator[Draft]:
    yield from chain(_clipping(), _batches(), _order(), _discarded(), _decisions(), _sizes(), _no_numbers())


def _clipping() -> Iterator[Draft]:
    anchored = {"anchors_tensor": "anchors", "offsets_tensor": "offsets", "scores_tensor": "scores"}
    anchored["layout"] = "channels_last"
    beyond = [[0.5, 0, 1.5, 1], [0.5, 0, 1, 1]]  # IoU 0.5, and 1 once clipped
    before = [[-1, 0, 0.5, 1], [-1, 0, 0.25, 1]]  # IoU 5 / 6, and 0.5 once clipped
    one = [(0.875, 0, [0.5, 0, 1, 1], 0)]
    two = [(0.875, 0, [0, 0, 0.5, 1], 0), (0.75, 0, [0, 0, 0.25, 1], 1)]
    for id, boxes, found, why in (
        ("joins", beyond, one, "Clipped, both are [0.5, 0, 1, 1]; before, their IoU is 0.5."),
        ("parts", before, two, "Clipped, their IoU is 0.5; before, it is 5 / 6."),
    ):
        scores = [[0.125, 0.875], [0.25, 0.75]]
        inputs = {**tensors(boxes, scores), "offsets": np.zeros((1, 2, 4), np.float32)}
        inputs["anchors"] = inputs.pop("boxes")
        yield detect(
            f"anchored-clipping-{id}", 24, "Anchored boxes are clipped before NMS.",
            detection("anchored_output", anchored, ["a"], nms_threshold=0.6), inputs, rows(found), why,
        )  # fmt: skip
    clipped = [(0.875, 0, [0.5, 0, 1, 1], 0), (0.75, 0, [0.5, 0, 1, 1], 1)]
    for id, boxes, found, why in (
        (
            "joins",
            beyond,
            clipped,
            "Before clipping their IoU is 0.5; clipped, both are equal, and both returned.",
        ),
        ("parts", before, two[:1], "Before clipping their IoU is 5 / 6."),
    ):
        inputs = {"boxes": batch(boxes), "scores": batch([0.875, 0.75]), "classes": np.array([[10, 10]])}
        yield detect(
            f"direct-clipping-{id}", 25, "Direct boxes are clipped after NMS.", direct(nms_threshold=0.6),
            inputs,
            rows(found), why,
        )  # fmt: skip
    columns = np.array([[1.0, 0.75], [0.5, 0.5], [1.0, 0.5], [1.0, 1.0], [0.875, 0.75], [0, 0]], np.float32)
    yield detect(
        "yolo-clipping", 25, "YOLO boxes are clipped after NMS.",
        detection("yolov8_output", {"output_tensor": "table", "layout": "channels_first"}, nms_threshold=0.6,
                  input_size=[1, 1]),
        {"table": batch(columns)}, rows(clipped), "Centre 1, width 1, and centre 0.75, width 0.5: IoU 0.5.",
    )  # fmt: skip
    yield detect(
        "outside-removes", 26, "A box outside of the image is not returned, and removes another.",
        direct(nms_threshold=0.5),
        {
            "boxes": batch([[1.125, 0, 2.125, 1], [0.625, 0, 2.125, 1], [0, 0, 0.5, 0.5]]),
            "scores": batch([0.875, 0.75, 0.625]),
            "classes": np.array([[10, 10, 10]]),
        },
        rows([(0.625, 0, [0, 0, 0.5, 0.5], 2)]),
        "The first lies right of the image; the second's IoU with it is 2 / 3. Others drop it before NMS.",
        definition=True,
    )  # fmt: skip
    yield detect(
        "outside-does-not-count", 26, "A box outside of the image does not count towards the limit.",
        direct(),
        {
            "boxes": batch([[2, 0, 3, 1], *QUARTERS[:2]]),
            "scores": batch([0.875, 0.75, 0.625]),
            "classes": np.array([[10, 10, 10]]),
        },
        rows([(0.75, 0, QUARTERS[0], 1)]), "One row is asked for, and the best that has an area is given.",
        parameters={"max_predictions": 1},
    )  # fmt: skip


def _batches() -> Iterator[Draft]:
    low, high = [[0.25, 0.125]] * 4, [[0.25, 0.125], [0.75, 0.25], [0.0, 0.0], [0.5, 0.5]]
    yield detect(
        "image-without-candidates", 22, "The middle one of three images has no detection.",
        standard(), {"boxes": batch(QUARTERS, QUARTERS, QUARTERS), "scores": batch(high, low, high)},
        rows([(0.75, 0, QUARTERS[1], 1)], [], [(0.75, 0, QUARTERS[1], 1)]), "0.5 is not above 0.5.",
    )  # fmt: skip
    yield detect(
        "no-rows", 21, "Two images without a single box.",
        standard(),
        {"boxes": np.empty((2, 0, 4), np.float32), "scores": np.empty((2, 0, 2), np.float32)},
        rows([], []), "No candidates.",
    )  # fmt: skip
    yield detect(
        "images-do-not-meet", 22, "Equal boxes of two images do not remove each other.",
        standard(), {"boxes": batch([WHOLE], [WHOLE]), "scores": batch([[0.75, 0]], [[0.625, 0]])},
        rows([(0.75, 0, WHOLE, 0)], [(0.625, 0, WHOLE, 0)]), "NMS is within an image.",
    )  # fmt: skip
    everything = [[0.875, 0.75]] * 4
    found: list[Row] = [(0.875, 0, box, row) for row, box in enumerate(QUARTERS)]
    found += [(0.75, 1, box, row) for row, box in enumerate(QUARTERS)]
    yield detect(
        "everything-passes", 23, "Where every box passes for every label, all are returned.",
        standard(), tensors(QUARTERS, everything), rows(found), "4 boxes, 2 labels, no overlap.",
    )  # fmt: skip


def _order() -> Iterator[Draft]:
    scores = [[0.625, 0.75], [0.75, 0.625], [0.875, 0.75], [0.625, 0.625]]
    by_label = [(2, 0), (1, 0), (0, 1), (2, 1), (0, 0), (3, 0), (1, 1), (3, 1)]
    found = [(scores[row][label], label, QUARTERS[row], row) for row, label in by_label]
    yield detect(
        "order", 27, "By score, then by label, then by box.",
        standard(), tensors(QUARTERS, scores), rows(found),
        "0.875; 0.75 thrice; 0.625 four times. Others leave ties open.",
        definition=True,
    )  # fmt: skip
    yield detect(
        "limit", 28, "A limit of 2 keeps the best of both labels.",
        standard(), tensors(QUARTERS, scores), rows(found[:2]),
        "The first two of the order. Others count each label by itself.",
        parameters={"max_predictions": 2}, definition=True,
    )  # fmt: skip


def _discarded() -> Iterator[Draft]:
    shown = {"show_discarded": True}
    yield detect(
        "discarded-follow", 29, "Discarded boxes follow the predicted ones, by score.",
        standard(["a"], discard_threshold=0.25), tensors(QUARTERS, [[0.375], [0.75], [0.5], [0.25]]),
        rows([(0.75, 0, QUARTERS[1], 1), (0.5, 0, QUARTERS[2], 2), (0.375, 0, QUARTERS[0], 0)],
             predicted=[True, False, False]),
        "0.5 is not above 0.5, but above 0.25; 0.25 is not.", parameters=shown,
    )  # fmt: skip
    yield detect(
        "discarded-goes", 29, "A discarded box goes where it overlaps a predicted one of its label.",
        standard(discard_threshold=0.125), tensors([WHOLE, WHOLE], [[0.75, 0.0], [0.375, 0.25]]),
        rows([(0.75, 0, WHOLE, 0), (0.25, 1, WHOLE, 1)], predicted=[True, False]),
        "The second is removed as a, and not as b.", parameters=shown,
    )  # fmt: skip
    yield detect(
        "discarded-removes-no-predicted", 29,
        "A discarded box of a high score removes no predicted one of a low.",
        standard(["a", "b"], thresholds=[0.75, 0.25], discard_threshold=0.125, class_agnostic=True),
        tensors([WHOLE, WHOLE], [[0.625, 0.0], [0.0, 0.5]]),
        rows([(0.5, 1, WHOLE, 1)], predicted=[True]),
        "0.625 is not above 0.75, 0.5 is above 0.25: the predicted one comes first, and removes the other.",
        parameters=shown,
    )  # fmt: skip
    yield detect(
        "limit-with-discarded", 29, "The limit counts predicted and discarded ones together.",
        standard(["a"], discard_threshold=0.125), tensors(QUARTERS, [[0.375], [0.75], [0.4375], [0.25]]),
        rows([(0.75, 0, QUARTERS[1], 1), (0.4375, 0, QUARTERS[2], 2)], predicted=[True, False]),
        "Two are asked for.", parameters={**shown, "max_predictions": 2},
    )  # fmt: skip


def _decisions() -> Iterator[Draft]:
    yield detect(
        "best-label-before-threshold", 30,
        "With one label a box, the best label counts, be it below its threshold.",
        standard(thresholds=[0.5, 0.75], multi_label=False),
        tensors(QUARTERS[:2], [[0.625, 0.6875], [0.625, 0.25]]),
        rows([(0.625, 0, QUARTERS[1], 1)]),
        "0.6875 is the first box's best, and not above 0.75: it has no label.",
    )  # fmt: skip
    yield detect(
        "best-label-tie", 30, "Of two labels with equal scores the first counts.",
        standard(multi_label=False), tensors([WHOLE], [[0.75, 0.75]]), rows([(0.75, 0, WHOLE, 0)]),
        "The lower row of the labels, as argmax.",
    )  # fmt: skip
    yield detect(
        "agnostic", 31, "Without regard to labels the better of two equal boxes is kept.",
        standard(class_agnostic=True), tensors([WHOLE, WHOLE], [[0.75, 0], [0, 0.875]]),
        rows([(0.875, 1, WHOLE, 1)]), "Label b scores more.",
    )  # fmt: skip
    yield detect(
        "agnostic-one-box", 31, "Without regard to labels a box removes itself for its second label.",
        standard(class_agnostic=True), tensors([WHOLE], [[0.75, 0.875]]), rows([(0.875, 1, WHOLE, 0)]),
        "IoU 1 with itself.",
    )  # fmt: skip
    yield detect(
        "threshold-of-each-label", 3, "Each label's IoU threshold may be its own.",
        standard(nms_thresholds=[0.25, 0.625]),
        tensors([WHOLE, [0, 0, 1, 0.5]], [[0.875, 0.75], [0.75, 0.625]]),
        rows([(0.875, 0, WHOLE, 0), (0.75, 1, WHOLE, 0), (0.625, 1, [0, 0, 1, 0.5], 1)]),
        "IoU 0.5: above 0.25, not above 0.625.",
    )  # fmt: skip
    yield detect(
        "nms-off", 14, "At threshold 1 equal boxes are all returned.",
        standard(["a"], nms_threshold=1.0), tensors([WHOLE, WHOLE], [[0.75], [0.875]]),
        rows([(0.875, 0, WHOLE, 1), (0.75, 0, WHOLE, 0)]), "IoU 1 is not above 1.",
    )  # fmt: skip


def _sizes() -> Iterator[Draft]:
    boxes, found = [[50, 25, 100, 50], [0, 0, 200, 100]], [[0.25, 0.25, 0.5, 0.5], WHOLE]
    scores = [[0.75], [0.625]]
    expected = rows([(0.75, 0, found[0], 0), (0.625, 0, found[1], 1)])
    yield detect(
        "pixels-by-size", 32, "Pixels are divided by width and height.",
        standard(["a"], input_size=[100, 200]), tensors(boxes, scores), expected, "x by 200, y by 100.",
    )  # fmt: skip
    yield detect(
        "pixels-by-tensor", 32, "The size may be a tensor, height first.",
        standard(["a"], normalize_wrt_tensor="im_info"),
        {**tensors(boxes, scores), "im_info": batch([100, 200, 1])}, expected, "x by 200, y by 100.",
    )  # fmt: skip


def _no_numbers() -> Iterator[Draft]:
    yield detect(
        "score-not-a-number", 8, "A NaN score drops its label, not its box.",
        standard(), tensors(QUARTERS[:2], [[NAN, 0.75], [0.625, NAN]]),
        rows([(0.75, 1, QUARTERS[0], 0), (0.625, 0, QUARTERS[1], 1)]), "It is not above any threshold.",
    )  # fmt: skip
    yield detect(
        "score-infinite", 9, "An infinite score is no candidate.",
        standard(), tensors(QUARTERS[:2], [[INF, 0.75], [-INF, 0.625]]),
        rows([(0.75, 1, QUARTERS[0], 0), (0.625, 1, QUARTERS[1], 1)]),
        "It is no score of a network. Others take plus infinity for the best.", definition=True,
    )  # fmt: skip
    yield detect(
        "corner-not-a-number", 10,
        "A box with a corner that is NaN or infinite is dropped, and removes nothing.",
        standard(["a"]), tensors([[NAN, 0, 1, 1], [0, 0, INF, 1], [0, -INF, 1, 1], WHOLE],
                                 [[0.9375], [0.875], [0.75], [0.625]]),
        rows([(0.625, 0, WHOLE, 3)]), "Judged before clipping. Others clip infinity to the edge, or raise.",
        definition=True,
    )  # fmt: skip
