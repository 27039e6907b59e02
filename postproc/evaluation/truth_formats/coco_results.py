"""COCO results: a JSON list of detections, as ``postproc run --format coco`` and most tools write them.

Read back as truth, a detection is an object. The list knows no images but by their ids, and no names of
categories; images in which nothing was found do not stand in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from postproc.errors import SchemaError
from postproc.evaluation.truth_formats.coco import box_of, keypoints_of, mask_of
from postproc.evaluation.truth_formats.source import TruthSource
from postproc.evaluation.truth_formats.truth_file import Key, Problems, TruthFile, TruthRows, whole
from postproc.evaluation.truth_formats.truth_format import TruthFormat
from postproc.schema.problems import describe

_KEYS = {"image_id", "category_id", "score"}
SCORES_NOTE = "scores are left out: what was found counts as truth"


def _looks_like(source: TruthSource) -> bool:
    if source.is_document or not source.is_json or source.head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] != b"[":
        return False
    document = source.document
    first = document[0] if isinstance(document, list) and document else None
    return isinstance(first, Mapping) and first.keys() >= _KEYS


def read(source: TruthSource) -> TruthFile:
    """Read a list of detections as objects."""
    document = source.document
    if not isinstance(document, list):
        raise SchemaError(f"{source.name}: expected a list of COCO results, got {describe(document)}")
    problems = Problems(source.name)
    found = TruthRows()
    rows: dict[Any, int] = {}
    ids: list[int] = []
    categories: dict[Key, str] = {}
    for number, item in enumerate(document):
        path = f"[{number}]"
        if not isinstance(item, Mapping):
            problems.add(path, f"expected an object, got {describe(item)}")
            continue
        image, category = _id(item.get("image_id")), whole(item.get("category_id"))
        if image is None:
            problems.add(f"{path}.image_id", f"expected an integer, got {describe(item.get('image_id'))}")
        if category is None:
            problems.add(
                f"{path}.category_id", f"expected an integer, got {describe(item.get('category_id'))}"
            )
        box = box_of(item, path, problems)
        mask, _ = mask_of(item, path, problems)
        points = keypoints_of(item, path, problems)
        if image is None or category is None or problems.found:
            continue
        row = rows.setdefault(image, len(rows))
        if row == len(found.names):
            found.add_image(str(image))
            ids.append(image if isinstance(image, int) else row)
        categories[category] = str(category)
        found.add(category, box, mask=mask, keypoints=points, image=row)
    problems.check()
    if not rows:
        raise SchemaError(f"{source.name}: expected COCO results, found none")
    return found.file(
        source.name,
        dict(sorted(categories.items())),
        ids=np.array(ids, np.int64),
        names_are_ids=True,
        notes=(SCORES_NOTE, "images in which nothing was found do not stand in the file, and do not count"),
    )


def _id(value: Any) -> int | str | None:
    """Id of an image: an integer, or the name without ending that ultralytics writes for other names."""
    return value if isinstance(value, str) and value else whole(value)


FORMAT = TruthFormat(
    name="coco-results",
    summary="COCO results, of detections",
    looks_like=_looks_like,
    read=read,
)
