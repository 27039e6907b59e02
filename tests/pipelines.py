"""One post-processor of each kind of output, with tensors in which it finds something."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.testing import assert_array_equal
from numpy.typing import NDArray

from postproc import Classification, PostProcessor, Recognitions
from tests.kinds import IDS, LABELS, Scene
from tests.kinds import KINDS as KINDS_OF_BOXES

__all__ = [
    "IDS",
    "KINDS",
    "LABELS",
    "OUTPUTS",
    "SIZES",
    "assert_same",
    "count",
    "post_processor",
    "tensors_of",
]

Tensors = dict[str, NDArray[Any]]

OUTPUTS = {name: kind.output for name, kind in KINDS_OF_BOXES.items()}
SIZES = {name: kind.size for name, kind in KINDS_OF_BOXES.items() if kind.size is not None}
KINDS = ("classification", *OUTPUTS)
BOXES = 40


def post_processor(kind: str, num_threads: int = 1, **decision: Any) -> PostProcessor:
    """Build a post-processor of a kind of output for `LABELS`."""
    options: dict[str, Any] = {"thresholds": 0.4, "label_ids": IDS, "num_threads": num_threads}
    if kind in SIZES:
        options["input_size"] = SIZES[kind]
    if kind == "classification":
        output = Classification(output_tensor="scores")
        return PostProcessor.for_classification(LABELS, output, **options)
    return PostProcessor.for_detection(LABELS, OUTPUTS[kind], **{**options, **decision})


def tensors_of(kind: str, images: int = 3, seed: int = 0) -> Tensors:
    """Make random tensors, float32 but for class ids."""
    rng = np.random.default_rng(seed)
    low = rng.uniform(0, 0.7, (images, BOXES, 2))
    corners = np.concatenate([low, low + rng.uniform(0.05, 0.3, low.shape)], axis=2)
    scores = rng.random((images, BOXES, len(LABELS)))
    if kind == "classification":
        made = {"scores": scores[:, 0]}
    else:
        made = KINDS_OF_BOXES[kind].tensors(Scene(rng, corners, scores))
    return {
        name: np.ascontiguousarray(tensor, np.int64 if name == "classes" else np.float32)
        for name, tensor in made.items()
    }


_ARRAYS_OF_IMAGES = ("is_cut", "frames", "covers_image")


def assert_same(actual: Recognitions, expected: Recognitions) -> None:
    """Check that two results are equal, bit for bit."""
    for one, other in zip(actual.outputs, expected.outputs, strict=True):
        assert type(one) is type(other)
        names = ["offsets", *one._columns(), *(name for name in one._OF_IMAGES if name in _ARRAYS_OF_IMAGES)]
        for name in names:
            assert_array_equal(getattr(one, name), getattr(other, name), strict=True)


def count(results: Recognitions) -> int:
    """Count the rows of all outputs."""
    return sum(len(output.labels) for output in results.outputs)
