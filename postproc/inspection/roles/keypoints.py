"""Keypoints: places in the image, in what the boxes are in, and whether they are visible."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from postproc.inspection.evidence import Evidence, Part, Source, speaks_against, speaks_for
from postproc.inspection.nodes import is_raw
from postproc.inspection.observed import Columns, Numbers, Observed
from postproc.inspection.roles.boxes import NORMALIZED_UP_TO, PIXELS_FROM
from postproc.schema.outputs import Coordinates

_MOST_NEGATIVE = 0.4  # of places; those of an untrained network lie beyond the image too, at all its sides


@dataclass(frozen=True)
class Keypoints:
    """The numbers of each keypoint, one after the other.

    Parameters
    ----------
    columns : Columns
        Where they are.
    dimensions : {2, 3}
        The numbers of each: x, y, and a probability that it is visible.
    units : {"pixels", "normalized"}
        In what places are: what boxes are in.
    """

    columns: Columns
    dimensions: int
    units: Coordinates = "pixels"

    def examined(self, observed: Observed) -> Iterator[Evidence]:
        """Yield what operators and the run say for and against it."""
        each = observed.histories(self.columns)
        if each and any(is_raw(column) for column in each[:2]):
            text = (
                f"{self.columns.tensor}: keypoints come from the last layers without the place of their cell"
            )
            yield speaks_against(Source.OPERATORS, text, Part.COLUMNS)
        rows = observed.rows(self.columns)
        rows = None if rows is None else rows[rows.any(axis=1)]  # rows of zeros fill a list up
        if rows is None or not rows.size or not np.isfinite(rows).all() or not np.ptp(rows):
            return
        points = rows.reshape(len(rows), -1, self.dimensions)
        name = self.columns.tensor
        if self.dimensions == 2 and _every_third_is_seen(rows):
            text = f"{name}: every third number lies in [0, 1] in a run, as the visibility of a keypoint does"
            yield speaks_against(Source.RUN, text, Part.COLUMNS)
            return
        negative = float((points[..., :2] < 0).mean())
        if negative > _MOST_NEGATIVE:
            text = f"{name}: {negative:.0%} of the numbers of a run are negative, and places are in the image"
            yield speaks_against(Source.RUN, text, Part.COLUMNS)
            return
        seen = points[..., 2:]
        if seen.size and (seen.min() < 0 or seen.max() > 1):
            text = f"{name}: every third number of a keypoint goes from {seen.min():.3g} to {seen.max():.3g}"
            yield speaks_against(Source.RUN, f"{text} in a run, which is no visibility", Part.COLUMNS)
            return
        reach = np.quantile(np.abs(points[..., :2]).max(axis=2), 0.9, axis=0)  # of each keypoint
        text = f"{name}: keypoints reach from {reach.min():.3g} to {reach.max():.3g} in a run"
        if reach.min() > PIXELS_FROM:
            if self.units == "pixels":
                yield speaks_for(Source.RUN, text, Part.COLUMNS, Part.KIND)
            else:
                yield speaks_against(Source.RUN, f"{text}, beyond [0, 1]", Part.COLUMNS, Part.UNITS)
        elif self.units == "pixels" and reach.min() <= NORMALIZED_UP_TO:
            yield speaks_against(Source.RUN, f"{text}, and places in pixels are beyond 2", Part.COLUMNS)


def _every_third_is_seen(rows: Numbers) -> bool:
    """Tell whether only every third number of the rows is a fraction, where others are pixels."""
    if rows.shape[1] % 3:
        return False
    thirds = rows.reshape(len(rows), -1, 3)
    seen, places = thirds[..., 2], np.abs(thirds[..., :2])
    return bool(seen.min() >= 0 and seen.max() <= 1 and np.quantile(places, 0.5) > PIXELS_FROM)
