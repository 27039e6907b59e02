"""Read ground truth from a COCO JSON file or a CSV file, and check it."""

from __future__ import annotations

import csv
import json
import math
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from postproc.errors import SchemaError, SchemaProblem
from postproc.evaluation.shapes import Shapes
from postproc.evaluation.wrong_truth import EXPECTED, kind_of_bytes, kind_of_json
from postproc.schema.problems import describe

_MOST_PROBLEMS = 20
_LARGEST = 2**63


@dataclass(frozen=True, eq=False, slots=True)
class TruthFile:
    """Ground truth as a file writes it: objects in the file's order, categories by their own ids."""

    source: str
    names: tuple[str, ...]
    ids: NDArray[np.int64]  # of the images
    sizes: NDArray[np.int64]
    categories: dict[int | str, str]  # those that objects use
    image_of_each: NDArray[np.int64]
    category_of_each: list[int | str]
    boxes: NDArray[np.float64]
    areas: NDArray[np.float64]
    crowd: NDArray[np.bool_]
    ignored: NDArray[np.bool_]
    shapes: Shapes


@dataclass(slots=True)
class _Problems:
    """Collects what is wrong, with JSON paths."""

    source: str
    found: list[SchemaProblem] = field(default_factory=list)
    more: int = 0

    def add(self, path: str, message: str) -> None:
        if len(self.found) < _MOST_PROBLEMS:
            self.found.append(SchemaProblem(f"{self.source}: {path}", message))
        else:
            self.more += 1

    def check(self) -> None:
        if self.more:
            self.found.append(SchemaProblem(self.source, f"and {self.more} more problems"))
        if self.found:
            raise SchemaError(*self.found)


def read_coco(source: Path | Mapping[str, Any], name: str, needs_boxes: bool) -> TruthFile:
    """Read COCO's images, categories and annotations; `needs_boxes` says whether each must have a bbox."""
    expected = EXPECTED if needs_boxes else f"{EXPECTED}, or CSV in a file whose name ends in .csv"
    document = _parsed(source, expected) if isinstance(source, Path) else source
    problems = _Problems(name)
    if not isinstance(document, Mapping) or not {"images", "annotations", "categories"} & document.keys():
        raise SchemaError(f"{name}: {expected}; found {kind_of_json(document)}")
    images, categories, annotations = (
        _list(document, key, problems) for key in ("images", "categories", "annotations")
    )
    problems.check()
    rows, sizes = _images(images, problems)
    known = _categories(categories, problems)
    problems.check()
    of_image: list[int] = []
    of_category: list[int | str] = []
    boxes, areas, crowd = [], [], []
    ids: dict[Any, int] = {}
    masks: list[Any] = []
    keypoints: list[list[float]] = []
    for row, item in enumerate(annotations):
        path = f"annotations[{row}]"
        image: Any
        category: Any
        if not isinstance(item, Mapping):
            problems.add(path, f"expected an object, got {describe(item)}")
            continue
        image, category, key = _whole(item.get("image_id")), _whole(item.get("category_id")), item.get("id")
        if image not in rows:
            problems.add(
                f"{path}.image_id", f"expected the id of one of images, got {describe(item.get('image_id'))}"
            )
        if category not in known:
            problems.add(
                f"{path}.category_id",
                f"expected the id of one of categories, got {describe(item.get('category_id'))}",
            )
        if key is not None:
            if not isinstance(key, str) and _whole(key) is None:
                problems.add(f"{path}.id", f"expected an integer, got {describe(key)}")
            elif (first := ids.setdefault(key, row)) != row:
                problems.add(f"{path}.id", f"expected unique ids, got {key}, the id of annotations[{first}]")
        box = _box(item, path, problems) if needs_boxes else (0.0, 0.0, 0.0, 0.0)
        area = item.get("area") if needs_boxes else None
        if area is None:
            area = box[2] * box[3]
        elif not _is_number(area) or area < 0:
            problems.add(f"{path}.area", f"expected a number of 0 or more, got {describe(area)}")
        if (is_crowd := item.get("iscrowd", 0)) not in (0, 1):
            problems.add(f"{path}.iscrowd", f"expected 0 or 1, got {describe(is_crowd)}")
        mask = _mask(item, path, problems) if needs_boxes else None
        points = _keypoints(item, path, problems) if needs_boxes else []
        if problems.found:
            continue
        of_image.append(rows[image])
        of_category.append(category)
        boxes.append(box)
        areas.append(area)
        crowd.append(is_crowd)
        masks.append(mask)
        keypoints.append(points)
    problems.check()
    used = set(of_category)
    return TruthFile(
        source=name,
        names=tuple(item["file_name"] for item in images),
        ids=np.array(list(rows), np.int64),
        sizes=np.array(sizes, np.int64),
        categories={key: text for key, text in known.items() if key in used},
        image_of_each=np.array(of_image, np.int64),
        category_of_each=of_category,
        boxes=np.array(boxes, np.float64).reshape(-1, 4),
        areas=np.array(areas, np.float64),
        crowd=np.array(crowd, np.bool_),
        ignored=np.array(crowd, np.bool_),
        shapes=Shapes.of(len(boxes), masks, keypoints),
    )  # fmt: skip


