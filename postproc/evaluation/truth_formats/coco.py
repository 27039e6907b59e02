"""COCO JSON: images, annotations and categories."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from postproc.errors import SchemaError
from postproc.evaluation.truth_formats.source import TruthSource
from postproc.evaluation.truth_formats.truth_file import (
    FARTHEST,
    Problems,
    TruthFile,
    TruthRows,
    is_number,
    normal,
    whole,
)
from postproc.evaluation.truth_formats.truth_format import TruthFormat
from postproc.evaluation.truth_formats.wrong_kinds import EXPECTED, kind_of_json
from postproc.schema.problems import counted, describe

_KEYS = {"images", "annotations", "categories"}
# Pixels: pycocotools takes memory for all that an outline goes along.
_FARTHEST_OF_OUTLINES = 1e6
_NO_BOX = (0.0, 0.0, 0.0, 0.0)
NameOf = Callable[[Mapping[str, Any]], Any]


def _looks_like(source: TruthSource) -> bool:
    return is_instances(source) and not is_federated(source.document)


def is_instances(source: TruthSource) -> bool:
    """Whether it is JSON with some of COCO's lists."""
    if not source.is_json or not isinstance(source.document, Mapping):
        return False
    found = source.document.keys() & _KEYS
    return bool(found) and not {"data", "items", "questions"} & source.document.keys()


def is_federated(document: Mapping[str, Any]) -> bool:
    """Whether images say which categories they lack, as LVIS's do."""
    images = document.get("images")
    first = images[0] if isinstance(images, list) and images else None
    return isinstance(first, Mapping) and "neg_category_ids" in first


def file_name(item: Mapping[str, Any]) -> Any:
    """Name of the file of an image."""
    return item.get("file_name")


def read(source: TruthSource) -> TruthFile:
    """Read COCO's images, categories and annotations."""
    return read_instances(source, file_name)


def read_instances(source: TruthSource, name_of: NameOf, **others: Any) -> TruthFile:
    """Read them with names of images by a function; `others` are further parameters of `TruthFile`.

    Raises
    ------
    SchemaError
        If the file breaks a rule: lists the JSON paths.
    """
    document = source.document
    problems = Problems(source.name)
    if not isinstance(document, Mapping) or not _KEYS & document.keys():
        raise SchemaError(f"{source.name}: {EXPECTED}; found {kind_of_json(document)}")
    images, categories, annotations = (
        _list(document, key, problems) for key in ("images", "categories", "annotations")
    )
    problems.check()
    found = TruthRows()
    rows = _images(images, problems, found, name_of)
    known = _categories(categories, problems)
    problems.check()
    needs_boxes = source.needs_boxes
    if needs_boxes is None:
        needs_boxes = not annotations or any(
            isinstance(item, Mapping) and "bbox" in item for item in annotations
        )
    short = _annotations(annotations, problems, found, rows, known, needs_boxes)
    problems.check()
    notes = (f"{counted(short, 'outline')} of masks left out, of fewer than three points",) if short else ()
    return found.file(
        source.name,
        known,  # type: ignore[arg-type]
        ids=np.array(list(rows), np.int64),
        has_boxes=needs_boxes,
        notes=notes,
        **others,
    )


def _annotations(
    annotations: list[Any],
    problems: Problems,
    found: TruthRows,
    rows: dict[int, int],
    known: dict[int, str],
    needs_boxes: bool,
) -> int:
    """Add the objects; gives how many outlines were left out."""
    ids: dict[Any, int] = {}
    short = 0
    for row, item in enumerate(annotations):
        path = f"annotations[{row}]"
        image: Any
        category: Any
        if not isinstance(item, Mapping):
            problems.add(path, f"expected an object, got {describe(item)}")
            continue
        image, category, key = whole(item.get("image_id")), whole(item.get("category_id")), item.get("id")
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
            if not isinstance(key, str) and whole(key) is None:
                problems.add(f"{path}.id", f"expected an integer, got {describe(key)}")
            elif (first := ids.setdefault(key, row)) != row:
                problems.add(f"{path}.id", f"expected unique ids, got {key}, the id of annotations[{first}]")
        if (is_crowd := item.get("iscrowd", 0)) not in (0, 1):
            problems.add(f"{path}.iscrowd", f"expected 0 or 1, got {describe(is_crowd)}")
        box, area, mask, points = _NO_BOX, None, None, []
        if needs_boxes:
            box = box_of(item, path, problems)
            area = item.get("area")
            if area is not None and (not is_number(area) or area < 0):
                problems.add(f"{path}.area", f"expected a number of 0 or more, got {describe(area)}")
            mask, left_out = mask_of(item, path, problems)
            short += left_out
            points = keypoints_of(item, path, problems)
        if not problems.found:
            crowd = bool(is_crowd)
            found.add(category, box, area=area, crowd=crowd, mask=mask, keypoints=points, image=rows[image])
    return short


def _list(document: Mapping[str, Any], key: str, problems: Problems) -> list[Any]:
    value = document.get(key)
    if not isinstance(value, list):
        found = describe(value) if key in document else "nothing"
        problems.add(key, f"expected a list, as COCO's instances files have, got {found}")
        return []
    return value


