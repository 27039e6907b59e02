"""Cases of classification: every label against its own threshold."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tests.conformance.make.documents import classification
from tests.conformance.make.oracles import nearest
from tests.conformance.make.writing import Draft

NAN, INF = float("nan"), float("inf")
LABELS = ("wet", "dry", "hot", "cold")


def classify(
    id: str,
    rule: int,
    title: str,
    scores: Any,
    found: Sequence[Sequence[tuple[float, int]]],
    why: str,
    *,
    exclusive: bool = False,
    task: dict[str, Any] | None = None,
    predicted: Sequence[bool] | None = None,
    oracle: str = "by hand",
    **more: Any,
) -> Draft:
    """A case whose `found` has score and label of each row, image by image."""
    array = np.array(scores, np.float32)
    document = classification(LABELS[: array.shape[1]], exclusive=exclusive, **(task or {}))
    flat = [row for image in found for row in image]
    expected: dict[str, Any] = {
        "offsets": [0, *np.cumsum([len(image) for image in found]).tolist()],
        "scores": [nearest(score) for score, _ in flat],
        "labels": [label for _, label in flat],
    }
    if predicted is not None:
        expected["predicted"] = list(predicted)
    return Draft(
        "classification", f"classify-{id}", rule, title, "classify", {"scores": array}, expected, oracle, why,
        document=document, **more,
    )  # fmt: skip


def drafts() -> Iterator[Draft]:
    yield classify(
        "each-above-its-threshold", 69, "Every label above its threshold is returned, best first.",
        [[0.5, 0.75, 0.25, 0.625]], [[(0.75, 1), (0.625, 3)]], "0.5 is not above 0.5, 0.25 not above 0.25.",
        task={"thresholds": [0.5, 0.5, 0.25, 0.5]},
    )  # fmt: skip
    yield classify(
        "exclusive-is-no-argmax", 69, "Exclusive labels are compared with their thresholds as others.",
        [[0.5, 0.375, 0.125, 0.0]], [[(0.5, 0), (0.375, 1)]],
        "Two are above 0.25. Others return the best only.",
        exclusive=True, task={"thresholds": [0.25] * 4}, definition=True,
    )  # fmt: skip
    yield classify(
        "exclusive-with-none", 69, "Exclusive labels may all be below their thresholds: then there is none.",
        [[0.375, 0.25, 0.25, 0.125]], [[]], "0.375 is not above 0.5. Others return the best whatever it is.",
        exclusive=True, task={"thresholds": [0.5] * 4}, definition=True,
    )  # fmt: skip
    yield classify(
        "ties", 27, "Equal scores come in the order of the labels.",
        [[0.75, 0.875, 0.75, 0.875]], [[(0.875, 1), (0.875, 3), (0.75, 0), (0.75, 2)]],
        "By score, then by label. Others leave it open.",
        task={"thresholds": [0.5] * 4}, definition=True,
    )  # fmt: skip
    yield classify(
        "images", 22, "Of three images the second has no label.",
        [[0.75, 0.25], [0.25, 0.5], [0.625, 0.875]], [[(0.75, 0)], [], [(0.875, 1), (0.625, 0)]],
        "0.5 is not above 0.5.", task={"thresholds": [0.5, 0.5]},
    )  # fmt: skip
    yield classify(
        "sigmoid-of-zero", 54, "A logit of 0 is 0.5, not above 0.5.",
        [[0.0, 1.0, -1.0, 0.0]], [[(1 / (1 + math.exp(-1)), 1)]], "1 / (1 + exp(-1)).",
        task={"thresholds": [0.5] * 4, "score_activation": "sigmoid"}, oracle="float64", tolerance=1e-7,
    )  # fmt: skip
    yield classify(
        "softmax-equal-logits", 55, "Of four equal logits each has a quarter, not above a quarter.",
        [[2.0, 2.0, 2.0, 2.0], [40.0, 0.0, 0.0, 0.0]], [[], [(1.0, 0)]],
        "exp(-40) is below the last bit of 1.",
        exclusive=True, task={"thresholds": [0.25] * 4, "score_activation": "softmax"},
    )  # fmt: skip
    yield classify(
        "not-a-number", 8, "A NaN or an infinite score is no label's.",
        [[NAN, 0.75, INF, -INF]], [[(0.75, 1)]], "Others take infinity for a score.",
        task={"thresholds": [0.5] * 4}, definition=True,
    )  # fmt: skip
    yield classify(
        "decimal-at-threshold", 2, "The float32 score 0.3 is not above 0.3.",
        [[0.3, 0.7, 0.4, 0.6]], [[(0.4, 2)]],
        "As float32 they are equal, but for the third. Others compare with the float64.",
        task={"thresholds": [0.3, 0.7, 0.3, 0.6]}, definition=True,
    )  # fmt: skip
    yield classify(
        "default-of-exclusive", 69, "Without thresholds exclusive labels have 0.025.",
        [[0.02, 0.03, 0.9, 0.025]], [[(0.9, 2), (0.03, 1)]],
        "0.025 is not above 0.025. It is postproc's default, others have other ones.",
        exclusive=True, definition=True,
    )  # fmt: skip
    yield classify(
        "discarded", 69, "Asked for, the labels that are not above their thresholds follow.",
        [[0.25, 0.75, NAN, 0.5]], [[(0.75, 1), (0.5, 3), (0.25, 0)]],
        "There is no lower limit; NaN is none of them.",
        task={"thresholds": [0.5] * 4}, predicted=[True, False, False], parameters={"show_discarded": True},
    )  # fmt: skip
