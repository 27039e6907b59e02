"""The handwritten digits: scikit-learn's bundled scans, a fifth of them held out.

They are the test part of the UCI set "Optical Recognition of Handwritten Digits" (Alpaydin & Kaynak
1998), 1,797 digits of 13 writers, each a bitmap of 32 x 32 counted in blocks of 4 x 4.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

_HELD_OUT_PART = 0.2
_SPLIT_SEED = 20


@dataclass(frozen=True, eq=False)
class Scans:
    """Scanned digits.

    Attributes
    ----------
    images : (S, 8, 8) float32
        Ink in [0, 1].
    digits : (S,) int64
        What each shows, 0 to 9.
    rows : (S,) int64
        Where each stands in `sklearn.datasets.load_digits`.
    """

    images: NDArray[np.float32]
    digits: NDArray[np.int64]
    rows: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, which: NDArray[np.int64] | NDArray[np.bool_] | slice) -> Scans:
        return Scans(self.images[which], self.digits[which], self.rows[which])


@cache
def load_scans(*, held_out: bool) -> Scans:
    """Load the scans that training never sees, or those that it may use.

    Parameters
    ----------
    held_out : bool
        A fifth of each digit's scans, chosen once and for all, or the other four fifths.
    """
    from sklearn.datasets import load_digits

    bundle = load_digits()
    digits = np.asarray(bundle.target, np.int64)
    shuffled = np.random.default_rng(_SPLIT_SEED).permutation(len(digits))
    kept_back = np.zeros(len(digits), bool)
    for digit in range(10):
        of_digit = shuffled[digits[shuffled] == digit]
        kept_back[of_digit[: round(_HELD_OUT_PART * len(of_digit))]] = True
    rows = np.flatnonzero(kept_back == held_out)
    return Scans(np.asarray(bundle.images[rows] / 16, np.float32), digits[rows], rows)
