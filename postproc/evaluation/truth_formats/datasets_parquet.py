"""Parquet of Hugging Face's `datasets`: a row an image, with lists of its objects.

Columns are ``image`` (its bytes or path) or a file name, ``width`` and ``height``, and ``objects`` with
``bbox``, ``category`` or ``label``, and perhaps ``area``, ``iscrowd`` and ``segmentation``. Names of classes
are those of the ClassLabel in the file's metadata.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from postproc.errors import SchemaError
from postproc.evaluation.truth_formats.coco import mask_of
from postproc.evaluation.truth_formats.image_index import Size, size_of
from postproc.evaluation.truth_formats.parquet_files import batches, columns_of, opened, parquet_files
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
from postproc.schema.problems import describe

_OBJECTS = ("objects", "annotations", "faces", "litter")
_BOXES = ("bbox", "bboxes", "boxes", "box")
_CATEGORIES = ("category", "categories", "category_id", "label", "labels", "class")
_NAMES = ("file_name", "filename", "image_path", "path", "image_id", "id")
_CROWDS = ("iscrowd", "is_crowd")
_SPLITS = ("validation", "val", "test", "train")
_NEARLY_ALL = 0.98


def _looks_like(source: TruthSource) -> bool:
    columns = columns_of(source)
    return bool(columns & set(_OBJECTS)) and "label_id" not in columns


def read(source: TruthSource) -> TruthFile:
    """Read the rows of a file, or of the files of a split."""
    files, split = _files(source)
    problems = Problems(source.name)
    found = TruthRows()
    corners: list[tuple[list[float], float | None]] = []
    labels: list[Any] = []
    schema = opened(files[0]).schema_arrow
    column = next((name for name in _OBJECTS if name in schema.names), None)
    if column is None:
        raise SchemaError(f"{source.name}: expected a column objects, found {', '.join(schema.names[:8])}")
    for file in files:
        number = 0
        for batch in batches(file, _wanted(opened(file).schema_arrow, column)):
            for row in batch.to_pylist():
                where = f"{source.inside(file)}: row {number}" if len(files) > 1 else f"row {number}"
                found.add_image(_name(row, len(found.names)), _size(row, where, problems))
                for item, place in _items(row[column], f"{where}: {column}", problems):
                    _add(item, place, found, corners, labels, problems)
                number += 1
    problems.check()
    categories = _categories(source, schema, column, found.categories)
    notes = [f"the images are those of {split}"] if split else []
    notes.append(_set_boxes(source, found, corners))
    return found.file(source.name, categories, names_first=True, notes=tuple(note for note in notes if note))


def _files(source: TruthSource) -> tuple[list[Path], str]:
    """Files of the split asked for, else of the first that there is; its name, where files bear any."""
    files = parquet_files(source)
    if not files:
        raise SchemaError(f"{source.name}: expected a Parquet file, or a folder of such files, found none")
    of_split: dict[str, list[Path]] = {}
    for path in files:
        of_split.setdefault(path.stem.split("-")[0] if source.is_folder else "", []).append(path)
    known = [name for name in (source.split, *_SPLITS) if name in of_split]
    if source.split is not None and source.split not in of_split:
        listed = ", ".join(sorted(filter(None, of_split))) or "none"
        raise SchemaError(f"{source.name}: expected files of a split {source.split!r}, found {listed}")
    if not source.is_folder or not known:
        if len({frozenset(opened(path).schema_arrow.names) for path in files}) > 1:
            raise SchemaError(f"{source.name}: its Parquet files have different columns; give one of them")
        return files, ""
    return of_split[known[0]], known[0]


def _wanted(schema: Any, column: str) -> list[str]:
    """Columns to read; the bytes of images only where sizes are not said."""
    names = [name for name in ("width", "height", *_NAMES, column) if name in schema.names]
    if "image" in schema.names:
        import pyarrow as pa

        fields = schema.field("image").type
        is_struct = pa.types.is_struct(fields)
        has_path = is_struct and fields.get_field_index("path") >= 0
        if {"width", "height"} <= set(names) and has_path:
            names.append("image.path")
        else:
            names.append("image")
    return names


def _name(row: Mapping[str, Any], number: int) -> str:
    image = row.get("image")
    path = image.get("path") if isinstance(image, Mapping) else image
    for value in (path, *(row.get(name) for name in _NAMES)):
        if isinstance(value, (str, int)) and not isinstance(value, bool) and str(value):
            return str(value)
    return f"image {number}"


def _size(row: Mapping[str, Any], where: str, problems: Problems) -> Size:
    height, width = (whole(row.get(side)) for side in ("height", "width"))
    if height and width and 0 < height < 2**31 and 0 < width < 2**31:
        return height, width
    if height is not None or width is not None:
        problems.add(where, f"expected a height and a width above 0, got {height} and {width}")
        return 0, 0
    image = row.get("image")
    content = image.get("bytes") if isinstance(image, Mapping) else image
    return size_of(content, problems, where) if isinstance(content, bytes) else (0, 0)


def _items(objects: Any, where: str, problems: Problems) -> Iterator[tuple[Mapping[str, Any], str]]:
    """Yield the objects of an image, kept as a list of them or as lists of their values."""
    if objects is None:
        return
    if isinstance(objects, list):
        for row, item in enumerate(objects):
            if isinstance(item, Mapping):
                yield item, f"{where}[{row}]"
            else:
                problems.add(f"{where}[{row}]", f"expected an object with a bbox, got {describe(item)}")
        return
    if not isinstance(objects, Mapping):
        problems.add(where, f"expected objects with a bbox, got {describe(objects)}")
        return
    lists = {key: value for key, value in objects.items() if isinstance(value, list)}
    boxes = next((lists[key] for key in _BOXES if key in lists), [])
    if any(len(values) != len(boxes) for key, values in lists.items() if key in (*_BOXES, *_CATEGORIES)):
        problems.add(where, "expected as many categories as boxes")
        return
    for row in range(len(boxes)):
        yield {key: values[row] for key, values in lists.items() if row < len(values)}, f"{where}[{row}]"


def _add(
    item: Mapping[str, Any],
    place: str,
    found: TruthRows,
    corners: list[tuple[list[float], float | None]],
    labels: list[Any],
    problems: Problems,
) -> None:
    box = next((item[key] for key in _BOXES if key in item), None)
    label = next((item[key] for key in _CATEGORIES if key in item), None)
    if not (isinstance(box, list) and len(box) == 4 and all(map(is_number, box))):
        problems.add(f"{place}.bbox", f"expected four numbers, got {describe(box)}")
    elif not isinstance(label, (int, str)) or isinstance(label, bool) or label == "":
        problems.add(f"{place}.category", f"expected a category, got {describe(label)}")
    else:
        area: Any = item.get("area")
        corners.append((box, float(area) if is_number(area) and area > 0 else None))
        crowd = next((bool(item[key]) for key in _CROWDS if key in item), False)
        mask, _ = mask_of(item, place, problems)
        found.add(label, box, area=corners[-1][1], crowd=crowd, mask=mask)


def _set_boxes(source: TruthSource, found: TruthRows, corners: list[tuple[list[float], float | None]]) -> str:
    """Find whether boxes are x, y, width and height or corners, and write them as the former; says which."""
    if not corners:
        return ""
    boxes = np.array([box for box, _ in corners], np.float64)
    areas = np.array([np.nan if area is None else area for _, area in corners])
    sides = np.array(found.sizes, np.float64)[found.images][:, ::-1]
    are_corners, why = _are_corners(boxes, areas, sides)
    if are_corners:
        boxes[:, 2:] -= boxes[:, :2]
    if (wrong := np.flatnonzero((boxes[:, 2:] < 0).any(axis=1))).size:
        raise SchemaError(
            f"{source.name}: {len(wrong)} boxes have a width or a height below 0, such as "
            f"{corners[wrong[0]][0]} on {found.names[found.images[wrong[0]]]!r}"
        )
    found.boxes = boxes.tolist()
    found.areas = np.where(np.isnan(areas), boxes[:, 2] * boxes[:, 3], areas).tolist()
    form = "corners x1, y1, x2, y2" if are_corners else "x, y, width and height"
    return f"boxes are read as {form}: {why}"


def _are_corners(
    boxes: NDArray[np.float64], areas: NDArray[np.float64], sides: NDArray[np.float64]
) -> tuple[bool, str]:
    """Whether boxes are corners, and what tells."""
    of_sides = boxes[:, 2] * boxes[:, 3]
    of_corners = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    known = ~np.isnan(areas)
    fits = [
        float(np.isclose(areas, made, rtol=0.02)[known].mean()) if known.any() else 0.0
        for made in (of_sides, of_corners)
    ]
    if max(fits) > 0.5 and fits[0] != fits[1]:
        return fits[1] > fits[0], "their areas fit that"
    are_ordered = bool((boxes[:, 2:] >= boxes[:, :2]).all())
    slack = np.maximum(0.02 * sides, 2)
    is_inside = (boxes[:, :2] + boxes[:, 2:] <= sides + slack).all(axis=1) | (sides < 1).any(axis=1)
    if are_ordered and is_inside.mean() < _NEARLY_ALL:
        return True, "otherwise they would reach beyond their images"
    if are_ordered:
        return False, "as COCO has them; as corners they would be in order too, so look at a few"
    return False, "as corners some would be out of order"


def _categories(source: TruthSource, schema: Any, column: str, used: list[Key]) -> dict[Key, str]:
    """Names of the classes by their numbers; where nothing tells them, these themselves."""
    names = _class_names(schema, column)
    known: dict[Key, str] = dict(enumerate(names))
    for key in sorted(dict.fromkeys(used), key=str):
        if names and isinstance(key, int) and key not in known:
            raise SchemaError(
                f"{source.name}: {column}: expected categories 0 to {len(names) - 1}, found {key}"
            )
        known.setdefault(key, str(key))
    return known


def _class_names(schema: Any, column: str) -> list[str]:
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"][column]
    except (KeyError, ValueError, TypeError, RecursionError):
        return []
    waiting = [features]
    for _ in range(200):
        if not waiting:
            break
        feature = waiting.pop()
        if isinstance(feature, list):
            waiting += feature
        elif isinstance(feature, dict):
            names = feature.get("names")
            if (
                feature.get("_type") == "ClassLabel"
                and isinstance(names, list)
                and all(isinstance(name, str) for name in names)
            ):
                return names
            waiting += [
                value for key, value in feature.items() if isinstance(value, (dict, list)) and key != "names"
            ]
    return []


FORMAT = TruthFormat(
    name="datasets",
    summary="Parquet of Hugging Face's datasets",
    looks_like=_looks_like,
    read=read,
    takes_folders=True,
    has_splits=True,
)
