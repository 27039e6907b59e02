"""Read ground truth from a COCO JSON file or a CSV file, and check it."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from postproc.errors import SchemaError, SchemaProblem
from postproc.schema.problems import describe

_MOST_PROBLEMS = 20
_LARGEST = 2**63


@dataclass(frozen=True, eq=False, slots=True)
class TruthFile:
    """Ground truth as a file writes it: objects in the file's order, categories by their own ids."""

    source: str
    names: tuple[str, ...]
    sizes: NDArray[np.int64]
    categories: dict[int | str, str]  # those that objects use
    image_of_each: NDArray[np.int64]
    category_of_each: list[int | str]
    boxes: NDArray[np.float64]
    areas: NDArray[np.float64]
    crowd: NDArray[np.bool_]


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
    document = _parsed(source) if isinstance(source, Path) else source
    problems = _Problems(name)
    if not isinstance(document, Mapping):
        raise SchemaError(f"{name}: expected an object with images, annotations and categories, as COCO's")
    images, categories, annotations = (
        _list(document, key, problems) for key in ("images", "categories", "annotations")
    )
    problems.check()
    rows = _images(images, problems)
    known = _categories(categories, problems)
    problems.check()
    of_image: list[int] = []
    of_category: list[int | str] = []
    boxes, areas, crowd = [], [], []
    ids: dict[Any, int] = {}
    for row, item in enumerate(annotations):
        path = f"annotations[{row}]"
        image: Any
        category: Any
        if not isinstance(item, Mapping):
            problems.add(path, f"expected an object, got {describe(item)}")
            continue
        image, category, key = item.get("image_id"), item.get("category_id"), item.get("id")
        if not _is_id(image) or image not in rows:
            problems.add(f"{path}.image_id", f"expected the id of one of images, got {describe(image)}")
        if not _is_id(category) or category not in known:
            problems.add(
                f"{path}.category_id", f"expected the id of one of categories, got {describe(category)}"
            )
        if key is not None:
            if not isinstance(key, (int, str)) or isinstance(key, bool):
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
        if problems.found:
            continue
        of_image.append(rows[image])
        of_category.append(category)
        boxes.append(box)
        areas.append(area)
        crowd.append(is_crowd)
    problems.check()
    used = set(of_category)
    return TruthFile(
        source=name,
        names=tuple(item["file_name"] for item in images),
        sizes=np.array([[item.get("height", 0), item.get("width", 0)] for item in images], np.int64),
        categories={key: text for key, text in known.items() if key in used},
        image_of_each=np.array(of_image, np.int64),
        category_of_each=of_category,
        boxes=np.array(boxes, np.float64).reshape(-1, 4),
        areas=np.array(areas, np.float64),
        crowd=np.array(crowd, np.bool_),
    )  # fmt: skip


def read_csv(path: Path) -> TruthFile:
    """Read rows of a file name and a label."""
    problems = _Problems(str(path))
    rows: dict[str, int] = {}
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
                image = rows.setdefault(texts[0], len(rows))
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
        names=tuple(rows),
        sizes=np.zeros((len(rows), 2), np.int64),
        categories={label: label for label in labels},
        image_of_each=np.array(of_image, np.int64),
        category_of_each=list(labels),
        boxes=np.zeros((len(labels), 4)),
        areas=np.zeros(len(labels)),
        crowd=np.zeros(len(labels), np.bool_),
    )


def _parsed(path: Path) -> Any:
    # Without the look-out for repeated keys that specs get, which would double the time of a large file.
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise SchemaError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise SchemaError(f"{path} is not JSON: {error}") from None


def _list(document: Mapping[str, Any], key: str, problems: _Problems) -> list[Any]:
    value = document.get(key)
    if not isinstance(value, list):
        found = describe(value) if key in document else "nothing"
        problems.add(key, f"expected a list, as COCO's instances files have, got {found}")
        return []
    return value


def _images(images: list[Any], problems: _Problems) -> dict[int, int]:
    rows: dict[int, int] = {}
    if not images:
        problems.add("images", "expected at least one image, got none")
    names: dict[str, int] = {}
    key: Any
    for row, item in enumerate(images):
        path = f"images[{row}]"
        if not isinstance(item, Mapping):
            problems.add(path, f"expected an object, got {describe(item)}")
            continue
        key, name = item.get("id"), item.get("file_name")
        if not _is_id(key):
            problems.add(f"{path}.id", f"expected an integer, got {describe(key)}")
        elif (first := rows.setdefault(key, row)) != row:
            problems.add(f"{path}.id", f"expected unique ids, got {key}, the id of images[{first}]")
        if not isinstance(name, str) or not name:
            problems.add(f"{path}.file_name", f"expected a file name, got {describe(name)}")
        elif (first := names.setdefault(name, row)) != row:
            problems.add(f"{path}.file_name", f"expected unique names, got {name!r}, that of images[{first}]")
        for side in ("height", "width"):
            value = item.get(side, 1)
            if not _is_id(value) or value < 1:
                problems.add(f"{path}.{side}", f"expected a positive integer, got {describe(value)}")
    return rows


def _categories(categories: list[Any], problems: _Problems) -> dict[int, str]:
    known: dict[int, str] = {}
    key: Any
    for row, item in enumerate(categories):
        path = f"categories[{row}]"
        key, name = (item.get("id"), item.get("name")) if isinstance(item, Mapping) else (None, None)
        if not _is_id(key):
            problems.add(f"{path}.id", f"expected an integer, got {describe(key)}")
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


def _is_id(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and -_LARGEST <= value < _LARGEST


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
