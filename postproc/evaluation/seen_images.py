"""Which images of a ground truth have a prediction so far."""

from __future__ import annotations

import os
from collections.abc import Iterable

import numpy as np

from postproc.errors import SchemaError
from postproc.evaluation.ground_truth import GroundTruth


class SeenImages:
    """Finds predicted images in a ground truth, each of which may be predicted once.

    Parameters
    ----------
    truth : GroundTruth

    Attributes
    ----------
    seen : (I,) bool
        Whether an image of the ground truth was predicted.
    unknown : list of str
        Predicted images that the ground truth does not know.
    """

    def __init__(self, truth: GroundTruth) -> None:
        self._truth = truth
        self.seen = np.zeros(len(truth), np.bool_)
        self.unknown: list[str] = []

    def add(self, names: Iterable[str | os.PathLike[str]]) -> list[int | None]:
        """Give the rows of a batch of images in the ground truth, None for an unknown one.

        Raises
        ------
        SchemaError
            If an image was predicted before.
        """
        rows = []
        for path in names:
            name = os.fspath(path)
            row = self._truth.find(name)
            if row is None:
                self.unknown.append(name)
            elif self.seen[row]:
                raise SchemaError(
                    f"{self._truth.source}: two predictions are of the image {self._truth.names[row]!r}, the "
                    f"second that of {name!r}"
                )
            else:
                self.seen[row] = True
            rows.append(row)
        return rows

    def check(self) -> None:
        """See that there is a known image.

        Raises
        ------
        SchemaError
            If there is none.
        """
        if not self.seen.any():
            found = f"such as {self.unknown[0]!r}" if self.unknown else "of which there are none"
            raise SchemaError(
                f"{self._truth.source}: none of its images, such as {self._truth.names[0]!r}, is among the "
                f"predicted ones, {found}; images are matched by their file names"
            )

    def missing(self) -> tuple[str, ...]:
        """Images of the ground truth without a prediction."""
        return tuple(self._truth.names[row] for row in np.flatnonzero(~self.seen))


def some_of(names: tuple[str, ...]) -> str:
    """List the first names, and say whether there are others."""
    return ", ".join(names[:3]) + (" and others" if len(names) > 3 else "")
