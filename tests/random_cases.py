"""Random documents with the tensors they need: small, and full of what goes wrong.

A seeded generator gives the numbers and a ``pick`` the structure (how many labels, which format,
which threshold): hypothesis's choices in `tests.strategies`, the same generator in `random_case`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from postproc.transforms import ImageTransform
from tests import reference

KINDS = ("classification", "anchored", "direct", "yolo")

Json = dict[str, Any]
Tensors = dict[str, NDArray[Any]]
Pick = Callable[..., Any]  # of several values, one; the first is the simplest


@dataclass(frozen=True, eq=False)
class Case:
    """Everything that one call of a PostProcessor takes."""

    spec: Json
    version: Json
    tensors: Tensors
    options: Json  # keyword arguments of the call


def random_case(kind: str, seed: int, rows: int | None = None) -> Case:
    """Return the case of a seed, as `cases` would draw one.

    ``rows`` asks for that many anchors or direct boxes, of one or two labels: enough to leave the
    first block of every loop.
    """
    rng = np.random.default_rng(seed)
    return CaseBuilder(rng, lambda *values: values[rng.integers(len(values))], rows).case(kind)


def clustered_boxes(rng: np.random.Generator, shape: tuple[int, ...], style: str) -> NDArray[np.float32]:
    """Return ``shape + (4,)`` corners around a few centres in and around [0, 1].

    Some are identical, empty, flipped or outside. On the ``grid``, corners are multiples of 1/16,
    so that Jaccard indices meet simple thresholds exactly.
    """
    count = int(np.prod(shape))
    centres = rng.uniform(0, 1, (3, 2))[rng.integers(0, 3, count)] + rng.normal(0, 0.06, (count, 2))
    half = rng.uniform(0.05, 0.3, (count, 2))
    boxes = np.concatenate([centres - half, centres + half], axis=1)
    if style == "grid":
        boxes = np.round(boxes * 16) / 16
    if count:
        twins = rng.random(count) < 0.15
        boxes[twins] = boxes[rng.integers(0, count, twins.sum())]
        empty = rng.random(count) < 0.05
        boxes[empty, 2] = boxes[empty, 0]
        flipped = rng.random(count) < 0.05
        boxes[flipped] = boxes[flipped][:, rng.permutation(4)]
        boxes[rng.random(count) < 0.05] += 1
    return boxes.reshape(*shape, 4).astype(np.float32)


@dataclass
class CaseBuilder:
    """Makes one case: `rng` gives the numbers, `pick` the structure."""

    rng: np.random.Generator
    pick: Pick
    rows_wanted: int | None = None
    tensors: Tensors = field(default_factory=dict)

    def case(self, kind: str) -> Case:
        self.batch = self.pick(1, 2, 3, 0)
        self.style = self.pick("grid", "random")
        self.non_finite = 0.06 * self.pick(0, 1)
        self.argument = self.pick(None, (48, 64))
        self.transforms = self.image_transforms() if self.pick(False, True) else None
        kinds = [kind] if kind != "several" else [self.pick(*KINDS) for _ in range(self.pick(2, 3))]
        outputs, post_processings = zip(*map(self.output, kinds, range(len(kinds))), strict=True)
        options = {
            "show_discarded": self.pick(False, True),
            "max_predictions": self.pick(100, 3, 1),
            "input_size": self.argument,
            "transforms": self.transforms,
        }
        version = {"post_processings": list(post_processings)}
        return Case({"name": "random", "outputs": list(outputs)}, version, self.tensors, options)

    def image_transforms(self) -> list[ImageTransform]:
        same_input = self.pick(True, False)
        return [
            ImageTransform(
                scale=tuple(self.rng.choice([0.5, 0.75, 1.0, 1.7], 2).tolist()),
                offset=tuple(self.rng.choice([-4.0, 0.0, 6.0, 7.3], 2).tolist()),
                input_size=(40, 56) if same_input else (40 + 8 * image, 56 - 8 * image),
                image_size=tuple(self.rng.integers(20, 120, 2).tolist()),
            )
            for image in range(self.batch)
        ]

    def output(self, kind: str, index: int) -> tuple[Json, Json]:
        self.prefix = f"{kind}_{index}/"
        if self.rows_wanted is not None:
            self.labels, self.rows = self.pick(2, 1), self.rows_wanted
        else:
            self.labels = self.pick(2, 1, 3, 6, 40)
            self.rows = self.pick(3, 0, 1, 2) if self.labels == 40 else self.pick(4, 0, 1, 2, 10, 24)
        exclusive = self.pick(True, False)
        self.largest_id = self.pick(100, 2**60)
        self.ids = (self.largest_id - self.rng.choice(100 + self.labels, self.labels, replace=False)).tolist()
        labels = [{"id": name, "name": f"label {name}"} for name in self.ids]
        roi = "NONE" if kind == "classification" else "BBOX"
        described = {"labels": {"labels": labels, "exclusive": exclusive, "roi": roi}}
        if kind == "classification":
            return described, {"classification": self.classification()}
        return described, {"detection": self.detection(kind)}

    def classification(self) -> Json:
        activation = self.activation()
        scores = self.scores((self.batch, self.labels), activation)
        axes = self.pick(0, 1, 2)
        without_batch = axes == 0 and self.batch == 1 and self.pick(False, True)
        self.tensors[self.prefix + "scores"] = (
            scores[0] if without_batch else scores.reshape(*scores.shape, *[1] * axes)
        )
        return {
            "output_tensor": self.prefix + "scores",
            **self.thresholds(scores, activation),
            **optional(score_activation=(activation, "none")),
        }

    def detection(self, kind: str) -> Json:
        decision: Json = {}
        sizes = np.ones((self.batch, 2))  # the height and width to which coordinates are scaled
        if kind != "yolo":
            decision, sizes = self.coordinates()
        make = {"anchored": self.anchored, "direct": self.direct, "yolo": self.yolo}[kind]
        output, scores, activation = make(sizes)
        return {
            f"{kind}_output": output,
            **decision,
            **self.thresholds(scores, activation),
            **optional(
                nms_threshold=(self.pick(0.3, 0.5, 0.0, 1.0, 1 / 3), 0.3),
                discard_threshold=(self.pick(0.025, 0.0, 0.25), 0.025),
                multi_label=(self.pick(True, False), True),
                class_agnostic=(self.pick(False, True), False),
            ),
        }

    def coordinates(self) -> tuple[Json, NDArray[Any]]:
        """Return the fields that say what coordinates are, and the size of each image."""
        choice = self.pick("normalized", "input_size", "tensor", "tensor_per_image")
        if choice in ("tensor", "tensor_per_image"):
            per_image = choice == "tensor_per_image"
            sizes = self.rng.integers(20, 90, (self.batch if per_image else 1, 2))
            extra = np.ones((len(sizes), self.pick(0, 1)), np.int64)
            once = not per_image and self.pick(False, True)
            tensor = np.concatenate([sizes, extra], axis=1).astype(self.pick(np.float32, np.int64))
            self.tensors[self.prefix + "im_info"] = tensor[0] if once else tensor
            return {"normalize_wrt_tensor": self.prefix + "im_info"}, np.broadcast_to(sizes, (self.batch, 2))
        declared = {"input_size": [32, 80]} if choice == "input_size" else {}
        if self.argument is not None:
            sizes = np.array([self.argument] * self.batch)
        elif declared and self.transforms is not None:
            sizes = np.array([transform.input_size for transform in self.transforms])
        else:
            sizes = np.array([[32, 80] if declared else [1, 1]] * self.batch)
        return declared, sizes.reshape(self.batch, 2)

    def anchored(self, sizes: NDArray[Any]) -> tuple[Json, NDArray[Any], str]:
        n, background = self.rows, self.pick("first", "last", "none")
        columns = self.labels + (background != "none")
        activation = self.activation()
        scores = self.scores((self.batch, n, columns), activation)

        anchor_batch = self.pick(self.batch, 1)
        anchors_format = self.pick("xyxy", "xywh", "cxcywh", "yxyx")
        anchors = self.boxes(
            (anchor_batch, n), (sizes if self.batch else np.ones((1, 2)))[:anchor_batch], anchors_format
        )
        if self.pick(False, True):
            anchors = np.concatenate([np.full((anchor_batch, n, 1), 0.5, anchors.dtype), anchors], axis=2)

        groups = self.pick(columns, self.labels, 1)
        offsets = self.rng.normal(0, 0.3, (self.batch, n, groups, 4))
        if self.style == "grid":
            offsets = np.round(offsets * 4) / 4
        offsets[..., 2:][self.rng.random((self.batch, n, groups, 2)) < 0.03] = 90  # beyond the clamp
        offsets = self.spoiled(offsets.reshape(self.batch, n, groups * 4))
        scale = self.pick([1.0, 1.0, 1.0, 1.0], [0.1, 0.1, 0.2, 0.2])

        first, layout = self.layout(scores)
        tensors = {
            "anchors": anchors,
            "offsets": offsets,
            "scores": scores.transpose(0, 2, 1) if first else scores,
        }
        for name, tensor in tensors.items():
            without_batch = len(tensor) == 1 and self.pick(False, True)
            self.tensors[self.prefix + name] = tensor[0] if without_batch else tensor
        output = {f"{name}_tensor": self.prefix + name for name in tensors}
        output |= optional(
            background=(background, "first"),
            anchors_format=(anchors_format, "xyxy"),
            score_activation=(activation, "none"),
            offsets_scale=(scale, [1.0, 1.0, 1.0, 1.0]),
            layout=(layout, "auto"),
        )
        return output, scores, activation

    def direct(self, sizes: NDArray[Any]) -> tuple[Json, NDArray[Any], str]:
        n, columns = self.rows, self.pick(0, self.labels, 2)  # 0: one score a box, without a column axis
        shape = (self.batch, n) if columns == 0 else (self.batch, n, columns)
        activation = self.activation() if columns else self.pick("none", "sigmoid")
        scores = self.scores(shape, activation)
        classes, meaning = self.classes(shape)
        box_format = self.pick("xyxy", "xywh", "cxcywh", "yxyx")
        boxes = self.boxes(shape if columns and self.pick(False, True) else shape[:2], sizes, box_format)

        first, layout = self.layout(scores) if columns else (False, "auto")
        tensors = {
            "boxes": boxes,
            "scores": scores.transpose(0, 2, 1) if first else scores,
            "classes": classes.transpose(0, 2, 1) if first else classes,
        }
        without_batch = self.batch == 1 and boxes.ndim == 3 and self.pick(False, True)
        for name, tensor in tensors.items():
            self.tensors[self.prefix + name] = tensor[0] if without_batch else tensor
        output = {f"{name}_tensor": self.prefix + name for name in tensors}
        output |= optional(
            box_format=(box_format, "xyxy"),
            classes=(meaning, "ids"),
            score_activation=(activation, "none"),
            layout=(layout, "auto"),
        )
        return output, scores, activation

    def classes(self, shape: tuple[int, ...]) -> tuple[NDArray[Any], str]:
        """Return class ids or rows, some of them unknown."""
        meaning = self.pick("ids", "rows")
        names = self.ids if meaning == "ids" else list(range(self.labels))
        small = max(names) < 2**24
        dtype = self.pick(np.int64, np.int32, np.float32, np.float64) if small else np.int64
        classes = np.array(names)[self.rng.integers(0, self.labels, shape)].astype(dtype)
        unknown = self.rng.random(shape) < 0.1
        strange = [-1, 1000, 2**31 - 1] if np.issubdtype(dtype, np.integer) else [-1, 0.5, np.nan]
        classes[unknown] = self.rng.choice(strange, unknown.sum()).astype(dtype)
        return classes, meaning

    def yolo(self, _: NDArray[Any]) -> tuple[Json, NDArray[Any], str]:
        height, width, anchors = self.pick(1, 2, 3), self.pick(2, 1, 3), self.pick(1, 2, 3)
        if self.labels == 40:
            height, width = 1, 1
        cells = self.rng.normal(0, 1, (self.batch, height, width, anchors, 5 + self.labels))
        cells[..., 2:4] *= 0.5
        cells[..., 4] += 1.5
        cells[..., 5:] *= 2
        if self.style == "grid":
            cells[..., :4] = np.round(cells[..., :4])
        cells[..., 2:4][self.rng.random((*cells.shape[:-1], 2)) < 0.03] = 200  # exp beyond float32
        if self.pick(False, True):  # ties of equal logits
            cells[..., -1, 4:] = cells[..., 0, 4:]
        cells = self.spoiled(cells)
        flat = cells.reshape(self.batch, height, width, anchors * (5 + self.labels))
        axes, layout = self.pick(
            ("BHWC", "auto"),
            ("BHWAK", "auto"),
            ("BCHW", "auto"),
            ("BHWC", "channels_last"),
            ("BCHW", "channels_first"),
        )
        tensor = {"BHWC": flat, "BHWAK": cells, "BCHW": flat.transpose(0, 3, 1, 2)}[axes]
        without_batch = axes != "BHWAK" and self.batch == 1 and self.pick(False, True)
        self.tensors[self.prefix + "grid"] = tensor[0] if without_batch else tensor
        output = {
            "output_tensor": self.prefix + "grid",
            "anchors": self.rng.uniform(0.5, 3, 2 * anchors).round(3).tolist(),
            **optional(layout=(layout, "auto")),
        }
        return output, cells, "softmax"

    def activation(self) -> str:
        return str(self.pick("none", "sigmoid", "softmax"))

    def scores(self, shape: tuple[int, ...], activation: str) -> NDArray[Any]:
        """Return scores, or the logits of scores; exact ties only where rounding cannot break them."""
        if activation == "softmax":
            scores = self.rng.normal(0, 2, shape)
            if scores.size and scores.ndim > 2:  # whole rows again: ties of equal logits
                twins = self.rng.integers(0, shape[1], shape[1])
                scores = np.where(self.rng.random(shape[1])[:, np.newaxis] < 0.2, scores[:, twins], scores)
            return self.spoiled(scores, (np.float32, np.float64))
        if activation == "sigmoid":
            scores = self.rng.normal(0, 2, shape)
            return self.spoiled(np.round(scores * 2) / 2 if self.style == "grid" else scores)
        scores = self.rng.random(shape)
        return self.spoiled(np.round(scores * 8) / 8 if self.style == "grid" else scores)

    def boxes(self, shape: tuple[int, ...], sizes: NDArray[Any], box_format: str) -> NDArray[Any]:
        corners = clustered_boxes(self.rng, shape, self.style)
        corners *= np.tile(sizes[:, ::-1], 2).reshape(-1, *[1] * (len(shape) - 1), 4).astype(np.float32)
        return self.spoiled(reference.box_convert(corners, "xyxy", box_format).reshape(*shape, 4))

    def spoiled(
        self, values: NDArray[Any], dtypes: Sequence[Any] = (np.float32, np.float64, np.float16)
    ) -> NDArray[Any]:
        """Return the values in one of the dtypes, some of them NaN or infinite."""
        spoiled = values.astype(self.pick(*dtypes))
        chosen = self.rng.random(values.shape) < self.non_finite
        spoiled[chosen] = self.rng.choice([np.nan, np.inf, -np.inf], chosen.sum())
        return spoiled

    def layout(self, scores: NDArray[Any]) -> tuple[bool, str]:
        """Return whether ``(B, N, C)`` scores go channels first, and the layout to declare.

        Where both layouts have one shape, ``auto`` is an error.
        """
        first, layout = self.pick(
            (False, "auto"), (False, "channels_last"), (True, "channels_first"), (True, "auto")
        )
        if layout == "auto" and scores.shape[1] == scores.shape[2]:
            return False, "channels_last"
        return first, layout

    def thresholds(self, scores: NDArray[Any], activation: str) -> Json:
        """Return thresholds, some of them equal to a score; empty for the defaults."""
        choice = self.pick("default", "grid", "scores")
        if choice == "default":
            return {}
        thresholds = self.rng.integers(0, 7, self.labels) / (8 if self.style == "grid" else 10)
        if choice == "scores" and activation != "softmax":
            values = scores.astype(np.float32).ravel()
            values = reference.sigmoid(values) if activation == "sigmoid" else values
            values = values[(values >= 0) & (values <= 1)]
            if values.size:
                thresholds = self.rng.choice(values, self.labels).astype(np.float64)
        return {"thresholds": thresholds.tolist()}


def optional(**fields: tuple[Any, Any]) -> Json:
    """Keep the fields whose value is not the default: v0.7 documents do not know the extensions."""
    return {name: value for name, (value, default) in fields.items() if value != default}
