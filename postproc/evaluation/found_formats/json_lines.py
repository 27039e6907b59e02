"""JSON lines of ``postproc run``: a line an image, with the predicted and the discarded of each output."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from postproc.errors import SchemaProblem
from postproc.evaluation.found_formats.found_file import (
    FoundFile,
    Given,
    Key,
    check,
    is_number,
    missing,
    whole,
)
from postproc.evaluation.shapes import Shapes
from postproc.schema.problems import counted, describe

_SIDES = ("xmin", "ymin", "xmax", "ymax")


def recognises(given: Given) -> bool:
    """Whether the first line is an object with ``location`` and ``outputs``."""
    head = given.head.removeprefix(b"\xef\xbb\xbf").lstrip()
    return head.startswith(b"{") and b'"location"' in head.partition(b"\n")[0] and b'"outputs"' in head


@dataclass(slots=True)
class _Rows:
    """What the lines hold, row by row."""

    images: list[Key] = field(default_factory=list)
    image_of_each: list[int] = field(default_factory=list)
    categories: dict[Key, str] = field(default_factory=dict)
    category_of_each: list[Key] = field(default_factory=list)
    boxes: list[list[float]] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    masks: list[Any] = field(default_factory=list)
    keypoints: list[list[float]] = field(default_factory=list)
    corners: list[Any] = field(default_factory=list)
    discarded: int = 0


def read(given: Given, output: int = 0) -> FoundFile:
    """Read the predicted detections of an output.

    Raises
    ------
    SchemaError
        If lines are broken: lists the first, by their numbers.
    """
    rows = _Rows()
    check(given.source, _read_lines(given.text(), output, rows))
    keys = {key: row for row, key in enumerate(rows.categories)}
    corners = np.full((len(rows.scores), 4, 2), np.nan)
    for row, points in enumerate(rows.corners):
        if points is not None:
            corners[row] = points
    points = max(map(len, rows.keypoints), default=0)
    notes = []
    if rows.discarded:
        notes.append(f"{counted(rows.discarded, 'discarded candidate')} of {given.source} left out")
    return FoundFile(
        given.source,
        tuple(rows.images),
        np.array(rows.image_of_each, np.int64),
        rows.categories,
        np.array([keys[key] for key in rows.category_of_each], np.int64),
        np.array(rows.boxes, np.float64).reshape(-1, 4),
        np.array(rows.scores, np.float64),
        rows.lines.__getitem__,
        is_relative=True,
        masks=Shapes.of(len(rows.scores), masks=rows.masks).masks,
        keypoints=np.array(
            [[*given, *[0.0] * (points - len(given))] for given in rows.keypoints], np.float64
        ).reshape(len(rows.scores), points),
        corners=corners,
        notes=tuple(notes),
    )


def _read_lines(text: str, output: int, rows: _Rows) -> Iterator[SchemaProblem]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        path = f"line {number}"
        try:
            document = json.loads(line)
        except (ValueError, RecursionError) as error:
            yield SchemaProblem(path, f"expected JSON: {error}")
            continue
        try:
            found = document["outputs"][output]["labels"]
            name, predicted, discarded = (
                document["location"],
                found["predicted"],
                found.get("discarded") or (),
            )
        except (KeyError, TypeError, IndexError, AttributeError):
            count = (
                len(document["outputs"])
                if isinstance(document, dict) and isinstance(document.get("outputs"), list)
                else 0
            )
            told = f"one with {counted(count, 'output')}" if count else describe(document)
            yield SchemaProblem(path, f"expected a result with location and output {output}, got {told}")
            continue
        if not (
            isinstance(name, str) and isinstance(predicted, list) and isinstance(discarded, (list, tuple))
        ):
            yield SchemaProblem(path, "expected a name as location, and lists as predicted and discarded")
            continue
        rows.images.append(name)
        rows.discarded += len(discarded)
        for index, item in enumerate(predicted):
            problem = _add(rows, item, f"{path}, predicted[{index}]")
            if problem is not None:
                yield SchemaProblem(f"{path}: outputs[{output}].labels.predicted[{index}]", problem)


def _add(rows: _Rows, item: Any, where: str) -> str | None:
    """Add a detection; or say what is wrong with it."""
    if not isinstance(item, dict):
        return f"expected an object, got {describe(item)}"
    key, name, score, roi = (
        whole(item.get("label_id")),
        item.get("label_name"),
        item.get("score"),
        item.get("roi"),
    )
    if key is None or not isinstance(name, str):
        found = f"{missing(item, 'label_id')} and {missing(item, 'label_name')}"
        return f"expected label_id and label_name, got {found}"
    if score is None or not is_number(score):
        return f"expected a number as score, got {missing(item, 'score')}"
    if not isinstance(roi, dict):
        return "expected roi with a bbox: labels of whole images are measured from their tensors (--tensors)"
    try:
        xmin, ymin, xmax, ymax = (float(roi["bbox"][side]) for side in _SIDES)
        outline = [[[point["x"], point["y"]] for point in ring] for ring in roi.get("polygons", ())]
        mask = [np.array(ring, np.float64).reshape(-1).tolist() for ring in outline]
        points = [
            float(point[axis])
            for point in roi.get("keypoints", ())
            for axis in (*"xy", "score")
            if axis in point
        ]
        corners = (
            [[float(point["x"]), float(point["y"])] for point in roi["polygon"]] if "polygon" in roi else None
        )
        if corners is not None and len(corners) != 4:
            return f"expected four corners as roi.polygon, got {len(corners)}"
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        return f"expected roi.bbox with {', '.join(_SIDES)}, and points with x and y, got {describe(roi)}"
    rows.image_of_each.append(len(rows.images) - 1)
    rows.categories.setdefault(key, name)
    rows.category_of_each.append(key)
    rows.boxes.append([xmin, ymin, xmax - xmin, ymax - ymin])
    rows.scores.append(score)
    rows.lines.append(where)
    rows.masks.append(mask)
    rows.keypoints.append(points)
    rows.corners.append(corners)
    return None
