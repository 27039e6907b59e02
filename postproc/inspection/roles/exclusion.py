"""Exclusion: whether one label of an image is right, or several may be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from postproc.inspection.evidence import Evidence, Part, Source, speaks_against, speaks_for
from postproc.inspection.observed import Columns, Observed
from postproc.schema.outputs import ScoreActivation

_TOLERANCE = 1e-2  # of 8 bits and of float16


@dataclass(frozen=True)
class Exclusion:
    """Probabilities of an image that add up to 1, or that are told one by one.

    Parameters
    ----------
    columns : Columns
        A score for each label.
    activation : {"none", "sigmoid", "softmax"}
        What they still need. Only probabilities tell whether labels exclude each other.
    is_exclusive : bool
        Whether one label is right.
    """

    columns: Columns
    activation: ScoreActivation
    is_exclusive: bool

    def examined(self, observed: Observed) -> Iterator[Evidence]:
        """Yield what the operators and the run say for and against it."""
        name = self.columns.tensor
        if self.columns.count == 1 and self.is_exclusive:
            text = f"{name}: of one number an image the other label is not told"
            yield speaks_against(Source.SHAPES, text, Part.ACTIVATION)
        elif self.columns.count == 1 and self.activation == "sigmoid":
            text = f"{name}: one number an image is a yes or no"
            yield speaks_for(Source.SHAPES, text, Part.ACTIVATION)
        sources = observed.sources(self.columns)
        if sources == {"LogSoftmax"}:  # a softmax of logarithms of probabilities gives these
            found = speaks_for if self.activation == "softmax" else speaks_against
            yield found(Source.OPERATORS, f"{name}: scores end in a LogSoftmax", Part.ACTIVATION)
        if self.activation != "none":
            return
        if sources in ({"Softmax"}, {"Sigmoid"}):
            text = f"{name}: scores end in a {', '.join(sources)}"
            found = speaks_for if self.is_exclusive == (sources == {"Softmax"}) else speaks_against
            yield found(Source.OPERATORS, text, Part.ACTIVATION)
        rows = observed.rows(self.columns)
        if rows is None or not rows.size or rows.shape[1] == 1 or not np.isfinite(rows).all():
            return
        sums = rows.sum(axis=1)
        adds_up = bool((np.abs(sums - 1) <= _TOLERANCE).all()) and rows.min() >= -_TOLERANCE
        text = f"{name}: the scores of an image add up to {sums[0]:.3g} in a run"
        found = speaks_for if self.is_exclusive == adds_up else speaks_against
        yield found(Source.RUN, text, Part.ACTIVATION)
