"""The numbers of random tensors: boxes, scores and logits, some tied, some not finite."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from postproc.schema import DetectionOutput
from postproc.transforms import ImageTransform
from tests import reference

Json = dict[str, Any]
Tensors = dict[str, NDArray[Any]]
Pick = Callable[..., Any]  # of several values, one; the first is the simplest
Made = tuple[Json, "NDArray[Any] | None"]  # an output, and its scores; None where a softmax makes them


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
class Numbers:
    """What the makers of outputs share: `rng` gives the numbers, `pick` the structure."""

    rng: np.random.Generator
    pick: Pick
    rows_wanted: int | None = None
    nms_method: str = "hard"
    tensors: Tensors = field(default_factory=dict)

    # Of the case:
    batch: int = field(init=False)
    style: str = field(init=False)
    non_finite: float = field(init=False)
    transforms: list[ImageTransform] | None = field(init=False)
    batch_size: int | None = field(init=False, default=None)
    outputs: int = field(init=False)
    # Of the output that is made:
    sample: DetectionOutput = field(init=False)  # of its kind
    prefix: str = field(init=False)
    labels: int = field(init=False)
    normalized: bool = field(init=False)  # by its document
    rows: int = field(init=False)
    each: tuple[int, ...] = field(init=False)  # shape of what a row has in a tensor of its own
    ids: list[int] = field(init=False)

    def activation(self) -> str:
        # Decayed scores of a softmax could not be compared with thresholds to the last bit.
        return str(self.pick("none", "sigmoid", *(["softmax"] if self.nms_method != "soft" else [])))

    def scores(self, shape: tuple[int, ...], activation: str) -> NDArray[Any]:
        """Return scores, or the logits of scores; exact ties only where rounding cannot break them."""
        if activation == "softmax":
            scores = self.rng.normal(0, 2, shape)
            if scores.size and scores.ndim > 2:  # whole rows again: ties of equal logits
                twins = self.rng.integers(0, shape[1], shape[1])
                scores = np.where(self.rng.random(shape[1])[:, np.newaxis] < 0.2, scores[:, twins], scores)
            return self.spoiled(scores, (np.float32, np.float64))
        return self.spoiled(self.plain_scores(shape, activation))

    def plain_scores(self, shape: tuple[int, ...], activation: str = "none") -> NDArray[Any]:
        """Return scores, or the logits of a sigmoid, as float64."""
        scores = self.rng.normal(0, 2, shape) if activation == "sigmoid" else self.rng.random(shape)
        steps = 2 if activation == "sigmoid" else 8
        return np.round(scores * steps) / steps if self.style == "grid" else scores

    def values(self, scores: NDArray[Any], activation: str) -> NDArray[Any] | None:
        """Return the scores that come of logits, to choose thresholds from."""
        if activation == "softmax":
            return None
        with np.errstate(over="ignore"):
            values = scores.astype(np.float32)
        return reference.sigmoid(values) if activation == "sigmoid" else values

    def boxes(self, shape: tuple[int, ...], sizes: NDArray[Any], box_format: str) -> NDArray[Any]:
        return self.spoiled(self.plain_boxes(shape, sizes, box_format))

    def plain_boxes(self, shape: tuple[int, ...], sizes: NDArray[Any], box_format: str) -> NDArray[Any]:
        """Return boxes of images of the sizes, as float32."""
        corners = clustered_boxes(self.rng, shape, self.style)
        corners *= np.tile(sizes[:, ::-1], 2).reshape(-1, *[1] * (len(shape) - 1), 4).astype(np.float32)
        return reference.box_convert(corners, "xyxy", box_format).reshape(*shape, 4)

    def with_signs(self, boxes: NDArray[Any]) -> NDArray[Any]:
        """Return centres and sides of which some are below 0, as those of oriented boxes may be."""
        signs = self.rng.choice(np.float32([1, 1, 1, -1]), boxes[..., 2:].shape)
        return np.concatenate([boxes[..., :2], boxes[..., 2:] * signs], axis=-1)

    def spoiled(
        self, values: NDArray[Any], dtypes: Sequence[Any] = (np.float32, np.float64, np.float16)
    ) -> NDArray[Any]:
        """Return the values in one of the dtypes, some of them NaN or infinite."""
        spoiled = values.astype(self.pick(*dtypes))
        chosen = self.rng.random(values.shape) < self.non_finite
        spoiled[chosen] = self.rng.choice([np.nan, np.inf, -np.inf], chosen.sum())
        return spoiled

    def box_format(self, first: str = "xyxy") -> str:
        formats = ["xyxy", "xywh", "cxcywh", "yxyx"]
        return str(self.pick(first, *(name for name in formats if name != first)))

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

    def keep(self, name: str, tensor: NDArray[Any]) -> str:
        """Keep a tensor, without its batch axis where that may be, and return its name."""
        without_batch = len(tensor) == 1 and self.pick(False, True)
        self.tensors[self.prefix + name] = tensor[0] if without_batch else tensor
        return self.prefix + name


def optional(**fields: tuple[Any, Any]) -> Json:
    """Keep the fields whose value is not the default: v0.7 documents do not know the extensions."""
    return {name: value for name, (value, default) in fields.items() if value != default}
