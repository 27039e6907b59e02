"""COCO results: a JSON list with an object a detection, as all tools write them that know COCO.

``image_id`` is a whole number, or as ultralytics' ``save_json`` writes it the stem of the file's name; then
``file_name`` stands beside it. Boxes are ``bbox``, else around what there is: ``poly`` or ``rbox``
(ultralytics' oriented boxes), ``segmentation`` or ``keypoints``, as pycocotools' ``loadRes`` does it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sized
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from postproc.errors import SchemaError, SchemaProblem
from postproc.evaluation.found_formats.found_file import (
    FoundFile,
    Given,
    are_numbers,
    check,
    is_number,
    missing,
    numbered,
    whole,
)
from postproc.evaluation.measured_detections import corners_of
from postproc.installing import install
from postproc.schema.problems import describe

_BOXES = ("bbox", "poly", "rbox", "segmentation", "keypoints")


def recognises(given: Given) -> bool:
    """Whether it is a list, or a file of one."""
    return given.results is not None or given.head.lstrip().startswith(b"[")


def read(given: Given) -> FoundFile:
    """Read a list of results.

    Raises
    ------
    SchemaError
        If entries are broken: lists the first, by their JSON paths.
    """
    results = _parsed(given) if given.results is None else given.results
    try:
        ids: list[Any] = [item["image_id"] for item in results]
        categories: list[Any] = [item["category_id"] for item in results]
        scores: list[Any] = [item["score"] for item in results]
        are_plain = {*map(type, ids)} <= {int, str} and {*map(type, categories)} <= {int}
    except (KeyError, TypeError, IndexError):
        are_plain = False
    if not are_plain or not are_numbers(*{*map(type, scores)}):
        check(given.source, _problems(results))
        ids = [
            item["image_id"] if isinstance(item["image_id"], str) else whole(item["image_id"])
            for item in results
        ]
        categories = [whole(item["category_id"]) for item in results]
        scores = [item["score"] for item in results]
    masks = np.full(len(results), None, np.object_)
    if any("segmentation" in item for item in results):
        masks[:] = [item.get("segmentation") or None for item in results]
        if not all(mask is None or _is_mask(mask) for mask in masks):
            check(given.source, _problems(results))
    images, image_of_each = numbered(ids)
    keys, category_of_each = numbered(categories)
    try:
        return FoundFile(
            given.source,
            images,
            image_of_each,
            dict.fromkeys(keys, ""),
            category_of_each,
            _boxes(results),
            np.array(scores, np.float64),
            "[{}]".format,
            names=_names(results, ids, len(images)),
            masks=masks,
            keypoints=_keypoints(results),
            corners=_corners(results),
            areas_are_of_boxes=bool(results) and len(results[0].get("bbox", ())) > 0,
            notes=_notes(given.source, results),
        )
    except (TypeError, ValueError, OverflowError, AttributeError, KeyError) as error:
        check(given.source, _problems(results))
        raise SchemaError(f"{given.source}: expected COCO results; {error}") from error


def _parsed(given: Given) -> list[Any]:
    assert given.path is not None
    try:
        return json.loads(given.path.read_bytes())  # type: ignore[no-any-return]
    except (ValueError, RecursionError) as error:
        raise SchemaError(
            f"{given.source}: expected COCO results, a JSON list; it is no whole JSON: {error}"
        ) from None


def _boxes(results: list[Any]) -> NDArray[np.float64]:
    if not all("bbox" in item for item in results):
        return np.array([_box_of(item) for item in results], np.float64).reshape(-1, 4)
    boxes = [item["bbox"] for item in results]
    numbers = list(chain.from_iterable(boxes))
    if not {*map(len, boxes)} <= {4} or not are_numbers(*{*map(type, numbers)}):
        raise TypeError("bbox")
    return np.array(numbers, np.float64).reshape(-1, 4)


def _box_of(item: dict[str, Any]) -> Any:
    """Give the box of a result, or the one around what it has."""
    if "bbox" in item:
        return item["bbox"]
    if (corners := _quadrangle(item)) is not None:
        return _around(corners)
    mask = item.get("segmentation")
    if isinstance(mask, dict):
        return _of_run_lengths(mask)
    if mask:
        return _around(np.reshape(np.concatenate([np.array(ring, np.float64) for ring in mask]), (-1, 2)))
    return _around(np.reshape(np.array(item["keypoints"], np.float64), (-1, 3)))


def _around(points: NDArray[np.float64]) -> list[float]:
    low, high = points[:, :2].min(axis=0), points[:, :2].max(axis=0)
    return [*low.tolist(), *(high - low).tolist()]


def _of_run_lengths(mask: dict[str, Any]) -> Any:
    try:
        from pycocotools import mask as masks
    except ImportError as error:
        raise ImportError(f"boxes of masks alone need an extra: {install('eval')} ({error})") from error
    height, width = mask["size"]
    if isinstance(mask["counts"], list):
        mask = masks.frPyObjects(mask, height, width)
    return masks.toBbox(mask).tolist()


def _names(results: list[Any], ids: list[Any], images: int) -> tuple[str | None, ...]:
    """File name of each image that a result says one of; ultralytics says all."""
    if not any("file_name" in item for item in results):
        return ()
    of_ids = dict.fromkeys(ids)
    of_ids.update(zip(ids, (item.get("file_name") for item in results), strict=True))
    return tuple(name if isinstance(name, str) and name else None for name in of_ids.values())


def _keypoints(results: list[Any]) -> NDArray[np.float64]:
    if not any("keypoints" in item for item in results):
        return np.zeros((len(results), 0))
    points = [item.get("keypoints") or () for item in results]
    numbers = list(chain.from_iterable(points))
    if not are_numbers(*{*map(type, numbers)}):
        raise TypeError("keypoints")
    lengths = np.fromiter(map(len, points), np.int64, len(points))
    table = np.zeros((len(points), lengths.max(initial=0)))
    table[np.arange(table.shape[1]) < lengths[:, np.newaxis]] = numbers
    return table


def _corners(results: list[Any]) -> NDArray[np.float64]:
    """Corners of oriented boxes: ``poly``, ``rbox``, or the only polygon of four corners if all have one."""
    corners = np.full((len(results), 4, 2), np.nan)
    if any("poly" in item or "rbox" in item for item in results):
        for row, item in enumerate(results):
            if (known := _quadrangle(item)) is not None:
                corners[row] = known
    elif results and all(_is_quadrangle(item.get("segmentation")) for item in results):
        corners[:] = np.reshape([item["segmentation"] for item in results], (-1, 4, 2))
    return corners


def _quadrangle(item: dict[str, Any]) -> NDArray[np.float64] | None:
    """Corners (4, 2) of ``poly``, or else of ``rbox``; None where there is neither."""
    if item.get("poly") is not None:
        return np.reshape(np.array(item["poly"], np.float64), (4, 2))
    if item.get("rbox") is None:
        return None
    if not _is_rectangle(item["rbox"]):
        raise ValueError("rbox")
    (corners,) = corners_of(np.array([item["rbox"]], np.float64))
    return np.asarray(corners)


def _is_rectangle(value: Any) -> bool:
    """Whether it is a centre, two sides, and an angle that may be in radians."""
    return _are_numbers(value) and len(value) == 5 and not abs(value[4]) > 2 * math.pi


def _notes(source: str, results: list[Any]) -> tuple[str, ...]:
    if not any("rbox" in item and item.get("poly") is None for item in results):
        return ()
    told = "centre x, centre y, width, height, and the angle of the width in radians, from x to y"
    return (f"rbox of {source} is read as ultralytics writes it: {told}",)


def _is_quadrangle(mask: Any) -> bool:
    return isinstance(mask, list) and len(mask) == 1 and isinstance(mask[0], list) and len(mask[0]) == 8


def _problems(results: list[Any]) -> Iterator[SchemaProblem]:
    """Find what is wrong, entry by entry."""
    for row, item in enumerate(results):
        if not isinstance(item, dict):
            yield SchemaProblem(f"[{row}]", f"expected an object, got {describe(item)}")
            continue
        for name, is_right, expected in (
            ("image_id", _is_image, "a whole number, or the stem of the image's file name"),
            ("category_id", lambda value: whole(value) is not None, "a whole number"),
            ("score", is_number, "a number"),
        ):
            if not is_right(item.get(name)):
                yield SchemaProblem(f"[{row}].{name}", f"expected {expected}, got {missing(item, name)}")
        yield from _shape_problems(row, item)


def _is_image(value: Any) -> bool:
    return (isinstance(value, str) and bool(value)) or whole(value) is not None


def _shape_problems(row: int, item: dict[str, Any]) -> Iterator[SchemaProblem]:
    if not any(_has(item, name) for name in _BOXES):
        yield SchemaProblem(
            f"[{row}].bbox",
            "expected [x, y, width, height] in pixels, four numbers, or poly, rbox, segmentation or "
            f"keypoints in its place, got {missing(item, 'bbox')}",
        )
        return
    if item.get("poly") is None and not (item.get("rbox") is None or _is_rectangle(item["rbox"])):
        yield SchemaProblem(
            f"[{row}].rbox",
            "expected [centre x, centre y, width, height, angle in radians], five numbers, got "
            f"{describe(item['rbox'])}",
        )
    for name, lengths, expected in (
        ("bbox", (4,), "[x, y, width, height] in pixels, four numbers"),
        ("poly", (8,), "x and y of four corners in pixels"),
        ("keypoints", range(1 << 20), "numbers of points in pixels"),
    ):
        value: Any = item.get(name)
        if value is not None and not (_are_numbers(value) and len(value) in lengths):
            yield SchemaProblem(f"[{row}].{name}", f"expected {expected}, got {describe(value)}")
    mask = item.get("segmentation")
    if mask and not _is_mask(mask):
        yield SchemaProblem(
            f"[{row}].segmentation",
            f"expected polygons, or run lengths with size and counts, got {describe(mask)}",
        )


def _has(item: dict[str, Any], name: str) -> bool:
    value = item.get(name)
    return value is not None and not (isinstance(value, Sized) and not len(value))


def _are_numbers(value: Any) -> bool:
    return isinstance(value, (list, tuple, np.ndarray)) and all(map(is_number, value))


def _is_mask(mask: Any) -> bool:
    if isinstance(mask, dict):
        size, counts = mask.get("size"), mask.get("counts")
        is_sized = (
            isinstance(size, (list, tuple))
            and len(size) == 2
            and all((whole(side) or 0) > 0 for side in size)
        )
        return is_sized and isinstance(counts, (str, bytes, list))
    return isinstance(mask, list) and all(
        _are_numbers(ring) and len(ring) >= 6 and len(ring) % 2 == 0 for ring in mask
    )
