"""Random outputs of the YOLO families after YOLOv2."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.random_cases.levels import LevelOutputs
from tests.random_cases.numbers import Json, Made, optional
from tests.reference.activation import sigmoid64
from tests.reference.boxes import rounded


class YoloOutputs(LevelOutputs):
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
        layout = self.pick("auto", "channels_last", "channels_first", "anchors_first")
        confidence = self.confidence()
        names, values = [], []
        for row, ((height, width), count) in enumerate(zip(shapes, counts, strict=True)):
            name, _, cells = self.grid(f"grid_{row}", height, width, count, (layout,))
            names.append(name)
            numbers = cells.astype(np.float32).astype(np.float64)
            probabilities = 1.0 if confidence == "objectness" else sigmoid64(numbers[..., 5:])
            values.append(rounded(sigmoid64(numbers[..., 4:5]) * probabilities).ravel())
        longest = sizes.max() if self.batch else 32
        coding = self.pick("yolov3", "yolov5")
        scale = self.pick(1.0, 1.2, 0.5, [1.05, 1.0, 2.0][:tensors]) if coding == "yolov3" else 1.0
        output: Json = {
            "output_tensors": names,
            "anchors": (longest * self.rng.uniform(0.05, 0.7, 2 * anchors)).round(2).tolist(),
            **optional(
                anchor_masks=(masks, None),
                scale_x_y=(scale, 1.0),
                box_coding=(coding, "yolov3"),
                confidence=(confidence, "product"),
                layout=(layout, "auto"),
            ),
        }
        return output, np.concatenate(values)

    def yolov5(self, sizes: NDArray[Any]) -> Made:
        shape, box_format, confidence = (self.batch, self.rows), self.box_format("cxcywh"), self.confidence()
        boxes, scores = (
            self.plain_boxes(shape, sizes, box_format),
            self.plain_scores((*shape, 1 + self.labels)),
        )
        columns, described, first = [boxes, scores], {}, 5
        if "prototypes_tensor" in self.sample.dump():
            coefficients, described = self.masks()
            columns.append(coefficients)
        elif self.pick(False, True):
            points, dimensions, is_first = self.pick(2, 1, 5), self.pick(3, 2), self.pick(False, True)
            placed = self.points(shape, points, sizes)[..., :dimensions].reshape(*shape, points * dimensions)
            columns.insert(1 if is_first else 2, placed)
            if is_first:
                columns[1:] = [scores[..., :1], placed, scores[..., 1:]]
                first += points * dimensions
            described = {"keypoints": points}
            described |= optional(dimensions=(dimensions, 3), keypoints_first=(is_first, False))
        table = self.spoiled(np.concatenate(columns, axis=2))
        output = self.table(table, box_format) | described | optional(confidence=(confidence, "product"))
        factors = np.concatenate([table[..., :5], table[..., first : first + self.labels]], axis=2)
        return output, _scores(factors, "none", confidence)

    def points(self, shape: tuple[int, ...], points: int, sizes: NDArray[Any]) -> NDArray[Any]:
        """Return points in and around images, with a probability each."""
        return self.rng.uniform(-0.1, 1.1, (*shape, points, 3)) * np.append(sizes[:1, ::-1], 1)

    def yolov8(self, sizes: NDArray[Any]) -> Made:
        shape, box_format = (self.batch, self.rows), self.box_format("cxcywh")
        scores = self.plain_scores((*shape, self.labels))
        table = self.spoiled(np.concatenate([self.plain_boxes(shape, sizes, box_format), scores], axis=2))
        return self.table(table, box_format), self.values(table[:, :, 4:], "none")

    def yolov8_pose(self, sizes: NDArray[Any]) -> Made:
        points, dimensions = self.pick(2, 1, 5), self.pick(3, 2)
        shape, box_format = (self.batch, self.rows), self.box_format("cxcywh")
        placed = self.points(shape, points, sizes)
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
                    self.with_signs(self.plain_boxes(shape, sizes, "cxcywh")),
                    self.plain_scores((*shape, self.labels)),
                    angles,
                ],
                axis=2,
            )
        )
        return self.table(table), self.values(table[:, :, 4:-1], "none")

    def yolov8_seg(self, sizes: NDArray[Any]) -> Made:
        shape, box_format = (self.batch, self.rows), self.box_format("cxcywh")
        coefficients, described = self.masks()
        table = self.spoiled(
            np.concatenate(
                [
                    self.plain_boxes(shape, sizes, box_format),
                    self.plain_scores((*shape, self.labels)),
                    coefficients,
                ],
                axis=2,
            )
        )
        output = self.table(table, box_format) | described
        return output, self.values(table[:, :, 4 : 4 + self.labels], "none")

    def masks(self) -> tuple[NDArray[Any], Json]:
        """Return coefficients, and the field that names the prototypes, which are kept."""
        count, cells = self.pick(2, 1, 5), self.pick((5, 7), (1, 1), (12, 9), (2, 30))
        prototypes = self.rng.normal(0, 1, (self.batch, count, *cells)).astype(np.float32)
        coefficients = self.rng.normal(0, 1, (self.batch, self.rows, count))
        return coefficients, {"prototypes_tensor": self.keep("prototypes", prototypes)}

    def yolox(self, sizes: NDArray[Any]) -> Made:
        strides = self.strides()
        is_levels = self.pick(False, True)
        self.are_up = is_levels and self.pick(False, True)
        self.grids = [self.grid_of(sizes[0], stride) for stride in strides]
        cells = sum(rows * columns for rows, columns in self.grids)
        activation = self.pick("none", "sigmoid")
        confidence = str(self.pick(self.confidence(), "sqrt_product"))
        offsets = self.rng.normal(0, 0.7, (self.batch, cells, 4))
        if self.style == "grid":
            offsets[..., :2] = np.round(offsets[..., :2] * 4) / 4
        offsets[..., 2:][self.rng.random((self.batch, cells, 2)) < 0.03] = 200  # exp beyond float32
        scores = self.plain_scores((self.batch, cells, 1 + self.labels), activation)
        table = self.spoiled(np.concatenate([offsets, scores], axis=2))
        may_be_maps = bool((sizes == sizes[0]).all())
        output = self.levels(table, may_be_maps) if is_levels else self.table(table)
        output |= optional(
            strides=(strides, [8, 16, 32]),
            score_activation=(activation, "none"),
            confidence=(confidence, "product"),
        )
        return output, _scores(table, activation, confidence)

    def levels(self, table: NDArray[Any], may_be_maps: bool) -> Json:
        """Keep the columns of a (B, N, 5+L) table level by level, perhaps with landmarks."""
        numbers = {"boxes": table[..., :4], "objectness": table[..., 4:5], "scores": table[..., 5:]}
        output: Json = {}
        if self.pick(False, True):
            output["keypoints"] = self.pick(2, 1, 5)
            shape = (*table.shape[:2], 2 * output["keypoints"])
            numbers["landmarks"] = self.spoiled(self.rng.normal(0, 2, shape))
        layout = self.pick("auto", "channels_last", "channels_first")
        forms = {name: self.pick("levels", *["maps"] * may_be_maps) for name in numbers}
        if layout == "auto" and any(self.is_unclear(of, forms[name], 1) for name, of in numbers.items()):
            layout = "channels_last"
        for name, of in numbers.items():
            output[f"{name}_tensors"] = self.levels_of(name, of, forms[name], 1, layout)
        return output | optional(layout=(layout, "auto"))

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
        if confidence == "sqrt_product":
            limited = np.clip(scores, np.float32(0), np.float32(1))
            return np.sqrt(limited[:, :, :1] * limited[:, :, 1:])
        return scores[:, :, :1] if confidence == "objectness" else scores[:, :, :1] * scores[:, :, 1:]
