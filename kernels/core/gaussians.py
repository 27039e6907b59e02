"""Rectangles that are turned as Gaussians: probiou, the index of two of them, as ultralytics computes it.

A rectangle of width w and height h has the covariance of the uniform distribution on it: w^2/12 and h^2/12
along its sides, turned. The index is 1 less the Hellinger distance of two such Gaussians (Murrugarra-Llerena
et al. 2021, arXiv:2106.06072). Each step is one of float32, in the order of ultralytics'
``metrics.batch_probiou``: determinants of long boxes cancel, and another order would decide otherwise. Sines,
cosines, logarithms and exponentials are those of float64, rounded, since libraries differ in their last bits.

A Gaussian is a row of six numbers: its centre, the variances along x and y, the covariance, the determinant.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from .._jit import inner, kernel

NUMBERS = 6

_X = 0
_Y = 1
_A = 2
_B = 3
_C = 4
_DETERMINANT = 5

_ONE = np.float32(1.0)
_TWO = np.float32(2.0)
_FOUR = np.float32(4.0)
_HALF = np.float32(0.5)
_QUARTER = np.float32(0.25)
_TWELVE = np.float32(12.0)
_ZERO = np.float32(0.0)
_EPSILON = np.float32(1e-7)
_FURTHEST = np.float32(100.0)

# Boxes no longer than so many times their breadth, nor thinner than half a pixel, have determinants that
# float32 holds to 1 part in 1,000, and up to a length the product of two of them: of these alone it may be
# said from afar that they are apart.
_LONGEST = 32.0
_THINNEST = 0.5
_LARGEST = 1e5


@inner
def read_gaussian(
    cx: float, cy: float, width: float, height: float, angle: float, gaussian: NDArray[np.float64]
) -> None:
    """Write a Gaussian: numbers of float32, held as float64."""
    w, h, turn = np.float32(width), np.float32(height), np.float64(np.float32(angle))
    along, across = w * w / _TWELVE, h * h / _TWELVE
    cos, sin = np.float32(math.cos(turn)), np.float32(math.sin(turn))
    cos2, sin2 = cos * cos, sin * sin
    a = along * cos2 + across * sin2
    b = along * sin2 + across * cos2
    c = (along - across) * cos * sin
    determinant = a * b - c * c
    gaussian[_X], gaussian[_Y] = np.float32(cx), np.float32(cy)
    gaussian[_A], gaussian[_B], gaussian[_C] = a, b, c
    gaussian[_DETERMINANT] = _ZERO if determinant < _ZERO else determinant


@inner
def probiou(one: NDArray[np.float64], other: NDArray[np.float64]) -> np.float32:
    """Index of two Gaussians; NaN where float32 does not hold them."""
    squared, ratio = _parts(one, other)
    distance = squared + np.float32(math.log(np.float64(ratio))) * _HALF
    distance = _EPSILON if distance < _EPSILON else distance
    distance = _FURTHEST if distance > _FURTHEST else distance
    affinity = np.float32(math.exp(-np.float64(distance)))
    return np.float32(_ONE - np.float32(np.sqrt(_ONE - affinity + _EPSILON)))


@inner
def is_probiou_above(
    one: NDArray[np.float64], other: NDArray[np.float64], limit: np.float32, beyond: np.float32
) -> bool:
    """Whether the index of two Gaussians is above a limit, of which `nearness` gives `beyond`."""
    squared, ratio = _parts(one, other)
    # The logarithm is left out where the rest says enough: exp(x) is at least 1 + x + x^2 / 2 from 0 on.
    if squared >= _ZERO and ratio * (_ONE + _TWO * squared * (_ONE + squared)) > beyond:
        return False
    return bool(probiou(one, other) > limit)


@inner
def nearness(limit: np.float32) -> tuple[np.float32, float]:
    """Of a limit, what lies safely beyond it: for `is_probiou_above` and for `reach`."""
    distance = 1.0 - np.float64(limit) + 1e-6
    furthest = max(-math.log(max(1.0 + 1e-7 - distance * distance, 2e-8)), 0.0)
    return np.float32(1.001 * math.exp(2.0 * furthest)), 2.0 * math.sqrt(1.02 * furthest + 0.003)


@inner
def reach(width: float, height: float, near: float, along: float, across: float) -> float:
    """How far from its centre along an axis a box may be like another one, by what `nearness` gives.

    Two boxes whose reaches do not meet, along x or along y, have no index above the limit: the squared
    distance of Gaussians is at least that along any axis, over the sum of their variances there.

    Parameters
    ----------
    width, height, near : float
    along, across : float
        What half the width, and half the height, have along the axis.
    """
    longer, shorter = max(width, height), min(width, height)
    if not (shorter >= _THINNEST and longer <= min(_LONGEST * shorter, _LARGEST)):
        return math.inf
    return near * math.sqrt((along * along + across * across) / 3.0)


@inner
def _parts(one: NDArray[np.float64], other: NDArray[np.float64]) -> tuple[np.float32, np.float32]:
    """Squared distance of the centres, as the Gaussians see it, and the ratio of their determinants."""
    x, y = np.float32(other[_X]) - np.float32(one[_X]), np.float32(one[_Y]) - np.float32(other[_Y])
    a = np.float32(one[_A]) + np.float32(other[_A])
    b = np.float32(one[_B]) + np.float32(other[_B])
    c = np.float32(one[_C]) + np.float32(other[_C])
    determinant = a * b - c * c
    below = determinant + _EPSILON
    squared = (a * (y * y) + b * (x * x)) / below * _QUARTER + c * x * y / below * _HALF
    both = np.float32(np.sqrt(np.float32(one[_DETERMINANT]) * np.float32(other[_DETERMINANT])))
    return squared, determinant / (_FOUR * both + _EPSILON) + _EPSILON


@kernel
def probiou_matrix(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float64]:
    """Index of each rectangle of `a` (N, 5) with each of `b` (M, 5), as (N, M): float32 in float64.

    They are cx, cy, width, height and angle.
    """
    result = np.empty((a.shape[0], b.shape[0]), np.float64)
    others = np.empty((b.shape[0], NUMBERS), np.float64)
    one = np.empty(NUMBERS, np.float64)
    for j in range(b.shape[0]):
        read_gaussian(b[j, 0], b[j, 1], b[j, 2], b[j, 3], b[j, 4], others[j])
    for i in range(a.shape[0]):
        read_gaussian(a[i, 0], a[i, 1], a[i, 2], a[i, 3], a[i, 4], one)
        for j in range(b.shape[0]):
            result[i, j] = probiou(one, others[j])
    return result
