"""What ``postproc run --format parquet`` writes, read back as truth: what was predicted is there."""

from __future__ import annotations

from typing import Any

import numpy as np

from postproc.errors import SchemaError
from postproc.evaluation.truth_formats.coco_results import SCORES_NOTE
from postproc.evaluation.truth_formats.image_index import missing_image
from postproc.evaluation.truth_formats.parquet_files import batches, columns_of
from postproc.evaluation.truth_formats.quadrilaterals import rectangle_of
from postproc.evaluation.truth_formats.source import TruthSource
from postproc.evaluation.truth_formats.truth_file import Key, Problems, TruthFile, TruthRows, is_number
from postproc.evaluation.truth_formats.truth_format import TruthFormat
from postproc.exports.yolo import one_ring

_NEEDED = ("image", "output", "label_id", "label_name", "predicted")
_PIXELS = ("height", "width", "left", "top", "right", "bottom")
_MORE = ("keypoints", "polygon", "rings", "mask")


def _looks_like(source: TruthSource) -> bool:
    return not source.is_folder and columns_of(source) >= set(_NEEDED)


def read(source: TruthSource) -> TruthFile:
    """Read a row a detection."""
    columns = columns_of(source)
    if missing := [name for name in _NEEDED if name not in columns]:
        raise SchemaError(
            f"{source.name}: expected the columns of postproc run; {', '.join(missing)} missing"
        )
    has_boxes = "xmin" in columns
    if has_boxes and not set(_PIXELS) <= columns:
        raise SchemaError(
            f"{source.name}: {missing_image(source)}; or write it with sizes, as postproc run does"
        )
    wanted = [*_NEEDED, *(name for name in (*_PIXELS, *_MORE) if name in columns)]
    problems = Problems(source.name)
    found = TruthRows()
    categories: dict[Key, str] = {}
    images: dict[Any, int] = {}
    number = 0
    for batch in batches(source.path, wanted):
        for row in batch.to_pylist():
            if row["output"] == source.output and row["predicted"]:
                _add(row, f"row {number}", found, categories, images, has_boxes, problems)
            number += 1
    problems.check()
    if not images:
        raise SchemaError(
            f"{source.name}: expected predicted detections of output {source.output}, found none"
        )
    names_are_ids = all(isinstance(name, int) for name in images)
    notes = (SCORES_NOTE, "images in which nothing was found do not stand in the file, and do not count")
    return found.file(source.name, categories, has_boxes=has_boxes, names_are_ids=names_are_ids, notes=notes)


def _add(
    row: dict[str, Any],
    where: str,
    found: TruthRows,
    categories: dict[Key, str],
    images: dict[Any, int],
    has_boxes: bool,
    problems: Problems,
) -> None:
    name, key, label = row["image"], row["label_id"], row["label_name"]
    if not isinstance(name, (str, int)) or not isinstance(key, int) or not isinstance(label, str):
        problems.add(where, f"expected image, label_id and label_name, got {name!r}, {key!r}, {label!r}")
        return
    image = images.setdefault(name, len(images))
    size = row.get("height"), row.get("width")
    if image == len(found.names):
        is_known = all(isinstance(side, int) and side > 0 for side in size)
        found.add_image(str(name), size if is_known else (0, 0))  # type: ignore[arg-type]
    categories.setdefault(key, label)
    if not has_boxes:
        found.add(key, (0.0, 0.0, 0.0, 0.0), image=image)
        return
    corners = [row[side] for side in _PIXELS[2:]]
    height, width = found.sizes[image]
    if not all(map(is_number, corners)) or corners[2] < corners[0] or corners[3] < corners[1] or not height:
        problems.add(where, f"expected height and width, left <= right and top <= bottom, got {corners}")
        return
    left, top, right, bottom = corners
    sides = np.array([width, height], np.float64)
    try:
        shapes = _shapes(row, sides)
    except (TypeError, ValueError, IndexError):
        problems.add(where, f"expected {', '.join(_MORE)} as postproc run writes them")
        return
    found.add(key, (left, top, right - left, bottom - top), image=image, **shapes)


def _shapes(row: dict[str, Any], sides: np.ndarray[Any, Any]) -> dict[str, Any]:
    shapes: dict[str, Any] = {}
    if row.get("keypoints") is not None:
        points = np.array(row["keypoints"], np.float64)
        seen = points[:, 2:3] if points.shape[1] > 2 else np.full((len(points), 1), 2.0)
        shapes["keypoints"] = np.hstack([points[:, :2] * sides, seen]).reshape(-1).tolist()
    if row.get("polygon") is not None:
        shapes["rectangle"] = rectangle_of(np.array(row["polygon"], np.float64).reshape(4, 2) * sides)
    if row.get("mask") is not None:
        shapes["mask"] = {"size": [int(sides[1]), int(sides[0])], "counts": str(row["mask"])}
    elif row.get("rings"):
        rings = [np.array(ring, np.float64).reshape(-1, 2) * sides for ring in row["rings"]]
        shapes["mask"] = [one_ring(rings).reshape(-1).tolist()]
    return shapes


FORMAT = TruthFormat(
    name="run-parquet",
    summary="Parquet of postproc run",
    looks_like=_looks_like,
    read=read,
)
