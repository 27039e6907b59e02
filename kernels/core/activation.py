"""Sigmoid and softmax, and what the first makes of a limit on scores."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from .._codings import BLOCK
from .._jit import inlined, inner

NONE = 0
SIGMOID = 1
SOFTMAX = 2
ROOT = 4
"""Added to one of these for limits: a score is the root of a product, so that its square limits a factor."""

# Below it squares leave the normal range of float32.
_LEAST_ROOT = 1e-15

_LANES = 8


@inner
def sigmoid(logit: np.float32) -> np.float32:
    """Logistic function in float64, rounded once, so that a score does not hang on a library's last bit."""
    return np.float32(1.0 / (1.0 + math.exp(-np.float64(logit))))


@inner
def activate(value: np.float32, activation: int) -> np.float32:
    """Score of a value whose activation is none or sigmoid, or to whose row the softmax has been applied."""
    return sigmoid(value) if activation == SIGMOID else value


@inner
def logit_limit(limit: np.float32) -> np.float32:
    """Limit on logits for a limit on scores: no logit at or below it has a sigmoid above `limit`.

    It leaves a margin for rounding, so a logit above it is only worth computing its sigmoid.
    """
    if limit <= 0.0:
        return np.float32(-np.inf)
    if limit >= 1.0:
        return np.float32(np.inf)
    logit = math.log(np.float64(limit) / (1.0 - np.float64(limit)))
    return np.float32(logit - 1e-5 * (1.0 + abs(logit)))


@inner
def value_limit(limit: np.float32, activation: int) -> np.float32:
    """Limit on values for a limit on scores: what is not above it makes no score above `limit`."""
    if activation >= ROOT:
        # The score is rounded: it leaves a margin.
        square = np.float64(limit) * np.float64(limit) * (1.0 - 1e-6)
        limit = np.float32(square if limit > _LEAST_ROOT else 0.0)
        activation -= ROOT
    return logit_limit(limit) if activation == SIGMOID else limit


@inner
def combined(value: np.float32, factor: np.float32, activation: int, is_root: bool) -> np.float32:
    """Score of a value with a further factor, of which no more than 1 counts, in float64, rounded once.

    The sigmoid is applied to both; after a softmax, which has been applied to the value, to the factor.
    """
    probability = float(np.float64(value))
    certainty = float(np.float64(factor))
    if activation == SIGMOID:
        probability = 1.0 / (1.0 + math.exp(-probability))
    if activation != NONE:
        certainty = 1.0 / (1.0 + math.exp(-certainty))
    score = probability * (1.0 if certainty > 1.0 else certainty)
    return np.float32(math.sqrt(score) if is_root else score)


@inner
def new_row(count: int) -> NDArray[np.float32]:
    """Room for `count` numbers, filled up to whole blocks; all of it is -inf, which masks a logit."""
    row = np.empty((count + BLOCK - 1) // BLOCK * BLOCK, np.float32)
    for index in range(row.shape[0]):
        row[index] = -np.inf
    return row


@inner
def softmax(logits: NDArray[np.float32], count: int, probabilities: NDArray[np.float32]) -> None:
    """Softmax of one row in float32; all NaN if a logit is NaN or +inf, or if all are -inf.

    Both arrays come from `new_row`. What lies behind the `count` logits is masked.
    """
    total = exponentials(logits, count, probabilities)
    for index in range(count):
        probabilities[index] /= total


@inlined
def exponentials(logits: NDArray[np.float32], count: int, powers: NDArray[np.float32]) -> np.float32:
    """Write what a softmax divides by the sum of them all, and return that sum.

    Whole vectors are computed, since a row of 21 would leave five numbers to a loop without them.
    """
    end = (count + _LANES - 1) // _LANES * _LANES
    highest = _largest(logits, end)
    for index in range(end):
        powers[index] = _exp_of_difference(logits[index], highest)
    return np.float32(_sum(powers, end))


@inner
def log_limit(limit: np.float32) -> np.float32:
    """Limit on the difference of a logit and its row's largest: at or below it no softmax is above `limit`.

    It leaves a margin for rounding. A probability is exp(difference) divided by a sum of at least 1.
    """
    if limit <= 0.0:
        return np.float32(-np.inf)
    logit = math.log(np.float64(limit))
    return np.float32(logit - 1e-5 * (1.0 + abs(logit)))


@inner
def largest(values: NDArray[np.float32]) -> np.float32:
    """Highest of `values`; anything if one of them is NaN."""
    return _largest(values, values.shape[0])


@inlined
def _largest(values: NDArray[np.float32], count: int) -> np.float32:
    # As integers, which order as the numbers do once negative ones are mirrored: LLVM vectorises an integer
    # maximum, but not one of floats, where NaN makes the order of comparisons matter.
    highest = np.int32(-0x80000000)
    for index in range(count):
        bits = np.float32(values[index]).view(np.int32)
        mirrored = np.int32(bits ^ ((bits >> 31) & 0x7FFFFFFF))
        highest = mirrored if mirrored > highest else highest
    return np.int32(highest ^ ((highest >> 31) & 0x7FFFFFFF)).view(np.float32)


@inner
def _sum(values: NDArray[np.float32], count: int) -> float:
    """Sum whole vectors, each lane for itself: in one order on every processor, which LLVM vectorises."""
    sum0 = sum1 = sum2 = sum3 = sum4 = sum5 = sum6 = sum7 = 0.0
    for index in range(0, count, _LANES):
        sum0 += values[index]
        sum1 += values[index + 1]
        sum2 += values[index + 2]
        sum3 += values[index + 3]
        sum4 += values[index + 4]
        sum5 += values[index + 5]
        sum6 += values[index + 6]
        sum7 += values[index + 7]
    return ((sum0 + sum4) + (sum2 + sum6)) + ((sum1 + sum5) + (sum3 + sum7))


@inner
def _exp_of_difference(x: np.float32, largest: np.float32) -> np.float32:
    """exp(x - largest) in float32 for x <= largest, within 2 ulp, in arithmetic that LLVM vectorises.

    Cody-Waite reduction to |r| <= ln(2)/2 and the polynomial of Cephes ``expf`` (Moshier 1992). What the
    subtraction rounds off is added to the reduced argument (TwoSum, Knuth 1969): at -80 it would be 30 ulp.
    """
    difference = x - largest
    lost = difference - x
    lost = (x - (difference - lost)) - (largest + lost)
    # Below -87 the power of two leaves the normal range, and nothing passes a threshold. NaN stays NaN.
    tiny = difference < np.float32(-87.0)
    difference = np.float32(-87.0) if tiny else difference
    # Adding 1.5 * 2**23 rounds to an integer without a call, and leaves it in the low bits.
    shifted = difference * np.float32(1.44269504) + np.float32(12582912.0)
    whole = shifted - np.float32(12582912.0)
    r = difference - whole * np.float32(0.693359375)
    r = r - whole * np.float32(-2.12194440e-4)
    r = r if tiny else r + lost
    p = np.float32(1.9875691500e-4)
    p = p * r + np.float32(1.3981999507e-3)
    p = p * r + np.float32(8.3334519073e-3)
    p = p * r + np.float32(4.1665795894e-2)
    p = p * r + np.float32(1.6666665459e-1)
    p = p * r + np.float32(5.0000001201e-1)
    p = p * (r * r) + r + np.float32(1.0)
    bits = (np.float32(shifted).view(np.uint32) << np.uint32(23)) + np.uint32(127 << 23)
    return np.float32(0.0) if tiny else p * np.uint32(bits).view(np.float32)
