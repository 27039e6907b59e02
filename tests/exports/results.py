"""Results of every kind of output, and independent readers of what is written of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from postproc import Detections, Recognitions
from postproc.pipeline import PostProcessor
from tests.pipelines import OUTPUTS, post_processor, tensors_of

IMAGES = ["street/000000000007.jpg", "street/000000000003.png", "000000000011.jpg"]
IDS = [7, 3, 11]
SIZES = [(480, 640), (333, 500), (97, 61)]
BOX_KINDS = ("standard", *(kind for kind, output in OUTPUTS.items() if output.yields != "boxes"))


def made(kind: str, show_discarded: bool = True) -> tuple[PostProcessor, Recognitions]:
    """Give a post-processor and what it finds on three images."""
    post = post_processor(kind, nms_threshold=1.0) if kind != "classification" else post_processor(kind)
    return post, post(tensors_of(kind), show_discarded=show_discarded)


def detections(found: Recognitions) -> Detections:
    """Give the predicted ones of the first output."""
    output = found.outputs[0]
    assert isinstance(output, Detections)
    kept = output[output.predicted]
    assert len(kept.labels) > 20
    return kept


def pixels(found: Detections) -> NDArray[Any]:
    return found.to_pixels(np.array(SIZES)).astype(np.float64)


def images_of(found: Detections) -> NDArray[np.int64]:
    return np.repeat(np.arange(len(found)), np.diff(found.offsets))
