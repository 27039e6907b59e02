"""The ways in which rows of detections may be meant: the form of their boxes, and whether NMS is done."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from postproc.inspection.graph import Graph, image_axes
from postproc.schema.outputs import BoxFormat, Coordinates

BoxForm = tuple[BoxFormat, Coordinates]
OVERLAPPING = "end_to_end_output of rows that overlap"  # the kind of rows that NMS still has to choose from


def forms_of(graph: Graph) -> Iterator[BoxForm]:
    """Give the ways to give a box that the outputs of a network may have.

    Only networks that come from TensorFlow put y first: by who wrote the file, or images with channels last.
    """
    axes = None if graph.image is None else image_axes(graph.image.declared)
    is_tensorflow = graph.producer.lower().startswith(("tf", "keras")) or (axes and axes[0] == "NHWC")
    formats: tuple[BoxFormat, ...] = ("xyxy", "cxcywh", "xywh", *(("yxyx",) if is_tensorflow else ()))
    return itertools.product(formats, ("pixels", "normalized"))
