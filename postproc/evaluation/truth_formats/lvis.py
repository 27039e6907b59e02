"""LVIS's JSON: COCO's, whose images say which categories they lack, and of which they may have more."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from postproc.evaluation.truth_formats.coco import is_federated, is_instances, read_instances
from postproc.evaluation.truth_formats.source import TruthSource
from postproc.evaluation.truth_formats.truth_file import CategoriesOfImages, Key, Problems, TruthFile, whole
from postproc.evaluation.truth_formats.truth_format import TruthFormat
from postproc.schema.problems import describe


def _looks_like(source: TruthSource) -> bool:
    return is_instances(source) and is_federated(source.document)


def _name(item: Mapping[str, Any]) -> Any:
    """``val2017/000000397133.jpg`` of its URL, where there is no file name."""
    url = item.get("coco_url")
    if item.get("file_name") is None and isinstance(url, str):
        return "/".join(PurePosixPath(url).parts[-2:])
    return item.get("file_name")


def read(source: TruthSource) -> TruthFile:
    """Read it, with what it says of categories."""
    problems = Problems(source.name)
    document = source.document
    # What is no list of objects, `read_instances` names.
    images = [item for item in _items(document, "images") if isinstance(item, Mapping)]
    categories = [item for item in _items(document, "categories") if isinstance(item, Mapping)]
    known: dict[int | None, Mapping[str, Any]] = {whole(item.get("id")): item for item in categories}
    federation = CategoriesOfImages(
        absent=_pairs(images, "neg_category_ids", known, problems),
        not_exhaustive=_pairs(images, "not_exhaustive_category_ids", known, problems),
        frequencies=_frequencies(categories, problems),
    )
    read = read_instances(source, _name, federation=federation)
    problems.check()
    return read


def _items(document: Any, key: str) -> list[Any]:
    items = document.get(key) if isinstance(document, Mapping) else None
    return items if isinstance(items, list) else []


def _pairs(
    images: list[Mapping[str, Any]], key: str, known: Mapping[int | None, Any], problems: Problems
) -> list[tuple[int, Key]]:
    pairs: list[tuple[int, Key]] = []
    for row, item in enumerate(images):
        listed = item.get(key, [])
        if not isinstance(listed, list):
            problems.add(f"images[{row}].{key}", f"expected a list of ids, got {describe(listed)}")
            continue
        for number, value in enumerate(listed):
            category = whole(value)
            if category is None or category not in known:
                problems.add(
                    f"images[{row}].{key}[{number}]",
                    f"expected the id of one of categories, got {describe(value)}",
                )
            else:
                pairs.append((row, category))
    return pairs


def _frequencies(categories: list[Mapping[str, Any]], problems: Problems) -> dict[Key, str]:
    found: dict[Key, str] = {}
    for row, item in enumerate(categories):
        frequency, key = item.get("frequency", ""), whole(item.get("id"))
        if frequency not in ("r", "c", "f", ""):
            problems.add(
                f"categories[{row}].frequency", f'expected "r", "c" or "f", got {describe(frequency)}'
            )
        elif key is not None:
            found[key] = frequency
    return found


FORMAT = TruthFormat(name="lvis", summary="LVIS's JSON", looks_like=_looks_like, read=read)
