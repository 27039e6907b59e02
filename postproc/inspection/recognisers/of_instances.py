"""Masks and keypoints in tensors of their own, beside the boxes that they belong to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from postproc.graph_shapes import Shape
from postproc.inspection.evidence import Evidence, Part, Source, speaks_for
from postproc.inspection.graph import Tensor
from postproc.inspection.observed import Columns, Observed
from postproc.inspection.readings import Role
from postproc.inspection.roles import Keypoints
from postproc.schema.outputs import Coordinates

_SIDES = range(7, 113)  # of a mask that covers a box
_STRIDES = {2.0, 4.0, 8.0, 16.0, 32.0}  # of grids that cover the image
_FEWEST_KEYPOINTS = 3
_BOX, _IMAGE = "box", "image"


@dataclass(frozen=True)
class OfInstances:
    """What goes with boxes.

    Parameters
    ----------
    fields : mapping
        Of the document.
    text : str
        What it is, for people to read.
    tensor : Tensor or None
        Where it is.
    roles : tuple of Role
        What its numbers are.
    evidence : tuple of Evidence
        What speaks for it.
    """

    fields: dict[str, Any] = field(default_factory=dict)
    text: str = ""
    tensor: Tensor | None = None
    roles: tuple[Role, ...] = ()
    evidence: tuple[Evidence, ...] = ()


def of_instances(observed: Observed, boxes: Tensor, units: Coordinates) -> OfInstances:
    """Find the masks or the keypoints of boxes (..., N, C): of Mask R-CNN, of Keypoint R-CNN, of MMDeploy.

    Nothing is found where there are several, or where a run shows that their numbers are something else.
    """
    found = [*_masks(observed, boxes), *_keypoints(observed, boxes, units)]
    return found[0] if len(found) == 1 else OfInstances()


def _beside(observed: Observed, boxes: Tensor) -> Iterator[tuple[Tensor, Shape]]:
    """Give the tensors that have something for each box, and its shape."""
    rows = (boxes.shape or ())[:-1]
    for tensor in observed.graph.float_outputs:
        shape = tensor.shape or ()
        pairs = zip(rows, shape, strict=False)
        if len(shape) > len(rows) + 1 and all(size in (None, own) for own, size in pairs):
            yield tensor, shape[len(rows) :]


def _masks(observed: Observed, boxes: Tensor) -> Iterator[OfInstances]:
    for tensor, shape in _beside(observed, boxes):
        if len(shape) not in (2, 3):
            continue
        cover = _cover(observed, shape[-2:])
        if cover and _are_probabilities(observed, tensor):
            covered = "the image" if cover == _IMAGE else "its box"
            text = f"{tensor} beside {boxes}: for each box a mask of {covered}"
            yield OfInstances(
                {"masks_tensor": tensor.name, **({"masks_cover": cover} if cover != _BOX else {})},
                f"masks of {covered}",
                tensor,
                (),
                (speaks_for(Source.SHAPES, text, Part.KIND, Part.COLUMNS),),
            )


def _cover(observed: Observed, sides: Shape) -> str:
    """Tell what a mask covers by its sides: "box", "image", or nothing where they do not tell."""
    height, width = sides
    if not (height and width and observed.size):
        return ""
    if sides == observed.size:
        return _IMAGE
    is_small = height == width and height in _SIDES
    cuts_out = any("roialign" in name.lower() for name in observed.graph.operators)
    is_grid = {observed.size[0] / height, observed.size[1] / width} <= _STRIDES
    return _BOX if is_small and (cuts_out or not is_grid) else ""


def _are_probabilities(observed: Observed, tensor: Tensor) -> bool:
    values = observed.outputs.get(tensor.name)
    return values is None or not values.size or bool(np.min(values) >= 0 and np.max(values) <= 1)


def _keypoints(observed: Observed, boxes: Tensor, units: Coordinates) -> Iterator[OfInstances]:
    for tensor, shape in _beside(observed, boxes):
        count, each = shape if len(shape) == 2 else (None, None)
        if count is None or count < _FEWEST_KEYPOINTS or each not in (2, 3):
            continue
        role = Keypoints(Columns(tensor.name), each, units)
        if not any(item.is_against for item in role.examined(observed)):
            text = f"{tensor} beside {boxes}: {count} keypoints of {each} numbers for each box"
            yield OfInstances(
                {
                    "keypoints_tensor": tensor.name,
                    "keypoints": count,
                    **({"dimensions": each} if each != 3 else {}),
                },
                f"{count} keypoints of {each} numbers",
                tensor,
                (role,),
                (speaks_for(Source.SHAPES, text, Part.KIND, Part.COLUMNS),),
            )