def read_csv(path: Path) -> TruthFile:
    """Read rows of a file name and a label."""
    problems = _Problems(str(path))
    rows: dict[str, int] = {}
    names: list[str] = []  # as the file writes them
    of_image, labels = [], []
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            for number, cells in enumerate(csv.reader(file), start=1):
                texts = [cell.strip() for cell in cells]
                if not any(texts) or (number == 1 and [text.lower() for text in texts] == ["file", "label"]):
                    continue
                if len(texts) != 2 or not texts[0]:
                    problems.add(f"line {number}", f"expected a file name and a label, got {cells}")
                    continue
                image = rows.setdefault(normal(texts[0]), len(rows))
                names += texts[:1] if image == len(names) else []
                if texts[1]:
                    of_image.append(image)
                    labels.append(texts[1])
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SchemaError(f"{path}: cannot be read as CSV: {error}") from None
    problems.check()
    if not rows:
        raise SchemaError(f"{path}: expected rows of a file name and a label, found none")
    return TruthFile(
        source=str(path),
        names=tuple(names),
        ids=np.arange(len(rows)),
        sizes=np.zeros((len(rows), 2), np.int64),
        categories={label: label for label in labels},
        image_of_each=np.array(of_image, np.int64),
        category_of_each=list(labels),
        boxes=np.zeros((len(labels), 4)),
        areas=np.zeros(len(labels)),
        crowd=np.zeros(len(labels), np.bool_),
        ignored=np.zeros(len(labels), np.bool_),
        shapes=Shapes.of(len(labels)),
    )


def _parsed(path: Path, expected: str) -> Any:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SchemaError(f"{path}: cannot be read: {error.strerror}") from None
    # Without the look-out for repeated keys that specs get, which would double the time of a large file.
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        found = kind_of_bytes(content) or f"what is not JSON: {error}"
        raise SchemaError(f"{path}: {expected}; found {found}") from None


def _list(document: Mapping[str, Any], key: str, problems: _Problems) -> list[Any]:
    value = document.get(key)
    if not isinstance(value, list):
        found = describe(value) if key in document else "nothing"
        problems.add(key, f"expected a list, as COCO's instances files have, got {found}")
        return []
    return value


def normal(name: str) -> str:
    """Give a file name as NFC: the same letters may be written in several ways, and macOS takes NFD."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def _images(images: list[Any], problems: _Problems) -> tuple[dict[int, int], list[list[int]]]:
    """Rows of the images by their ids, and heights and widths, 0 where nothing is said."""
    rows: dict[int, int] = {}
    if not images:
        problems.add("images", "expected at least one image, got none")
    names: dict[str, int] = {}
    sizes = []
    for row, item in enumerate(images):
        path = f"images[{row}]"
        if not isinstance(item, Mapping):
            problems.add(path, f"expected an object, got {describe(item)}")
            continue
        key, name = _whole(item.get("id")), item.get("file_name")
        if key is None:
            problems.add(f"{path}.id", f"expected an integer, got {describe(item.get('id'))}")
        elif (first := rows.setdefault(key, row)) != row:
            problems.add(f"{path}.id", f"expected unique ids, got {key}, the id of images[{first}]")
        if not isinstance(name, str) or not name:
            problems.add(f"{path}.file_name", f"expected a file name, got {describe(name)}")
        elif (first := names.setdefault(normal(name), row)) != row:
            spelt = "" if images[first]["file_name"] == name else " but for its Unicode normalisation"
            problems.add(
                f"{path}.file_name", f"expected unique names, got {name!r}, that of images[{first}]{spelt}"
            )
        sides = []
        for side in ("height", "width"):
            value = item.get(side)
            sides.append(0 if value is None else _whole(value) or 0)
            if value is not None and sides[-1] < 1:
                problems.add(f"{path}.{side}", f"expected a positive integer, got {describe(value)}")
        sizes.append(sides)
    return rows, sizes


def _categories(categories: list[Any], problems: _Problems) -> dict[int, str]:
    known: dict[int, str] = {}
    for row, item in enumerate(categories):
        path = f"categories[{row}]"
        written, name = (item.get("id"), item.get("name")) if isinstance(item, Mapping) else (None, None)
        if (key := _whole(written)) is None:
            problems.add(f"{path}.id", f"expected an integer, got {describe(written)}")
        elif key in known:
            problems.add(f"{path}.id", f"expected unique ids, got {key} again")
        elif not isinstance(name, str):
            problems.add(f"{path}.name", f"expected a text, got {describe(name)}")
        else:
            known[key] = name
    return known


def _box(item: Mapping[str, Any], path: str, problems: _Problems) -> tuple[float, float, float, float]:
    box = item.get("bbox")
    if not (isinstance(box, (list, tuple)) and len(box) == 4 and all(map(_is_number, box))):
        found = describe(box) if "bbox" in item else "nothing"
        problems.add(f"{path}.bbox", f"expected [x, y, width, height] in pixels, four numbers, got {found}")
    elif box[2] < 0 or box[3] < 0:
        problems.add(f"{path}.bbox", f"expected a width and a height of 0 or more, got {box[2]} and {box[3]}")
    else:
        return tuple(map(float, box))  # type: ignore[return-value]
    return 0.0, 0.0, 0.0, 0.0


def _mask(item: Mapping[str, Any], path: str, problems: _Problems) -> Any:
    """COCO's segmentation as it stands: polygons or RLE, which only metrics of masks look into; or None."""
    mask = item.get("segmentation")
    if mask is not None and not isinstance(mask, (list, Mapping)):
        problems.add(f"{path}.segmentation", f"expected polygons or RLE, got {describe(mask)}")
    return mask or None


def _keypoints(item: Mapping[str, Any], path: str, problems: _Problems) -> list[float]:
    points = item.get("keypoints")
    if points is None:
        return []
    if isinstance(points, list) and len(points) % 3 == 0 and all(map(_is_number, points)):
        return points
    problems.add(
        f"{path}.keypoints", f"expected x, y and visibility of each point in pixels, got {describe(points)}"
    )
    return []


def _whole(value: Any) -> int | None:
    """Give an integer, also where it is written as 1.0, as pandas writes columns with gaps; else None."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    is_whole = isinstance(value, int) and not isinstance(value, bool) and -_LARGEST <= value < _LARGEST
    return value if is_whole else None


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
