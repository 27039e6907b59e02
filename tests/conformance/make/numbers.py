"""Cases of numbers: quantised ones, those of 16 bits, and scores behind an activation."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.conformance.make.documents import Row, batch, rows, standard
from tests.conformance.make.oracles import nearest
from tests.conformance.make.writing import Draft

NAN, INF = float("nan"), float("inf")
QUARTERS = [[0, 0, 0.5, 0.5], [0.5, 0, 1, 0.5], [0, 0.5, 0.5, 1], [0.5, 0.5, 1, 1]]


def value(q: int, scale: float, zero_point: int) -> float:
    """The float32 nearest to (q - zero_point) * float32(scale): exact but for the product."""
    return nearest((q - zero_point) * Fraction(float(np.float32(scale))))


def dequantise(
    id: str,
    title: str,
    dtype: str,
    quantised: Any,
    scale: Any,
    zero_point: Any,
    why: str,
    axis: int | None = None,
) -> Draft:
    array, scales, zeros = (
        np.array(quantised, dtype),
        np.array(scale, np.float32),
        np.array(zero_point, dtype),
    )
    shape = [1] * array.ndim
    if axis is not None:
        shape[axis] = -1
    of_each = [np.broadcast_to(one.reshape(shape), array.shape) for one in (scales, zeros)]
    found = [
        value(int(q), float(s), int(z))
        for q, s, z in zip(array.flat, *(one.flat for one in of_each), strict=True)
    ]
    inputs = {"quantised": array, "scale": scales, "zero_point": zeros}
    expected = {"values": np.array(found).reshape(array.shape).tolist()}
    return Draft(
        "numbers", f"dequantise-{id}", 51, title, "dequantise", inputs, expected, "rational", why,
        {"axis": axis},
    )  # fmt: skip


def scored(
    id: str,
    rule: int,
    title: str,
    scores: NDArray[Any],
    found: Sequence[tuple[float, int, int]],
    why: str,
    *,
    labels: Sequence[str] = ("a",),
    output: dict[str, Any] | None = None,
    thresholds: Sequence[float] = (0.5,),
    oracle: str = "by hand",
    **more: Any,
) -> Draft:
    """A case of up to four boxes apart, with scores (N, L); `found` has score, label and row of each."""
    boxes = QUARTERS[: len(scores)]
    document = standard(labels, output, thresholds=list(thresholds))
    answers: list[Row] = [(score, label, boxes[row], row) for score, label, row in found]
    inputs = {"boxes": batch(boxes), "scores": scores[None]}
    return Draft(
        "numbers", id, rule, title, "detect", inputs, rows(answers), oracle, why, document=document, **more,
    )  # fmt: skip


def drafts() -> Iterator[Draft]:
    yield from chain(_dequantised(), _quantised_scores(), _halves(), _sigmoids(), _softmaxes())


def _dequantised() -> Iterator[Draft]:
    yield dequantise(
        "uint8", "Bytes with a zero point in the middle.", "uint8", [0, 127, 128, 129, 255], 0.5, 128,
        "(q - 128) * 0.5.",
    )  # fmt: skip
    yield dequantise(
        "int8", "Signed bytes with a zero point at the lower end, as of a sigmoid.", "int8",
        [-128, -127, 0, 127],
        1 / 256, -128, "(q + 128) / 256: 0, 1 / 256, 1 / 2, 255 / 256. q + 128 does not fit in a byte.",
    )  # fmt: skip
    yield dequantise(
        "decimal-scale", "A scale that float32 holds only nearly.", "uint8", [5, 9, 100, 201, 255], 0.01, 0,
        "q * float32(0.01), rounded once: 5 is 0.049999997. In float64, with 0.01, it were 0.05.",
    )  # fmt: skip
    yield dequantise(
        "difference-first", "The zero point is subtracted first, as an integer.", "uint8",
        [200, 201, 202, 255], 0.1,
        201, "0 at the zero point; q * 0.1 - 201 * 0.1 would round twice.",
    )  # fmt: skip
    yield dequantise(
        "int16", "Numbers of 16 bits.", "int16", [-32768, -1, 0, 1, 32767], 1 / 1024, 0, "q / 1024.",
    )  # fmt: skip
    yield dequantise(
        "channels", "A scale and a zero point for each column.", "uint8", [[0, 10], [100, 10], [255, 255]],
        [0.5, 0.25], [100, 10], "(q - 100) / 2 in the first column, (q - 10) / 4 in the second.", axis=1,
    )  # fmt: skip
    yield dequantise(
        "channels-of-rows", "A scale and a zero point for each row.", "int8",
        [[-128, 0, 127], [-128, 0, 127]],
        [1.0, 0.125], [0, -128], "q in the first row, (q + 128) / 8 in the second.", axis=0,
    )  # fmt: skip


def _quantised_scores() -> Iterator[Draft]:
    for id, dtype, zero_point in (("uint8", np.uint8, 0), ("int8", np.int8, -128)):
        scores = (np.array([[128], [129], [127], [255]]) + zero_point).astype(dtype)
        yield scored(
            f"quantised-{id}-at-threshold", 52,
            "A quantised score that stands for the threshold is not above it.",
            scores, [(255 / 256, 0, 3), (129 / 256, 0, 1)], "128 / 256 is 0.5, 129 / 256 above it.",
            output={"quantization": {"scores": {"scale": 1 / 256, "zero_point": zero_point}}},
        )  # fmt: skip
    for id, scale, threshold, lowest in (
        ("three-tenths", 0.1, 0.3, 4),
        ("seven-tenths", 0.1, 0.7, 8),
        ("six-of-255", 1 / 255, 6 / 255, 6),
    ):
        assert lowest == next(q for q in range(256) if value(q, scale, 0) > nearest(threshold))
        scores = np.array([[lowest - 1], [lowest], [lowest + 1]], np.uint8)
        found = [(value(lowest + 1, scale, 0), 0, 2), (value(lowest, scale, 0), 0, 1)]
        yield scored(
            f"quantised-{id}", 52, f"In steps of {scale:.7g} {lowest} is the lowest above {threshold:.7g}.",
            scores, found, f"In float32 {lowest - 1} steps are {value(lowest - 1, scale, 0)}, {lowest} steps "
            f"{value(lowest, scale, 0)}, and the threshold {nearest(threshold)}.",
            output={"quantization": {"scores": {"scale": scale}}}, thresholds=[threshold], oracle="rational",
        )  # fmt: skip
    yield scored(
        "quantised-ties-of-channels", 52, "Other integers of other scales may stand for one score: a tie.",
        np.array([[100, 200], [99, 201]], np.uint8),
        [(100.5 / 128, 1, 1), (100 / 128, 0, 0), (100 / 128, 1, 0), (99 / 128, 0, 1)],
        "201 / 256, then 100 / 128 and 200 / 256 by label, then 99 / 128.", labels=("a", "b"),
        thresholds=(0.5, 0.5),
        output={"quantization": {"scores": {"scale": [1 / 128, 1 / 256], "zero_point": [0, 0]}}},
    )  # fmt: skip


def _halves() -> Iterator[Draft]:
    yield scored(
        "float16-at-threshold", 53, "The float16 score 0.5 is not above 0.5, the next one is.",
        np.array([[0.5], [0.50048828125], [0.75]], np.float16), [(0.75, 0, 2), (0.50048828125, 0, 1)],
        "0.5 + 2^-11.",
    )  # fmt: skip
    yield scored(
        "float16-decimal", 53,
        "The float16 score 0.3 is above the threshold 0.3, the score 0.4 not above 0.4.",
        np.array([[0.3, 0.4]], np.float16), [(0.300048828125, 0, 0)],
        "0.3 is 0.30004883 in float16, 0.4 is 0.39990234.", labels=("a", "b"), thresholds=(0.3, 0.4),
    )  # fmt: skip
    yield scored(
        "float16-denormal", 53, "The smallest float16 is above 0.",
        np.array([[0.0], [2**-24], [-0.0], [2**-14 - 2**-24]], np.float16),
        [(2**-14 - 2**-24, 0, 3), (2**-24, 0, 1)], "5.96e-8 is exact in float32. Others flush it to 0.",
        thresholds=(0.0,), definition=True,
    )  # fmt: skip
    bits = np.array([[0x3E9A], [0x3F00], [0x3F01], [0x3F80]], np.uint16)
    yield scored(
        "bfloat16-bits", 53, "bfloat16 scores are the upper halves of float32.", bits,
        [(1.0, 0, 3), (0.50390625, 0, 2)], "0x3e9a is 0.30078125, 0x3f00 0.5, 0x3f01 0.50390625, 0x3f80 1.",
        parameters={"bfloat16": ["scores"]},
    )  # fmt: skip
    yield scored(
        "bfloat16-decimal", 53, "The bfloat16 score 0.3 is above the threshold 0.3.", bits[:1],
        [(0.30078125, 0, 0)], "0.3 is 0.30078125 in bfloat16.", thresholds=(0.3,),
        parameters={"bfloat16": ["scores"]},
    )  # fmt: skip


def _sigmoids() -> Iterator[Draft]:
    sigmoid = {"score_activation": "sigmoid"}
    yield scored(
        "sigmoid-of-zero", 54, "The sigmoid of 0 is 0.5, not above 0.5.",
        np.array([[0.0], [-0.0], [1.0], [-1.0]], np.float32), [(1 / (1 + math.exp(-1)), 0, 2)],
        "1 / (1 + exp(-1)) = 0.731.", output=sigmoid, oracle="float64", tolerance=1e-7,
    )  # fmt: skip
    yield scored(
        "sigmoid-rounds-to-threshold", 54, "A logit above 0 whose sigmoid rounds to 0.5 does not pass.",
        np.array([[1e-7], [2e-7]], np.float32), [(0.50000006, 0, 1)],
        "0.5 + 2.5e-8 rounds to 0.5, 0.5 + 5e-8 to 0.50000006. Others compare logits, and let both pass.",
        output=sigmoid, definition=True,
    )  # fmt: skip
    yield scored(
        "sigmoid-saturated-ties", 54, "Logits whose sigmoids round to 1 are a tie, which goes by row.",
        np.array([[20.0], [40.0], [30.0]], np.float32), [(1.0, 0, 0), (1.0, 0, 1), (1.0, 0, 2)],
        "1 - 2e-9 is 1 in float32. Others rank logits.", output=sigmoid, definition=True,
    )  # fmt: skip
    yield scored(
        "sigmoid-of-infinity", 54, "The sigmoid of infinity is 1, of minus infinity 0, of NaN none.",
        np.array([[INF], [-INF], [NAN], [1000.0]], np.float32), [(1.0, 0, 0), (1.0, 0, 3)],
        "What counts is the score, not the logit.", output=sigmoid,
    )  # fmt: skip
    yield scored(
        "sigmoid-of-a-low-logit", 54, "The sigmoid of -80 is small, and above 0.",
        np.array([[-80.0], [-1000.0]], np.float32), [(math.exp(-80), 0, 0)],
        "exp(-80) = 1.8e-35; of -1000 it is 0 in float64, too.", output=sigmoid, thresholds=(0.0,),
        oracle="float64",
    )  # fmt: skip


def _softmaxes() -> Iterator[Draft]:
    softmax = {"score_activation": "softmax"}
    three = ("a", "b", "c")
    yield scored(
        "softmax-equal-logits", 55, "Of two equal logits each has 0.5, which is not above 0.5.",
        np.array([[3.0, 3.0], [0.0, 40.0]], np.float32), [(1.0, 1, 1)],
        "exp(-40) is far below the last bit of 1.", labels=("a", "b"), thresholds=(0.5, 0.5), output=softmax,
    )  # fmt: skip
    yield scored(
        "softmax-with-background", 55,
        "The background takes part: of three equal logits and it each has a quarter.",
        np.array([[1.0, 1.0, 1.0, 1.0]], np.float32), [(0.25, 0, 0), (0.25, 2, 0)],
        "0.25 is not above the threshold of b, 0.25.", labels=three, thresholds=(0.125, 0.25, 0.125),
        output={**softmax, "background": "last"},
    )  # fmt: skip
    yield scored(
        "softmax-background-first", 55,
        "Where the background comes first, labels begin in the second column.",
        np.array([[-40.0, 0.0, -40.0], [40.0, 0.0, 0.0]], np.float32), [(1.0, 0, 0)],
        "Column 1 is label a; the second box is background.", labels=("a", "b"), thresholds=(0.5, 0.5),
        output={**softmax, "background": "first"},
    )  # fmt: skip
    yield scored(
        "softmax-large-logits", 55, "Logits of a thousand do not overflow.",
        np.array([[1000.0, 1000.0, 900.0]], np.float32), [(0.5, 0, 0), (0.5, 1, 0)],
        "Only differences count: 1 / 2, 1 / 2, 0.", labels=three, thresholds=(0.25, 0.25, 0.25),
        output=softmax,
    )  # fmt: skip
    yield scored(
        "softmax-masked", 55, "A logit of minus infinity is a mask: its label has 0.",
        np.array([[0.0, -INF, 0.0]], np.float32), [(0.5, 0, 0), (0.5, 2, 0)], "1 / 2, 0, 1 / 2.",
        labels=three, thresholds=(0.0, 0.0, 0.0), output=softmax,
    )  # fmt: skip
    yield scored(
        "softmax-not-a-number", 55, "A NaN or an infinite logit drops its row, and no other.",
        np.array([[NAN, 0.0, 40.0], [INF, 0.0, 40.0], [0.0, 0.0, 40.0]], np.float32), [(1.0, 2, 2)],
        "The sum of such a row is no number.", labels=three, thresholds=(0.0001,) * 3, output=softmax,
    )  # fmt: skip
    thirds = np.array([[math.log(3), 0.0]], np.float32)
    yield scored(
        "softmax-three-to-one", 55, "Logits log(3) and 0 are three quarters and one.", thirds,
        [(0.75, 0, 0), (0.25, 1, 0)], "exp(log(3)) / (3 + 1).", labels=("a", "b"), thresholds=(0.5, 0.125),
        output=softmax, oracle="float64", tolerance=1e-6,
    )  # fmt: skip
