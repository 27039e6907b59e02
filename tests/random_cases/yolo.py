"""Random outputs of the YOLO families after YOLOv2."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.random_cases.numbers import Json, Made, optional
from tests.random_cases.v07 import V07Outputs
from tests.reference.activation import sigmoid64
from tests.reference.boxes import rounded


class YoloOutputs(V07Outputs):
    """Makes an output and its tensors, for images whose inputs are of the given heights and widths."""

    def yolov3(self, sizes: NDArray[Any]) -> Made:
        shapes = self.pick([(1, 2)], [(1, 1), (2, 2)], [(2, 3), (1, 2)], [(2, 1), (1, 1), (2, 3)])
        if self.labels == 40:
            shapes = [(1, 1)]
        tensors = len(shapes)
        share = self.pick(1, 2, 3)
        masks = None
        if self.pick(False, True):
            anchors = self.pick(2, 3)
            counts = [self.pick(1, 2) for _ in shapes]
            masks = [self.rng.permutation(anchors)[:count].tolist() for count in counts]
            shapes = [shapes[self.pick(0, row)] for row in range(tensors)]  # sizes may be equal then
        else:
            anchors, counts = share * tensors, [share] * tensors
        layout = self.pick("auto", "channels_last", "channels_first")
        confidence = self.confidence()
        names, values = [], []
        for row, ((height, width), count) in enumerate(zip(shapes, counts, strict=True)):
            name, _, cells = self.grid(f"grid_{row}", height, width, count, (layout,))
            names.append(name)
            numbers = cells.astype(np.float32).astype(np.float64)
            probabilities = 1.0 if confidence == "objectness" else sigmoid64(numbers[..., 5:])
            values.append(rounded(sigmoid64(numbers[..., 4:5]) * probabilities).ravel())
        longest = sizes.max() if self.batch else 32
        scale = self.pick(1.0, 1.2, 0.5, [1.05, 1.0, 2.0][:tensors])
        output: Json = {
            "output_tensors": names,
            "anchors": (longest * self.rng.uniform(0.05, 0.7, 2 * anchors)).round(2).tolist(),
            **optional(
                anchor_masks=(masks, None),
                scale_x_y=(scale, 1.0),
                confidence=(confidence, "product"),
                layout=(layout, "auto"),
            ),
        }
        return output, np.concatenate(values)

    def yolov5(self, sizes: NDArray[Any]) -> Made:
        shape, box_format, confidence = (self.batch, self.rows), self.box_format("cxcywh"), self.confidence()
        scores = self.plain_scores((*shape, 1 + self.labels))
        table = self.spoiled(np.concatenate([self.plain_boxes(shape, sizes, box_format), scores], axis=2))
        output = self.table(table, box_format) | optional(confidence=(confidence, "product"))
        return output, _scores(table, "none", confidence)

    def yolov8(self, sizes: NDArray[Any]) -> Made:
        shape, box_format = (self.batch, self.rows), self.box_format("cxcywh")
        scores = self.plain_scores((*shape, self.labels))
        table = self.spoiled(np.concatenate([self.plain_boxes(shape, sizes, box_format), scores], axis=2))
        return self.table(table, box_format), self.values(table[:, :, 4:], "none")

    def yolov8_pose(self, sizes: NDArray[Any]) -> Made:
        points, dimensions = self.pick(2, 1, 5), self.pick(3, 2)
        shape, box_format = (self.batch, self.rows), self.box_format("cxcywh")
        placed = self.rng.uniform(-0.1, 1.1, (*shape, points, 3)) * np.append(sizes[:1, ::-1], 1)
        table = self.spoiled(
            np.concatenate(
                [
                    self.plain_boxes(shape, sizes, box_format),
                    self.plain_scores((*shape, self.labels)),
                    placed[..., :dimensions].reshape(*shape, points * dimensions),
                ],
                axis=2,
            )
        )
        output = self.table(table, box_format) | {"keypoints": points, **optional(dimensions=(dimensions, 3))}
        return output, self.values(table[:, :, 4 : 4 + self.labels], "none")

    def yolov8_obb(self, sizes: NDArray[Any]) -> Made:
        shape = self.batch, self.rows
        angles = self.rng.uniform(-4, 4, (*shape, 1))
        if self.style == "grid":
            angles = np.round(angles) * np.pi / 4
        table = self.spoiled(
            np.concatenate(
                [
                    self.plain_boxes(shape, sizes, "cxcywh"),
                    self.plain_scores((*shape, self.labels)),
                    angles,
                ],
                axis=2,
            )
        )
        return self.table(table), self.values(table[:, :, 4:-1], "none")

    def yolov8_seg(self, sizes: NDArray[Any]) -> Made:
        shape, count = (self.batch, self.rows), self.pick(2, 1, 5)
        box_format = self.box_format("cxcywh")
        table = self.spoiled(
            np.concatenate(
                [
                    self.plain_boxes(shape, sizes, box_format),
                    self.plain_scores((*shape, self.labels)),
                    self.rng.normal(0, 1, (*shape, count)),
                ],
                axis=2,
            )
        )
        cells = self.pick((5, 7), (1, 1), (12, 9), (2, 30))
        prototypes = self.rng.normal(0, 1, (self.batch, count, *cells)).astype(np.float32)
        output = self.table(table, box_format) | {"prototypes_tensor": self.keep("prototypes", prototypes)}
        return output, self.values(table[:, :, 4 : 4 + self.labels], "none")

    def yolox(self, sizes: NDArray[Any]) -> Made:
        strides = self.pick([16], [8, 16, 32], [32, 16], [16, 16])
        height, width = sizes[0]
        cells = int(sum((height // stride) * (width // stride) for stride in strides))
        activation, confidence = self.pick("none", "sigmoid"), self.confidence()
        offsets = self.rng.normal(0, 0.7, (self.batch, cells, 4))
        if self.style == "grid":
            offsets[..., :2] = np.round(offsets[..., :2] * 4) / 4
        offsets[..., 2:][self.rng.random((self.batch, cells, 2)) < 0.03] = 200  # exp beyond float32
        scores = self.plain_scores((self.batch, cells, 1 + self.labels), activation)
        table = self.spoiled(np.concatenate([offsets, scores], axis=2))
        output = self.table(table)
        output |= optional(
            strides=(strides, [8, 16, 32]),
            score_activation=(activation, "none"),
            confidence=(confidence, "product"),
        )
        return output, _scores(table, activation, confidence)

    def confidence(self) -> str:
        return str(self.pick("product", *(["objectness"] if self.labels == 1 else [])))

    def table(self, table: NDArray[Any], box_format: str = "cxcywh") -> Json:
        """Keep a ``(B, N, C)`` tensor in either layout, and return the fields that describe it."""
        first, layout = self.layout(table)
        name = self.keep("table", table.transpose(0, 2, 1) if first else table)
        coordinates = "normalized" if self.normalized else "pixels"
        described = optional(
            box_format=(box_format, "cxcywh"), coordinates=(coordinates, "pixels"), layout=(layout, "auto")
        )
        return {"output_tensor": name, **described}


def _scores(table: NDArray[Any], activation: str, confidence: str) -> NDArray[Any]:
    """Return the scores of a table of boxes, objectness and labels."""
    scores = table[:, :, 4:].astype(np.float32)
    if activation == "sigmoid":
        scores = rounded(sigmoid64(scores))
    with np.errstate(all="ignore"):
        return scores[:, :, :1] if confidence == "objectness" else scores[:, :, :1] * scores[:, :, 1:]
