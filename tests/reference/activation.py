"""Sigmoid and softmax: float64, rounded once to float32 by whoever needs the score."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def sigmoid(logits: ArrayLike) -> NDArray[np.float32]:
    """Return 1 / (1 + exp(-x)), computed in float64 and rounded once."""
    return sigmoid64(logits).astype(np.float32)


def softmax(logits: ArrayLike) -> NDArray[np.float32]:
    """Return exp(x) / sum(exp(x)) of each row, computed in float64 and rounded once."""
    return softmax64(logits).astype(np.float32)


def sigmoid64(logits: ArrayLike) -> NDArray[np.float64]:
    """Return the sigmoid in float64; infinities give 0 and 1, NaN stays NaN."""
    with np.errstate(over="ignore", invalid="ignore"):
        return 1.0 / (1.0 + np.exp(-np.asarray(logits, np.float64)))


def softmax64(logits: ArrayLike) -> NDArray[np.float64]:
    """Return the softmax of the last axis in float64.

    A row with a NaN or +inf logit is NaN throughout; -inf logits are masks of score 0, and a row
    of masks only is NaN.
    """
    x = np.asarray(logits, np.float64)
    if x.shape[-1] == 0:
        return x
    with np.errstate(invalid="ignore"):  # inf - inf = NaN is the rule for +inf logits
        powers = np.exp(x - x.max(axis=-1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def activated(logits: NDArray[np.float32], activation: str) -> NDArray[np.float32]:
    """Apply a ``score_activation`` to the last axis."""
    if activation == "none":
        return logits
    return {"sigmoid": sigmoid, "softmax": softmax}[activation](logits)
