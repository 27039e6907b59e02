"""pycocotools: masks in columns, boxes as top left corner, width and height."""

from __future__ import annotations

from typing import Any

import numpy as np
from pycocotools import mask as masks

from tests.conformance.adapters import Answer, sizes

DISTRIBUTIONS = ("pycocotools",)


def box_iou(boxes1: Any, boxes2: Any) -> Answer:
    given = (sizes(boxes).astype(np.float64) for boxes in (boxes1, boxes2))
    found = masks.iou(*given, [0] * len(boxes2))
    return {"iou": np.reshape(found, (len(boxes1), len(boxes2)))}


def rle(mask: Any) -> Answer:
    return {"string": masks.encode(np.asfortranarray(mask))["counts"].decode()}
