"""Random outputs of the kinds that hold boxes and scores, offsets to priors, or finished rows."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.random_cases.numbers import Json, Made, optional
from tests.random_cases.v07 import V07Outputs


class HeadOutputs(V07Outputs):
    """Makes an output and its tensors, for images of the given heights and widths."""

    def standard(self, sizes: NDArray[Any]) -> Made:
        n, background = self.rows, self.pick("none", "first", "last")
        columns = self.labels + (background != "none")
        activation = self.activation()
        scores = self.scores((self.batch, n, columns), activation)
        box_format, clip = self.box_format(), self.pick("after", "before")
        shape = self.pick((), (1,), (self.labels,), (columns,))
        boxes = self.boxes((self.batch, n, *shape), sizes, box_format)
        first, layout = self.layout(scores)
        if not shape:
            self.keep("boxes", boxes)
        else:  # without its batch axis it would be taken for boxes that are shared
            self.tensors[self.prefix + "boxes"] = boxes
        output = {
            "boxes_tensor": self.prefix + "boxes",
            "scores_tensor": self.keep("scores", scores.transpose(0, 2, 1) if first else scores),
            **optional(
                background=(background, "none"),
                box_format=(box_format, "xyxy"),
                score_activation=(activation, "none"),
                clip=(clip, "after"),
                layout=(layout, "auto"),
            ),
        }
        return output, self.values(scores, activation)

    def ssd(self, sizes: NDArray[Any]) -> Made:
        n, background = self.rows, self.pick("first", "last", "none")
        activation = self.activation()
        scores = self.scores((self.batch, n, self.labels + (background != "none")), activation)
        first, layout = self.layout(scores)
        scale = self.pick([0.1, 0.1, 0.2, 0.2], [1.0, 1.0, 1.0, 1.0], [0.25, 0.5, 0.125, 2.0])
        coding, order = self.pick("exp", "linear"), self.pick("xywh", "yxhw")
        points, form = None, self.pick("plain", "TensorFlow", "landmarks", "behind")
        if form in ("landmarks", "behind"):
            points = self.pick(2, 1, 5)
        columns = {"TensorFlow": 4, "behind": 4 + 2 * (points or 0)}.get(form, self.pick(4, 5, 16))
        offsets = self.offsets(n, np.array(scale), coding, order, columns)
        if form == "TensorFlow":
            offsets = offsets.reshape(self.batch, n, 1, 4)
        priors_format = self.box_format("cxcywh")
        landmarks: Json = {}
        if form == "landmarks":
            drawn = self.spoiled(self.rng.normal(0, 3, (self.batch, n, 2 * (points or 0))))
            landmarks = {"landmarks_tensor": self.keep("landmarks", drawn)}
        if form == "TensorFlow":  # without its batch axis it needs that of no other
            self.tensors[self.prefix + "offsets"] = offsets
        else:
            self.keep("offsets", offsets)
        output = {
            "offsets_tensor": self.prefix + "offsets",
            **landmarks,
            "scores_tensor": self.keep("scores", scores.transpose(0, 2, 1) if first else scores),
            **self.priors(n, sizes if self.batch else np.ones((1, 2)), priors_format),
            **optional(
                keypoints=(points, None),
                priors_format=(priors_format, "cxcywh"),
                offsets_scale=(scale, [0.1, 0.1, 0.2, 0.2]),
                offsets_order=(order, "xywh"),
                size_coding=(coding, "exp"),
                background=(background, "first"),
                score_activation=(activation, "none"),
                layout=(layout, "auto"),
            ),
        }
        return output, self.values(scores, activation)

    def offsets(self, n: int, scale: NDArray[Any], coding: str, order: str, columns: int) -> NDArray[Any]:
        shape = (self.batch, n, columns)
        offsets = self.rng.normal(0, 0.3, shape)
        if coding == "linear":
            offsets[..., 2:4] += 1
        if self.style == "grid":
            offsets = np.round(offsets * 4) / 4
        offsets[..., :4] /= scale
        offsets[..., 2:4][self.rng.random((self.batch, n, 2)) < 0.03] = 9000  # beyond the clamp
        if order == "yxhw":
            offsets[..., :4] = offsets[..., [1, 0, 3, 2]]
        return self.spoiled(offsets)

    def priors(self, n: int, sizes: NDArray[Any], priors_format: str) -> Json:
        """Return the field that holds or names the priors, in any of their forms."""
        form = self.pick("tensor", "document", "Caffe", "one set")
        count = len(sizes) if form == "tensor" and self.batch else 1
        priors = self.plain_boxes((count, n), sizes[:count], priors_format)
        if form == "document" and n:
            return {"priors": (priors[0] + self.rng.normal(0, 1e-9, (n, 4))).tolist()}
        priors = self.spoiled(priors)
        if form == "Caffe":
            variances = np.full((1, 1, 4 * n), 0.1, priors.dtype)
            self.tensors[self.prefix + "priors"] = np.concatenate(
                [priors.reshape(1, 1, 4 * n), variances], axis=1
            )
        else:
            self.keep("priors", priors)
        return {"priors_tensor": self.prefix + "priors"}

    def end_to_end(self, sizes: NDArray[Any]) -> Made:
        n = self.rows
        more, output, numbers = self.more_of_rows(sizes)
        role = more.removesuffix("_tensor")
        apart_only = role in ("", "keypoints", "masks") and more != "keypoints"
        form = self.pick("packed", *(["separate"] if apart_only else []), "images", "consecutive")
        box_format = "cxcywh" if more == "angle" else self.box_format()
        boxes = self.plain_boxes((self.batch, n), sizes, box_format)
        if more == "angle":
            boxes = self.with_signs(boxes)
        scores = self.plain_scores((self.batch, n))
        if form == "separate":
            classes, meaning = self.classes((self.batch, n))
        else:  # in one tensor with the boxes, down to float16
            meaning = self.pick("rows", "ids") if max(self.ids) < 2048 else "rows"
            known = self.ids if meaning == "ids" else list(range(self.labels))
            classes = self.named(known, (self.batch, n), np.float64)
        output |= optional(box_format=(box_format, "xyxy"), classes=(meaning, "rows"))
        if form == "separate":
            boxes, scores = self.spoiled(boxes), self.spoiled(scores)
            tensors = {"boxes": boxes, "scores": scores, "classes": classes}
            if more:
                tensors[role] = self.spoiled(numbers).reshape(self.batch, n, *self.each)
            without_batch = self.batch == 1 and self.pick(False, True)
            for name, tensor in tensors.items():
                self.tensors[self.prefix + name] = tensor[0] if without_batch else tensor
                output[f"{name}_tensor"] = self.prefix + name
            return output | (self.counts(n)[1] if self.pick(False, True) else {}), self.values(scores, "none")

        dtype = self.pick(np.float32, np.float64, np.float16)
        boxes, scores = self.spoiled(boxes, (dtype,)), self.spoiled(scores, (dtype,))
        columns = {"box": boxes, "score": scores[:, :, np.newaxis], "class": classes[:, :, np.newaxis]}
        order, apart = ["box", "score", "class"], []
        if more:
            columns[more] = self.spoiled(numbers, (dtype,))
            (apart if apart_only else order).append(more)
        if form == "images" and self.batch:
            order = ["image", "box", "class", "score", *order[3:]]
            images = np.arange(self.batch)[:, np.newaxis, np.newaxis]
            columns["image"] = np.broadcast_to(images, (self.batch, n, 1))
        if self.pick(False, True):
            order.remove("class")
            apart.append("class")
        if self.pick(False, True):
            order = self.rng.permutation(order).tolist()
        names = (*order, *apart)
        table = np.concatenate([columns[name] for name in names], axis=2).astype(dtype)
        ends = dict(zip(names, np.cumsum([columns[name].shape[2] for name in names]), strict=True))
        if form == "images" and self.batch:
            rows = self.rows_of_images(table, int(ends["image"]) - 1)
        elif form == "consecutive":
            counts, field = self.counts(n)
            output |= field
            rows = np.concatenate(
                [table[:0].reshape(0, table.shape[2]), *(t[:k] for t, k in zip(table, counts, strict=True))]
            )
        else:
            rows = table
            if self.pick(False, True):
                output |= self.counts(n)[1]
            elif self.batch == 1 and self.pick(False, True):
                rows = table[0]
        width = ends[order[-1]]
        self.tensors[self.prefix + "rows"] = np.ascontiguousarray(rows[..., :width])
        output["output_tensor"] = self.prefix + "rows"
        for name in apart:
            tensor = rows[..., ends[name] - columns[name].shape[2] : ends[name]]
            named, shape = ("classes", ()) if name == "class" else (role, self.each)
            self.tensors[self.prefix + named] = tensor.reshape(*rows.shape[:-1], *shape)
            output[f"{named}_tensor"] = self.prefix + named
        return output | optional(columns=(order, ["box", "score", "class"])), self.values(scores, "none")

    def more_of_rows(self, sizes: NDArray[Any]) -> tuple[str, Json, NDArray[Any]]:
        """Return what comes with the boxes, the fields that say so, and its numbers (B, N, C)."""
        shape = self.batch, self.rows
        match self.sample.yields:
            case "keypoints":
                self.each = points, dimensions = self.pick(2, 1, 5), self.pick(3, 2)
                placed = self.rng.uniform(-0.1, 1.1, (*shape, points, 3)) * np.append(sizes[:1, ::-1], 1)
                fields = {"keypoints": points, **optional(dimensions=(dimensions, 3))}
                numbers = placed[..., :dimensions].reshape(*shape, points * dimensions)
                return self.pick("keypoints", "keypoints_tensor"), fields, numbers
            case "oriented boxes":
                angles = self.rng.uniform(-4, 4, (*shape, 1))
                return "angle", {}, np.round(angles) * np.pi / 4 if self.style == "grid" else angles
            case "masks" if self.sample.masks_tensor is not None:
                cover = self.pick("box", "image")
                side = self.pick(5, 1, 14)
                self.each = (
                    *self.pick((1,), (), (self.labels,)),
                    *((side, side) if cover == "box" else (side, 6)),
                )
                numbers = self.rng.random((*shape, math.prod(self.each)))
                return "masks_tensor", optional(masks_cover=(cover, "box")), numbers
            case "masks":
                count, cells = self.pick(2, 1, 5), self.pick((5, 7), (1, 1), (12, 9), (2, 30))
                prototypes = self.rng.normal(0, 1, (self.batch, count, *cells)).astype(np.float32)
                name = self.keep("prototypes", prototypes)
                return "coefficients", {"prototypes_tensor": name}, self.rng.normal(0, 1, (*shape, count))
        return "", {}, np.empty((*shape, 0))

    def counts(self, n: int) -> tuple[list[int], Json]:
        """Return how many rows of each image are valid, and the field that names their tensor."""
        counts = self.rng.integers(0, n + 1, self.batch)
        tensor = counts.astype(self.pick(np.int32, np.int64, np.float32))
        self.tensors[self.prefix + "count"] = tensor[:, np.newaxis] if self.pick(False, True) else tensor
        return counts.tolist(), {"count_tensor": self.prefix + "count"}

    def rows_of_images(self, table: NDArray[Any], image_column: int) -> NDArray[Any]:
        """Return one list of the rows of all images, in any order, which may end in others."""
        width = table.shape[2]
        counts = self.rng.integers(0, self.rows + 1, self.batch)
        rows = np.concatenate([rows[:count] for rows, count in zip(table, counts, strict=True)])
        if self.pick(False, True):
            rows = self.rng.permutation(rows)
        if self.pick(False, True):
            padding = np.repeat(
                np.concatenate([table.reshape(-1, width), np.ones((1, width), table.dtype)])[:1], 4, 0
            )
            padding[:, image_column] = [-1, self.batch, 0, -1]  # what follows the first -1 is nothing
            rows = np.concatenate([rows, padding])
        # The highest image tells the number of images, unless it has no row.
        if self.transforms is None and (counts[-1] == 0 or self.outputs > 1 or self.pick(False, True)):
            self.batch_size = self.batch
        return rows.reshape(self.pick((), (1,), (1, 1)) + rows.shape)