def _images(images: list[Any], problems: Problems, found: TruthRows, name_of: NameOf) -> dict[int, int]:
    """Add the images, 0 for sizes that are not said; gives their rows by their ids."""
    rows: dict[int, int] = {}
    if not images:
        problems.add("images", "expected at least one image, got none")
    names: dict[str, int] = {}
    for row, item in enumerate(images):
        path = f"images[{row}]"
        if not isinstance(item, Mapping):
            problems.add(path, f"expected an object, got {describe(item)}")
            continue
        key, name = whole(item.get("id")), name_of(item)
        if key is None:
            problems.add(f"{path}.id", f"expected an integer, got {describe(item.get('id'))}")
        elif (first := rows.setdefault(key, row)) != row:
            problems.add(f"{path}.id", f"expected unique ids, got {key}, the id of images[{first}]")
        if not isinstance(name, str) or not name:
            problems.add(f"{path}.file_name", f"expected a file name, got {describe(name)}")
        elif (first := names.setdefault(normal(name), row)) != row:
            spelt = "" if found.names[first] == name else " but for its Unicode normalisation"
            problems.add(
                f"{path}.file_name", f"expected unique names, got {name!r}, that of images[{first}]{spelt}"
            )
        sides = []
        for side in ("height", "width"):
            value = item.get(side)
            sides.append(0 if value is None else whole(value) or 0)
            if value is not None and sides[-1] < 1:
                problems.add(f"{path}.{side}", f"expected a positive integer, got {describe(value)}")
        found.add_image(name, (sides[0], sides[1]))
    return rows


def _categories(categories: list[Any], problems: Problems) -> dict[int, str]:
    known: dict[int, str] = {}
    for row, item in enumerate(categories):
        path = f"categories[{row}]"
        written, name = (item.get("id"), item.get("name")) if isinstance(item, Mapping) else (None, None)
        if (key := whole(written)) is None:
            problems.add(f"{path}.id", f"expected an integer, got {describe(written)}")
        elif key in known:
            problems.add(f"{path}.id", f"expected unique ids, got {key} again")
        elif not isinstance(name, str):
            problems.add(f"{path}.name", f"expected a text, got {describe(name)}")
        else:
            known[key] = name
    return known


def box_of(item: Mapping[str, Any], path: str, problems: Problems) -> tuple[float, float, float, float]:
    """Give x, y, width and height of an annotation; zeros, and a problem, if it has none."""
    box = item.get("bbox")
    if not (isinstance(box, (list, tuple)) and len(box) == 4 and _are_numbers(box, FARTHEST)):
        found = describe(box) if "bbox" in item else "nothing"
        problems.add(f"{path}.bbox", f"expected [x, y, width, height] in pixels, four numbers, got {found}")
    elif box[2] < 0 or box[3] < 0:
        problems.add(f"{path}.bbox", f"expected a width and a height of 0 or more, got {box[2]} and {box[3]}")
    else:
        return tuple(map(float, box))  # type: ignore[return-value]
    return 0.0, 0.0, 0.0, 0.0


def mask_of(item: Mapping[str, Any], path: str, problems: Problems) -> tuple[Any, int]:
    """Give COCO's segmentation, polygons or RLE, or None; and how many outlines are left out.

    What pycocotools would take for a box, four numbers, or fail of, is left out, as Detectron2 does.
    """
    mask = item.get("segmentation")
    if not mask and (mask is None or isinstance(mask, (list, Mapping))):
        return None, 0
    if isinstance(mask, Mapping):
        if not _is_rle(mask):
            problems.add(
                f"{path}.segmentation",
                f"expected RLE, a size [height, width] and counts, got {describe(mask)}",
            )
        return mask, 0
    if isinstance(mask, list) and all(_are_numbers(ring, _FARTHEST_OF_OUTLINES) for ring in mask):
        kept = [ring for ring in mask if len(ring) >= 6 and len(ring) % 2 == 0]
        return kept or None, len(mask) - len(kept)
    problems.add(f"{path}.segmentation", f"expected polygons or RLE, got {describe(mask)}")
    return None, 0


def _are_numbers(values: Any, farthest: float) -> bool:
    """Whether it is a list of numbers that lie no farther from 0; faster than to look at each."""
    try:
        return isinstance(values, (list, tuple)) and math.hypot(*values) < farthest
    except (TypeError, OverflowError):  # other things than numbers; an integer beyond all floats
        return False


def _is_rle(mask: Mapping[str, Any]) -> bool:
    size, counts = mask.get("size"), mask.get("counts")
    if not (isinstance(size, (list, tuple)) and len(size) == 2):
        return False
    sides = [whole(side) or 0 for side in size]
    if not all(0 < side < 2**31 for side in sides):
        return False
    if isinstance(counts, list):
        lengths = [whole(length) for length in counts]
        return all(length is not None and length >= 0 for length in lengths) and (
            sum(length or 0 for length in lengths) == sides[0] * sides[1]
        )
    # The letters of pycocotools' compressed form; what they say is checked where masks are decoded.
    return isinstance(counts, (str, bytes)) and len(counts) > 0 and _is_compressed(counts)


def _is_compressed(counts: str | bytes) -> bool:
    letters = counts.encode("utf-8", "replace") if isinstance(counts, str) else counts
    return min(letters) >= 48 and max(letters) < 112


def keypoints_of(item: Mapping[str, Any], path: str, problems: Problems) -> list[float]:
    """Give x, y and visibility of each point of an annotation; nothing where it has none."""
    points = item.get("keypoints")
    if points is None:
        return []
    if isinstance(points, list) and len(points) % 3 == 0 and _are_numbers(points, FARTHEST):
        return points
    problems.add(
        f"{path}.keypoints", f"expected x, y and visibility of each point in pixels, got {describe(points)}"
    )
    return []


FORMAT = TruthFormat(
    name="coco",
    summary="COCO JSON",
    looks_like=_looks_like,
    read=read,
)
