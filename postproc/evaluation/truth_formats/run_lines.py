"""What ``postproc run`` writes as lines of JSON, read back as truth: what was predicted is there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from postproc.errors import SchemaError
from postproc.evaluation.truth_formats.coco_results import SCORES_NOTE
from postproc.evaluation.truth_formats.image_index import ImageIndex, Size, missing_image, size_of
from postproc.evaluation.truth_formats.quadrilaterals import rectangle_of
from postproc.evaluation.truth_formats.source import TruthSource
from postproc.evaluation.truth_formats.truth_file import (
    Key,
    Problems,
    TruthFile,
    TruthRows,
    is_number,
    whole,
)
from postproc.evaluation.truth_formats.truth_format import TruthFormat
from postproc.exports.yolo import one_ring
from postproc.schema.problems import describe

_SIDES = ("xmin", "ymin", "xmax", "ymax")


class _WrongError(ValueError):
    """What is wrong with an object."""


def _looks_like(source: TruthSource) -> bool:
    return bool(source.first_line)


def read(source: TruthSource) -> TruthFile:
    """Read a line an image."""
    problems = Problems(source.name)
    found = TruthRows()
    categories: dict[Key, str] = {}
    index = ImageIndex(source)
    kinds: set[bool] = set()
    try:
        with source.path.open(encoding="utf-8-sig") as file:
            for number, text in enumerate(file, start=1):
                if text.strip():
                    _add_line(source, text, f"line {number}", found, categories, index, kinds, problems)
    except (OSError, UnicodeDecodeError) as error:
        raise SchemaError(f"{source.name}: cannot be read as text in UTF-8: {error}") from None
    problems.check()
    has_boxes = kinds != {False}
    return found.file(source.name, categories, has_boxes=has_boxes, notes=(SCORES_NOTE,))


def _add_line(
    source: TruthSource,
    text: str,
    where: str,
    found: TruthRows,
    categories: dict[Key, str],
    index: ImageIndex,
    kinds: set[bool],
    problems: Problems,
) -> None:
    try:
        line = json.loads(text)
    except (ValueError, RecursionError) as error:
        problems.add(where, f"is not JSON: {error}")
        return
    name = line.get("location", line.get("image")) if isinstance(line, Mapping) else None
    outputs = line.get("outputs") if isinstance(line, Mapping) else None
    if not isinstance(name, str) or not name or "\0" in name:
        problems.add(where, f"expected an object with location, the name of an image, got {describe(line)}")
        return
    try:
        items = outputs[source.output]["labels"]["predicted"]  # type: ignore[index]
    except (TypeError, KeyError, IndexError):
        items = None
    if not isinstance(items, list):
        problems.add(
            where, f"expected outputs[{source.output}].labels.predicted, a list, got {describe(outputs)}"
        )
        return
    boxes = [isinstance(item, Mapping) and "roi" in item for item in items]
    kinds.update(boxes)
    size = _size(source, name, where, index, problems) if any(boxes) else (0, 0)
    found.add_image(name, size)
    for number, item in enumerate(items):
        try:
            _add(item, size, found, categories)
        except _WrongError as error:
            problems.add(f"{where}: outputs[{source.output}].labels.predicted[{number}]", str(error))


def _size(source: TruthSource, name: str, where: str, index: ImageIndex, problems: Problems) -> Size:
    path = PurePosixPath(name.replace("\\", "/"))
    for place in (source.images, source.path.parent, Path()):
        if place is not None and (place / path).is_file():
            return size_of(place / path, problems, where)
    image = index.named(path.stem, source.path.parent, problems, where)
    if image is not None:
        return size_of(image, problems, where)
    problems.add(where, missing_image(source))
    return 0, 0


def _add(item: Any, size: Size, found: TruthRows, categories: dict[Key, str]) -> None:
    if not isinstance(item, Mapping):
        raise _WrongError(f"expected an object, got {describe(item)}")
    key, name, roi = whole(item.get("label_id")), item.get("label_name"), item.get("roi")
    if key is None or not isinstance(name, str):
        raise _WrongError(f"expected label_id, an integer, and label_name, a text, got {describe(item)}")
    categories.setdefault(key, name)
    if roi is None:
        found.add(key, (0.0, 0.0, 0.0, 0.0))
        return
    sides = np.array(size[::-1], np.float64)
    corners = _points(roi, "bbox", sides)
    box = [*corners[0].tolist(), *(corners[1] - corners[0]).tolist()]
    if min(box[2:]) < 0:
        raise _WrongError("bbox: expected xmin <= xmax and ymin <= ymax")
    points = _listed(roi.get("keypoints"), "keypoints")
    keypoints = [
        value
        for point, (x, y) in zip(points, _scaled(points, sides), strict=True)
        for value in (x, y, point.get("score", 2.0))
    ]
    if not all(map(is_number, keypoints)):
        raise _WrongError("keypoints: expected numbers")
    rectangle, mask = None, None
    if polygon := _listed(roi.get("polygon"), "polygon"):
        if len(polygon) != 4:
            raise _WrongError(f"polygon: expected four corners, got {len(polygon)}")
        rectangle = rectangle_of(_scaled(polygon, sides))
    rings = roi.get("polygons") or []
    if not isinstance(rings, list):
        raise _WrongError(f"polygons: expected a list of rings, got {describe(rings)}")
    if outlines := [_scaled(_listed(ring, "polygons"), sides) for ring in rings]:
        mask = [one_ring(outlines).reshape(-1).tolist()]
    found.add(key, box, keypoints=keypoints, rectangle=rectangle, mask=mask)


def _points(roi: Any, key: str, sides: NDArray[np.float64]) -> NDArray[np.float64]:
    box = roi.get(key) if isinstance(roi, Mapping) else None
    values = [box.get(side) for side in _SIDES] if isinstance(box, Mapping) else []
    if not values or not all(map(is_number, values)):
        raise _WrongError(f"roi.{key}: expected the numbers xmin, ymin, xmax and ymax, got {describe(box)}")
    return np.array(values, np.float64).reshape(2, 2) * sides


def _listed(points: Any, key: str) -> list[Mapping[str, Any]]:
    """Points as objects with x and y; none where there are none."""
    if points is None:
        return []
    if not isinstance(points, list) or not all(isinstance(point, Mapping) for point in points):
        raise _WrongError(f"{key}: expected points with x and y, got {describe(points)}")
    if not all(is_number(point.get("x")) and is_number(point.get("y")) for point in points):
        raise _WrongError(f"{key}: expected points with x and y, got {describe(points)}")
    return points


def _scaled(points: list[Mapping[str, Any]], sides: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.array([[point["x"], point["y"]] for point in points], np.float64).reshape(-1, 2) * sides


FORMAT = TruthFormat(
    name="run-jsonl",
    summary="JSON lines of postproc run",
    looks_like=_looks_like,
    read=read,
)
