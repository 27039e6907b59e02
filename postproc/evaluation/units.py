"""Boxes of a ground truth that are in other units than COCO's, which would score near 0 without a word.

The rules look at all boxes of a file together, since single ones are odd in every data set: an object may lie
half outside of its image, and be annotated so.

- Fractions: nearly all boxes have no number above 1, and none has one above 2, though images are larger than
  `_TINY`.
- A box reaches far beyond its image where that is more than a tenth of a side and four pixels. A few are
  ordinary; where more than a quarter do, sizes and boxes do not belong together. Boxes that are corners
  ``[x1, y1, x2, y2]`` are told apart by having ``x1 <= x2 <= width`` and ``y1 <= y2 <= height`` nearly all,
  which widths and heights have by accident only where objects fill their images; there a twentieth that
  reaches far beyond is enough.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from postproc.errors import SchemaError

_TINY = 10  # pixels
_BEYOND = 0.1  # of a side
_BEYOND_PIXELS = 4.0
_OFTEN = 0.25  # of the boxes
_OFTEN_OF_CORNERS = 0.05
_NEARLY_ALL = 0.98


def check_units(
    boxes: NDArray[np.float64],
    sizes: NDArray[np.int64],
    source: str,
    name_of: Callable[[int], str],
    of: str = "annotations",
) -> None:
    """Refuse boxes that look like another thing than x, y, width and height in pixels of their images.

    Parameters
    ----------
    boxes : (G, 4) float64
        As the file writes them.
    sizes : (G, 2) int64
        Height and width of the image of each; 0 where it is not known.
    source : str
        Name of the file.
    name_of : function
        Gives the name of the image of a box, by the row of the box.
    of : str
        What of the file has the boxes.

    Raises
    ------
    SchemaError
        If they do; says what they look like.
    """
    if not len(boxes):
        return
    are_fractions = (boxes.max(axis=1) <= 1).mean() >= _NEARLY_ALL and boxes.max() <= 2
    if are_fractions and (boxes[:, 2:] > 0).any() and (sizes.max() > _TINY or (sizes < 1).any()):
        raise SchemaError(
            f"{source}: {of}: hardly any bbox has a number above 1, such as {boxes[0].tolist()} on "
            f"{name_of(0)!r}: they look like fractions of the image, where COCO's bbox is [x, y, width, "
            "height] in pixels; multiply x and width by the image's width, y and height by its height"
        )
    known = np.flatnonzero((sizes > 0).all(axis=1))
    if not len(known):
        return
    boxes, sides = boxes[known], sizes[known][:, ::-1].astype(np.float64)
    is_beyond = _beyond(boxes, sides)
    share = is_beyond.mean()
    are_corners = _may_be_corners(boxes, sides).mean() >= _NEARLY_ALL
    if share < (_OFTEN_OF_CORNERS if are_corners else _OFTEN):
        return
    row = int(np.argmax(is_beyond))
    example = f"the bbox {boxes[row].tolist()} on {name_of(int(known[row]))!r}"
    width, height = sides[row].astype(int).tolist()
    if are_corners:
        cause = (
            "they look like corners [x1, y1, x2, y2], where COCO's bbox is [x, y, width, height]; write "
            "x2 - x1 and y2 - y1"
        )
    elif _beyond(boxes, sides[:, ::-1]).mean() < _OFTEN_OF_CORNERS:
        cause = "they would fit if width and height of the images were swapped"
    else:
        cause = (
            "they look like boxes in pixels of another size than width and height of images say, or like "
            "[centre x, centre y, width, height]"
        )
    raise SchemaError(
        f"{source}: {of}: {int(is_beyond.sum())} of {len(boxes)} boxes reach far beyond their images, "
        f"such as {example}, whose width and height are {width} and {height}: {cause}"
    )


def _beyond(boxes: NDArray[np.float64], sides: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which boxes reach far beyond images of the given widths and heights, (G,)."""
    slack = np.maximum(_BEYOND * sides, _BEYOND_PIXELS)
    ends = boxes[:, :2] + boxes[:, 2:]
    return np.asarray(((ends > sides + slack) | (boxes[:, :2] < -slack)).any(axis=1))


def _may_be_corners(boxes: NDArray[np.float64], sides: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which boxes are whole and lie in their images if they are read as x1, y1, x2, y2, (G,)."""
    first, second = boxes[:, :2], boxes[:, 2:]
    return np.asarray(((first <= second) & (second <= sides + _BEYOND_PIXELS)).all(axis=1))
