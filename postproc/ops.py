"""The box operations that everyone knows, as plain functions: NumPy in, NumPy out.

Boxes are (N, 4) xyxy unless a format says otherwise, in any unit. Arrays, and anything with ``__array__`` or
``__dlpack__`` on the CPU, are taken in any floating dtype and computed in float32.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from postproc.decoding import BOX_FORMATS
from postproc.errors import TensorError
from postproc.kernels.core import boxes as box_kernels
from postproc.kernels.core import iou as iou_kernels
from postproc.kernels.nms.greedy import extent, greedy_nms
from postproc.tensors import as_array, as_float32, wrong_shape

__all__ = ["batched_nms", "box_area", "box_convert", "box_iou", "clip_boxes", "nms", "oriented_box_iou"]

Matrix = TypeVar("Matrix")

_ndarray = np.ndarray
_FLOAT32 = np.dtype(np.float32)
_FURTHEST = float(np.finfo(np.float32).max)
_NO_GROUPS = np.empty(0, np.int64)


def nms(boxes: ArrayLike, scores: ArrayLike, iou_threshold: float) -> NDArray[np.int64]:
    """Greedy non-maximum suppression: keep a box unless one with a higher score overlaps it too much.

    Parameters
    ----------
    boxes : (N, 4) array of float, xyxy
    scores : (N,) array of float
        Of equal scores the lower row counts as the higher; a box whose score is NaN is left out.
    iou_threshold : float
        Jaccard index, 0 to 1, above which (``>``) the lower-scored box goes; compared in float32.

    Returns
    -------
    (K,) int64
        Rows of the boxes that are kept, by descending score.

    Raises
    ------
    TensorError
        If an array has the wrong shape or dtype, or the threshold is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from postproc import ops
    >>> boxes = np.array([[0, 0, 10, 10], [1, 1, 10, 10], [20, 20, 30, 30]], np.float32)
    >>> ops.nms(boxes, np.array([0.8, 0.9, 0.7], np.float32), 0.5)
    array([1, 2])
    """
    checked, numbers = _boxes_and_scores(boxes, scores)
    return greedy_nms(checked, numbers, _NO_GROUPS, 0, 1, _threshold(iou_threshold))


def batched_nms(
    boxes: ArrayLike, scores: ArrayLike, idxs: ArrayLike, iou_threshold: float
) -> NDArray[np.int64]:
    """`nms` of several groups at once: only boxes with equal `idxs` suppress each other.

    Groups are compared, not shifted apart, so coordinates may be of any size and sign.

    Parameters
    ----------
    boxes, scores, iou_threshold
        As of `nms`.
    idxs : (N,) array of int
        Group (label, image, ...) of each box; any integers.

    Returns
    -------
    (K,) int64
        Rows of the boxes that are kept, by descending score over all groups.

    Raises
    ------
    TensorError
        As of `nms`.

    Examples
    --------
    >>> from postproc import ops
    >>> boxes = [[0.0, 0, 10, 10], [1.0, 1, 10, 10], [1.0, 1, 10, 10]]
    >>> ops.batched_nms(boxes, [0.8, 0.9, 0.7], [0, 0, 1], 0.5)
    array([1, 2])
    """
    checked, numbers = _boxes_and_scores(boxes, scores)
    groups = as_array("idxs", idxs)
    if groups.dtype.kind not in "iu":
        raise TensorError(f"idxs must be integers; found dtype {groups.dtype}")
    if groups.shape != numbers.shape:
        raise wrong_shape("idxs", groups.shape, f"{numbers.shape}, one per box")
    numbered, lowest, count = _numbered(groups)
    return greedy_nms(checked, numbers, numbered, lowest, count, _threshold(iou_threshold))


def _numbered(groups: NDArray[Any]) -> tuple[NDArray[np.int64], int, int]:
    """Return groups as int64, the lowest of them, and how many numbers they take up."""
    if groups.dtype != np.uint64:
        integers = np.ascontiguousarray(groups, np.int64)
        lowest, highest = extent(integers)
        if highest - lowest <= 4 * len(groups):
            return integers, lowest, highest - lowest + 1
    unique, inverse = np.unique(groups, return_inverse=True)
    return inverse.reshape(-1).astype(np.int64), 0, max(1, len(unique))


def box_iou(boxes1: ArrayLike, boxes2: ArrayLike) -> NDArray[np.float32]:
    """Jaccard index of each box of one array with each of another.

    Parameters
    ----------
    boxes1 : (N, 4) array of float, xyxy
    boxes2 : (M, 4) array of float, xyxy

    Returns
    -------
    (N, M) float32
        Intersection over union, every step in float32. A box with x2 < x1 or y2 < y1 has no area, and the
        index of two boxes without area is 0.

    Raises
    ------
    TensorError
        If an array has the wrong shape or dtype, or there is no memory for the result.

    Examples
    --------
    >>> from postproc import ops
    >>> ops.box_iou([[0.0, 0, 2, 2]], [[0.0, 0, 2, 1], [4.0, 4, 5, 5]])
    array([[0.5, 0. ]], dtype=float32)
    """
    return _matrix(iou_kernels.iou_matrix, _boxes("boxes1", boxes1), _boxes("boxes2", boxes2))


def oriented_box_iou(
    boxes1: ArrayLike, boxes2: ArrayLike, iou: Literal["exact", "probiou"] = "exact"
) -> NDArray[np.float64]:
    """Index of each oriented box of one array with each of another: by default the Jaccard index.

    Parameters
    ----------
    boxes1 : (N, 5) array of float
        cx, cy, width, height, and the angle in radians that turns x towards y.
    boxes2 : (M, 5) array of float
    iou : {"exact", "probiou"}
        As of a detection. exact: by cutting polygons. probiou: of the Gaussians in their place.

    Returns
    -------
    (N, M) float64
        exact: intersection over union, in float64. A box whose width or height is 0 has no area, and the
        index with it is 0. probiou: numbers of float32, as ultralytics' ``batch_probiou`` computes them;
        not-a-number where float32 does not hold the square of an area. Signs of a width or a height say
        nothing: the rectangle is the same.

    Raises
    ------
    TensorError
        If an array has the wrong shape or dtype, or there is no such index.

    References
    ----------
    Murrugarra-Llerena et al. 2021, arXiv:2106.06072: probiou.

    Examples
    --------
    >>> import math
    >>> from postproc import ops
    >>> ops.oriented_box_iou([[0.0, 0, 2, 2, 0]], [[0.0, 0, 2, 2, math.pi / 4]]).round(3)
    array([[0.707]])
    """
    if iou == "probiou":
        from postproc.kernels.core.gaussians import probiou_matrix

        return _matrix(probiou_matrix, _boxes("boxes1", boxes1, 5), _boxes("boxes2", boxes2, 5))
    if iou != "exact":
        raise TensorError(f'iou must be "exact" or "probiou"; got "{iou}"')
    # Not at the top: every import of postproc would pay for kernels that few need.
    from postproc.kernels.core.rectangles import rectangle_iou_matrix

    return _matrix(rectangle_iou_matrix, _boxes("boxes1", boxes1, 5), _boxes("boxes2", boxes2, 5))


def _matrix(kernel: Callable[..., Matrix], a: NDArray[np.float32], b: NDArray[np.float32]) -> Matrix:
    try:
        return kernel(a, b)
    except (MemoryError, ValueError) as error:  # NumPy's words for a shape beyond any memory
        raise TensorError(
            f"no memory for the Jaccard indices of {len(a)} x {len(b)} boxes: {error}"
        ) from None


def box_area(boxes: ArrayLike) -> NDArray[np.float32]:
    """Area of boxes (N, 4), xyxy, as (N,) float32; 0 where x2 < x1 or y2 < y1.

    Raises
    ------
    TensorError
        If the array has the wrong shape or dtype.

    Examples
    --------
    >>> from postproc import ops
    >>> ops.box_area([[0.0, 0, 2, 3], [5.0, 5, 4, 6]])
    array([6., 0.], dtype=float32)
    """
    checked = _boxes("boxes", boxes)
    return iou_kernels.areas(checked)


def box_convert(boxes: ArrayLike, in_fmt: str, out_fmt: str) -> NDArray[np.float32]:
    """Convert boxes between formats.

    Parameters
    ----------
    boxes : (N, 4) array of float
    in_fmt, out_fmt : {"xyxy", "xywh", "cxcywh", "yxyx"}
        Corners; top left corner and size; centre and size; corners, y first.

    Returns
    -------
    (N, 4) float32
        Computed in float64, rounded once.

    Raises
    ------
    TensorError
        If the array has the wrong shape or dtype, or a format is unknown.

    Examples
    --------
    >>> from postproc import ops
    >>> ops.box_convert([[0.0, 0, 2, 4]], "xyxy", "cxcywh")
    array([[1., 2., 2., 4.]], dtype=float32)
    """
    for name, box_format in (("in_fmt", in_fmt), ("out_fmt", out_fmt)):
        if not isinstance(box_format, str) or box_format not in BOX_FORMATS:
            raise TensorError(f"{name} must be one of {', '.join(BOX_FORMATS)}; got {box_format!r}")
    return box_kernels.convert(_boxes("boxes", boxes), BOX_FORMATS[in_fmt], BOX_FORMATS[out_fmt])


def clip_boxes(boxes: ArrayLike, size: ArrayLike) -> NDArray[np.float32]:
    """Clip boxes (N, 4), xyxy, to an image of `size` (height, width); returns (N, 4) float32.

    Raises
    ------
    TensorError
        If an array has the wrong shape or dtype.

    Examples
    --------
    >>> from postproc import ops
    >>> ops.clip_boxes([[-1.0, 0, 5, 9]], (4, 3))
    array([[0., 0., 3., 4.]], dtype=float32)
    """
    checked = _boxes("boxes", boxes)
    limits = as_array("size", size)
    if (
        limits.shape != (2,)
        or limits.dtype.kind not in "iuf"
        or not ((limits >= 0) & (limits <= _FURTHEST)).all()
    ):
        raise TensorError(f"size must be [height, width], finite and not negative; got {size!r}")
    height, width = np.float32(limits[0]), np.float32(limits[1])
    return np.clip(checked, np.float32(0), np.array([width, height, width, height]))


def _boxes_and_scores(boxes: Any, scores: Any) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    # Nearly always the kernels take both as they are: to see so at once saves a tenth of a call of 2 us.
    if (
        type(boxes) is _ndarray
        and type(scores) is _ndarray
        and boxes.dtype is _FLOAT32
        and scores.dtype is _FLOAT32
        and scores.ndim == 1
        and boxes.shape == (len(scores), 4)
        and boxes.flags.carray
        and scores.flags.carray
    ):
        return boxes, scores
    checked = _boxes("boxes", boxes)
    return checked, _scores(scores, checked)


def _boxes(name: str, value: ArrayLike, numbers: int = 4) -> NDArray[np.float32]:
    boxes = as_float32(name, value)
    if boxes.ndim != 2 or boxes.shape[1] != numbers:
        raise wrong_shape(name, boxes.shape, f"(N, {numbers})")
    return boxes


def _scores(value: ArrayLike, boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    scores = as_float32("scores", value)
    if scores.shape != boxes.shape[:1]:
        raise wrong_shape("scores", scores.shape, f"{boxes.shape[:1]} to match boxes {boxes.shape}")
    return scores


def _threshold(iou_threshold: float) -> float:
    try:
        threshold = float(iou_threshold)
    except (TypeError, ValueError, OverflowError):
        threshold = math.nan
    if not 0.0 <= threshold <= 1.0:
        raise TensorError(f"iou_threshold must be a number from 0 to 1; got {iou_threshold!r}")
    return threshold
