"""Random outputs of heads that give distances from the cells of grids."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests import reference
from tests.random_cases.levels import LevelOutputs
from tests.random_cases.numbers import Json, Made, optional
from tests.reference.activation import sigmoid64
from tests.reference.boxes import rounded

Array = NDArray[Any]


class DistanceOutputs(LevelOutputs):
    """Makes an output and its tensors, for images whose inputs are of the given heights and widths."""

    def distance(self, sizes: Array) -> Made:
        strides = self.strides()
        anchors = self.pick(1, 2) if len(strides) < 3 else 1
        self.are_up = self.pick(True, False)
        self.grids = [self.grid_of(sizes[0], stride) for stride in strides]
        bins, background = self.pick(1, 4, 17), self.pick("none", "first", "last")
        activation, points = self.activation(), self.pick(0, 2)
        confidence = self.pick("", "product", "sqrt_product")
        boxes = sum(rows * columns for rows, columns in self.grids) * anchors
        numbers = {
            "distances": self.distances(boxes, bins),
            "scores": self.scores((self.batch, boxes, self.labels + (background != "none")), activation),
        }
        if confidence:
            kind = "none" if activation == "none" else "sigmoid"
            numbers["centerness"] = self.spoiled(self.plain_scores((self.batch, boxes, 1), kind))
        if points:
            numbers["landmarks"] = self.spoiled(self.rng.normal(0, 2, (self.batch, boxes, 2 * points)))
        values = self.combined(numbers, activation, background, confidence)
        if activation != "softmax" and self.pick(False, True):
            numbers["score_sum"] = self.sums(numbers["scores"], activation, background)
        plain = bins == 1
        output = {
            "strides": strides,
            **self.packed_or_apart(numbers, anchors, (sizes == sizes[0]).all()),
            **optional(
                keypoints=(points, 0),
                anchors_per_cell=(anchors, 1),
                cell_offset=(self.pick(0.5, 0, 0.25), 0.5),
                bins=(bins, 1),
                first_bin=(0 if plain else self.pick(0, -1), 0),
                distance_unit=(self.pick("strides", "pixels"), "strides"),
                distance_activation=(self.pick("none", "relu", "exp") if plain else "none", "none"),
                score_activation=(activation, "none"),
                background=(background, "none"),
                confidence=(confidence or "product", "product"),
            ),
        }
        return output, values

    def distances(self, boxes: int, bins: int) -> Array:
        if bins > 1:
            return self.spoiled(self.rng.normal(0, 3, (self.batch, boxes, 4 * bins)))
        distances = self.rng.uniform(-0.3, 2.5, (self.batch, boxes, 4))
        return self.spoiled(np.round(distances * 4) / 4 if self.style == "grid" else distances)

    def combined(self, numbers: dict[str, Array], activation: str, background: str, confidence: str) -> Any:
        """Return the scores that come of the numbers, to choose thresholds from."""
        scores = self.of_labels(numbers["scores"], background)
        if not confidence or activation == "softmax":
            return self.values(scores, activation)
        with np.errstate(all="ignore"):
            parts = [scores.astype(np.float32), numbers["centerness"].astype(np.float32)]
            of_labels, factor = map(sigmoid64, parts) if activation == "sigmoid" else parts
            product = of_labels.astype(np.float64) * np.minimum(factor.astype(np.float64), 1)
            return rounded(np.sqrt(product) if confidence == "sqrt_product" else product)

    def of_labels(self, scores: Array, background: str) -> Array:
        return scores[:, :, int(background == "first") :][:, :, : self.labels]

    def sums(self, scores: Array, activation: str, background: str) -> Array:
        with np.errstate(all="ignore"):
            values = self.of_labels(scores, background).astype(np.float32)
            values = reference.sigmoid(values) if activation == "sigmoid" else values
            return np.clip(np.nan_to_num(values, posinf=1, neginf=0).sum(axis=2, keepdims=True), 0, 1)

    def packed_or_apart(self, numbers: dict[str, Array], anchors: int, may_be_maps: bool) -> Json:
        """Keep the tensors, of which some are packed, and return the fields that name them."""
        packed = []
        if self.pick(False, True):
            further = [
                name for name in ("centerness", "landmarks") if name in numbers and self.pick(True, False)
            ]
            packed = self.rng.permutation(["distances", "scores", *further]).tolist()
            dtype = self.pick(np.float32, np.float64)
            with np.errstate(all="ignore"):
                parts = [numbers.pop(name).astype(dtype) for name in packed]
            numbers["output"] = np.concatenate(parts, axis=2)
        layout = self.pick("auto", "channels_last", "channels_first")
        forms = {name: self.pick("levels", "all", *["maps"] * bool(may_be_maps)) for name in numbers}
        if layout == "auto" and any(
            self.is_unclear(table, forms[name], anchors) for name, table in numbers.items()
        ):
            layout = "channels_last"
        fields = {
            f"{name}_tensors": self.levels_of(name, table, forms[name], anchors, layout)
            for name, table in numbers.items()
        }
        return {**fields, **optional(columns=(packed, []), layout=(layout, "auto"))}
