"""Scores: probabilities, or logits that still need a sigmoid or a softmax."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from postproc.inspection.evidence import Evidence, Part, Source, speaks_against, speaks_for
from postproc.inspection.nodes import LAYERS, MOVING, SQUASHING, WITH_BIAS, Sources, is_raw
from postproc.inspection.observed import Columns, Numbers, Observed
from postproc.schema.outputs import Background, ScoreActivation

_FEW = 20  # numbers: fewer may lie in [0, 1] by chance
_TOLERANCE = 1e-2  # of 8 bits and of float16
_MOSTLY = 0.9
_SURELY = 0.95  # share of a background where nothing is; columns of untrained networks stay below
_MOST_OF_LOGITS = 16.0  # beyond it a sigmoid is 1
# After a last layer they leave numbers as they are, or add, scale or drop them: none gives probabilities.
_LINEAR = {
    *WITH_BIAS,
    *MOVING,
    *("Concat", "Relu", "LeakyRelu", "Mul", "GlobalAveragePool", "AveragePool", "ReduceMean", "Constant"),
}
_OF_PRODUCTS = {"Mul", "Sqrt", "Pow"}  # of probabilities
_OF_LOGITS = ("logit",)
_OF_PROBABILITIES = ("prob", "softmax", "sigmoid")


@dataclass(frozen=True)
class Scores:
    """A score for each label, in rows of one box or image each.

    Parameters
    ----------
    columns : Columns
        Where they are.
    activation : {"none", "sigmoid", "softmax"}
        What they still need.
    background : {"none", "first", "last"}
        Where among them the background is.
    in_boxes : bool
        Whether rows are of boxes, most of which hold nothing.
    """

    columns: Columns
    activation: ScoreActivation = "none"
    background: Background = "none"
    in_boxes: bool = True

    def examined(self, observed: Observed) -> Iterator[Evidence]:
        """Yield what the operators, the names and the run say for and against it."""
        yield from self._operators(observed)
        yield from self._names(observed)
        rows = observed.rows(self.columns)
        if rows is None or not rows.size or not np.isfinite(rows).all():
            return
        if not np.ptp(rows) and 0 <= rows[0, 0] <= 1:  # one number everywhere: what fills a list up, perhaps
            return
        yield from self._ranges(rows, self._is_linear(observed))
        yield from self._sums(rows)
        yield from self._background(rows)

    def _operators(self, observed: Observed) -> Iterator[Evidence]:
        sources = observed.sources(self.columns) - {"Constant"}
        name = self.columns.tensor
        if observed.has_integers(self.columns):
            yield speaks_against(Source.OPERATORS, f"{name}: integers are no scores", Part.COLUMNS)
        if sources and sources <= SQUASHING:
            text = f"{name}: scores end in a {' or '.join(sorted(sources))}"
            if self.activation != "none":
                yield speaks_against(Source.OPERATORS, text, Part.ACTIVATION)
                return
            yield speaks_for(Source.OPERATORS, text, Part.ACTIVATION)
            if self.in_boxes and sources == {"Softmax"} and self.background == "none":
                text = f"{text}, so that one of them is the background's"
                yield speaks_against(Source.OPERATORS, text, Part.BACKGROUND)
            elif self.in_boxes and "Softmax" not in sources and self.background == "none":
                yield speaks_for(Source.OPERATORS, f"{text}, each by itself", Part.BACKGROUND)
        elif self._are_products(observed):
            text = f"{name}: scores are products or roots of Sigmoids"
            speaks = speaks_for if self.activation == "none" else speaks_against
            yield speaks(Source.OPERATORS, text, Part.ACTIVATION)
        elif self.activation == "none" and self._is_linear(observed):
            text = f"{name}: nothing after the last layer makes probabilities of its numbers"
            yield speaks_against(Source.OPERATORS, text, Part.ACTIVATION)
        elif sources and sources <= WITH_BIAS:
            text = f"{name}: scores come from {', '.join(sorted(sources))}, without a Sigmoid or Softmax"
            if self.activation != "none":
                yield speaks_for(Source.OPERATORS, text, Part.ACTIVATION)
            elif self._are_raw(observed, sources):
                yield speaks_against(Source.OPERATORS, f"{text}: they are logits", Part.ACTIVATION)

    def _are_products(self, observed: Observed) -> bool:
        """Tell whether all scores were made of Sigmoids in ways that leave probabilities."""
        each = observed.histories(self.columns)
        last = observed.sources(self.columns)
        return (
            each is not None
            and bool(last)
            and last <= _OF_PRODUCTS
            and all("Sigmoid" in column and column <= _OF_PRODUCTS | _LINEAR | {"Sigmoid"} for column in each)
        )

    def _are_raw(self, observed: Observed, sources: Sources) -> bool:
        """Tell whether no Sigmoid or Softmax follows the last layers, only sums."""
        each = observed.histories(self.columns) or [sources]
        return all(is_raw(column - {"Add"}, squashed=False) for column in each)

    def _names(self, observed: Observed) -> Iterator[Evidence]:
        name = self.columns.tensor.lower()
        if self.activation != "none" and any(part in name for part in _OF_LOGITS):
            yield speaks_for(Source.NAMES, f"{self.columns.tensor} is named as logits are", Part.ACTIVATION)
        if self.activation == "none" and any(part in name for part in _OF_PROBABILITIES):
            yield speaks_for(
                Source.NAMES, f"{self.columns.tensor} is named as probabilities are", Part.ACTIVATION
            )

    def _is_linear(self, observed: Observed) -> bool:
        """Tell whether nothing stands between the last layer and the scores that gives probabilities."""
        behind = observed.graph.upstream(self.columns.tensor)
        return bool(behind & LAYERS) and behind <= _LINEAR

    def _ranges(self, rows: Numbers, is_linear: bool) -> Iterator[Evidence]:
        lowest, highest = float(rows.min()), float(rows.max())
        text = f"{self.columns.tensor}: scores from {lowest:.3g} to {highest:.3g} in a run"
        is_within = lowest >= -_TOLERANCE and highest <= 1 + _TOLERANCE
        if self.activation == "none":
            if is_within:
                yield speaks_for(Source.RUN, text, Part.ACTIVATION)
            else:
                yield speaks_against(Source.RUN, f"{text}, beyond probabilities", Part.ACTIVATION)
        elif not is_within:
            if self.in_boxes and lowest >= 0 and highest > _MOST_OF_LOGITS and rows.size >= _FEW:
                text = f"{text}, which would be a high probability of each label everywhere"
                yield speaks_against(Source.RUN, text, Part.ACTIVATION)
            else:
                yield speaks_for(Source.RUN, f"{text}, which are no probabilities yet", Part.ACTIVATION)
        elif rows.size >= _FEW and not is_linear:
            yield speaks_against(Source.RUN, f"{text}, which are probabilities already", Part.ACTIVATION)

    def _sums(self, rows: Numbers) -> Iterator[Evidence]:
        if rows.shape[1] < 2:
            return
        sums = rows.sum(axis=1)
        if np.abs(sums - 1).max() > _TOLERANCE:
            are_apart = self.in_boxes and self.activation == "none" and self.background == "none"
            if are_apart and float((np.abs(sums - 1) > _TOLERANCE).mean()) >= _MOSTLY:
                text = f"{self.columns.tensor}: the scores of a row do not add up to 1 in a run"
                yield speaks_for(Source.RUN, f"{text}, so that no background is among them", Part.BACKGROUND)
            return
        text = f"{self.columns.tensor}: the scores of a row add up to 1 in a run"
        if self.activation != "none":
            yield speaks_against(Source.RUN, text, Part.ACTIVATION)
        elif self.in_boxes and self.background == "none" and len(rows) > 1:
            yield speaks_against(
                Source.RUN, f"{text}, so that one of them is the background's", Part.BACKGROUND
            )
        elif self.background != "none":
            yield speaks_for(Source.RUN, text, Part.ACTIVATION)

    def _background(self, rows: Numbers) -> Iterator[Evidence]:
        """Use that most boxes of a detector hold nothing, of which a softmax is sure."""
        if not self.in_boxes or len(rows) < _FEW or rows.shape[1] < 2 or self.activation == "sigmoid":
            return
        if self.activation == "softmax":
            powers = np.exp(rows - rows.max(axis=1, keepdims=True))
            rows = powers / powers.sum(axis=1, keepdims=True)
        column = {"first": 0, "last": rows.shape[1] - 1}.get(self.background)
        if column is None:
            return
        share = float((rows[:, column] >= _SURELY).mean())
        if share >= _MOSTLY:
            text = (
                f"{self.columns.tensor}: the {self.background} column has nearly all of the softmax in "
                f"{share:.0%} of the rows of a run, as that of a background has"
            )
            yield speaks_for(Source.RUN, text, Part.BACKGROUND)
