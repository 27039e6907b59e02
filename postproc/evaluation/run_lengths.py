"""COCO's segmentations, whatever their form, as the compressed run lengths that masks are compared by."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from postproc.errors import SchemaError
from postproc.installing import install
from postproc.kernels.masks.lengths import run_length_totals
from postproc.schema.problems import describe

_AT_ONCE = 200  # pycocotools takes 255 masks at most
_FURTHEST = 10  # sides of the image: pycocotools draws each point of an outline, in the image or not


def mask_tools() -> Any:
    """Import `pycocotools.mask`.

    Raises
    ------
    ImportError
        If the extra ``eval`` is missing.
    """
    try:
        from pycocotools import mask
    except ImportError as error:
        raise ImportError(f"metrics of masks need an extra: {install('eval')} ({error})") from error
    return mask


def as_run_lengths(
    masks: Sequence[Any] | NDArray[np.object_], sizes: NDArray[np.int64], name_of: Callable[[int], str]
) -> list[dict[str, Any]]:
    """Give masks as ``{"size": [height, width], "counts": text}``.

    Parameters
    ----------
    masks : sequence of N
        COCO's ``segmentation`` of each: polygons, or RLE, compressed or not; None for one without a pixel.
    sizes : (N, 2) int64
        Height and width of the image of each.
    name_of : function
        Says of which detection or object a mask is, by its row.

    Raises
    ------
    SchemaError
        If a mask is broken, or of another size than its image.
    ImportError
        If the extra ``eval`` is missing.
    """
    tools = mask_tools()
    made: list[dict[str, Any]] = []
    for row, (mask, (height, width)) in enumerate(zip(masks, sizes.tolist(), strict=True)):
        try:
            made.append(_run_lengths(mask, height, width, tools))
        except _MaskError as error:
            raise SchemaError(f"{name_of(row)}: segmentation: {error}") from None
    _check_texts(made, name_of)
    return made


def areas_of(masks: Sequence[dict[str, Any]]) -> NDArray[np.float64]:
    """Pixels of each mask, (N,), as pycocotools counts them."""
    area = mask_tools().area
    parts = [area(masks[start : start + _AT_ONCE]) for start in range(0, len(masks), _AT_ONCE)]
    return np.concatenate([np.empty(0), *parts]).astype(np.float64)


class _MaskError(Exception):
    """Says what is wrong with a mask."""


def _run_lengths(mask: Any, height: int, width: int, tools: Any) -> dict[str, Any]:
    if isinstance(mask, list):
        _check_polygons(mask, height, width)
        merged: dict[str, Any] = tools.merge(tools.frPyObjects(mask, height, width))
        return merged
    if mask is None:
        mask = {"size": [height, width], "counts": [height * width]}
    if not isinstance(mask, Mapping):
        raise _MaskError(f"expected polygons or RLE, got {describe(mask)}")
    size, counts = mask.get("size"), mask.get("counts")
    if not isinstance(size, (list, tuple)) or len(size) != 2 or not all(map(_is_count, size)):
        raise _MaskError(f"expected RLE with a size [height, width], got {describe(size)}")
    if list(size) != [height, width]:
        raise _MaskError(
            f"the mask is {size[0]} high and {size[1]} wide, and its image {height} and {width}: masks are "
            "compared in the pixels of the image; encode it at that size"
        )
    if isinstance(counts, (str, bytes)):
        return {"size": [height, width], "counts": counts}
    if not isinstance(counts, list) or not all(map(_is_count, counts)) or sum(counts) != height * width:
        told = f"{len(counts)} that sum up otherwise" if isinstance(counts, list) else describe(counts)
        raise _MaskError(
            f"expected counts that are a text, or lengths of runs that sum up to {height * width} pixels, "
            f"got {told}"
        )
    encoded: dict[str, Any] = tools.frPyObjects({"size": [height, width], "counts": counts}, height, width)
    return encoded


def _check_polygons(polygons: list[Any], height: int, width: int) -> None:
    furthest = _FURTHEST * max(height, width)
    if not polygons:
        raise _MaskError("expected polygons, got an empty list")
    for number, polygon in enumerate(polygons):
        if not isinstance(polygon, (list, tuple)):
            raise _MaskError(
                f"expected a list of polygons, each a list [x, y, x, y, ...], got a list whose entry "
                f"{number} is {describe(polygon)}"
            )
        if len(polygon) < 6 or len(polygon) % 2:
            raise _MaskError(
                f"polygon {number}: expected x and y of three corners or more, got {len(polygon)} numbers"
            )
        try:
            corners = np.asarray(polygon)
        except ValueError:
            corners = np.empty(0, np.object_)
        if corners.dtype.kind not in "iuf" or not np.isfinite(corners).all():
            raise _MaskError(f"polygon {number}: expected finite numbers, got {describe(polygon)}")
        if np.abs(corners).max() > furthest:
            raise _MaskError(
                f"polygon {number}: reaches to {np.abs(corners).max():g}, far beyond its image of {width} x "
                f"{height}; corners are in pixels"
            )


def _check_texts(masks: Sequence[dict[str, Any]], name_of: Callable[[int], str]) -> None:
    """See that compressed counts are such: pycocotools reads beyond the end of others."""
    texts = [
        text.encode("utf-8", "replace") if isinstance(text, str) else bytes(text)
        for text in (mask["counts"] for mask in masks)
    ]
    bounds = np.concatenate([[0], np.cumsum([len(text) for text in texts])]).astype(np.int64)
    totals = run_length_totals(np.frombuffer(b"".join(texts), np.uint8), bounds)
    pixels = np.array([mask["size"] for mask in masks], np.int64).reshape(-1, 2).prod(axis=1)
    if (wrong := np.flatnonzero(totals != pixels)).size:
        row = int(wrong[0])
        height, width = masks[row]["size"]
        found = "what is no such text" if totals[row] < 0 else f"runs of {totals[row]} pixels"
        raise SchemaError(
            f"{name_of(row)}: segmentation.counts: expected COCO's compressed run lengths of {height} x "
            f"{width} = {pixels[row]} pixels, got {found}"
        )


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
