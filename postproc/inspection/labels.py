"""Names of labels: those that exporters embed in a file, and those in a file of the user's."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from postproc.errors import InspectionError, SchemaError
from postproc.inspection.literals import parsed
from postproc.schema.limits import LONGEST_NAME
from postproc.schema.parsing import read_file

_KEYS = ("names", "class_names", "classes", "id2label", "labels", "label_names", "categories")
_LONGEST = 2_000_000  # characters: a text beyond it names no labels
_MOST = 100_000  # labels: beyond it a number is no row


@dataclass(frozen=True, slots=True)
class LabelNames:
    """The names of labels in the order of the network's scores.

    Parameters
    ----------
    names : tuple of str
        The names.
    source : str
        Where they are from, for people to read.
    ids : tuple of int or None
        Their ids, where the source gives them.
    """

    names: tuple[str, ...]
    source: str
    ids: tuple[int, ...] | None = None

    def __len__(self) -> int:
        return len(self.names)

    def without_background(self, count: int) -> LabelNames:
        """Leave a background at their beginning or end out where that leaves `count` names."""
        if len(self) == count + 1:
            for position, kept in ((0, slice(1, None)), (-1, slice(None, -1))):
                if self.names[position].strip("_").lower() == "background":
                    ids = None if self.ids is None else self.ids[kept]
                    return LabelNames(self.names[kept], self.source, ids)
        return self


def labels_of_metadata(metadata: Mapping[str, str]) -> LabelNames | None:
    """Find the names of labels in a file's metadata, as Python or JSON or a text with commas."""
    for key in _KEYS:
        text = metadata.get(key, "")
        if not text.strip() or len(text) > _LONGEST:
            continue
        value = parsed(text)
        found = _from_value(value) if value is not None else _from_text(text)
        if (labels := _labels(found, f'"{key}" in the metadata')) is not None:
            return labels
    return None


def labels_of_file(path: str | os.PathLike[str]) -> LabelNames:
    """Read names of labels: a text with one a line, or JSON.

    The JSON is a list of names, an object ``{"0": "cat"}``, a list of ``{"id": 0, "name": "cat"}``, or a
    document that holds one of them: a spec of one output, COCO's ``categories``, or the ``id2label`` of
    transformers' ``config.json``.

    Raises
    ------
    InspectionError
        If the file cannot be read or names no labels.
    """
    source = os.fspath(path)
    try:
        text = read_file(source).decode("utf-8-sig")
    except SchemaError as error:
        raise InspectionError(f"labels: {error}") from None
    except (OSError, ValueError) as error:
        raise InspectionError(f"labels: cannot read {source}: {error}") from None
    if text.lstrip().startswith(("{", "[")):
        found = labels_of_value(parsed(text), source)
    else:
        lines = tuple(line.strip() for line in text.splitlines() if line.strip())
        found = _labels((lines, None) if lines else None, source)
    if found is None:
        raise InspectionError(
            f'labels: {source} names no labels; expected a name a line, or JSON: ["cat", "dog"], '
            '{"0": "cat", "1": "dog"}, {"id2label": {"0": "cat"}} or [{"id": 0, "name": "cat"}]'
        )
    if found.ids is not None and len(set(found.ids)) < len(found.ids):
        raise InspectionError(f"labels: {source} gives an id twice; expected unique ids")
    return found


def labels_of_value(value: Any, source: str) -> LabelNames | None:
    """Read names of labels from the value of JSON in one of the forms of `labels_of_file`."""
    return _labels(_from_value(value), source)


_Found = tuple[tuple[str, ...], tuple[int, ...] | None]


def _labels(found: _Found | None, source: str) -> LabelNames | None:
    """Make labels of names, unless one is too long to be a name."""
    if found is None or any(len(name) > LONGEST_NAME for name in found[0]):
        return None
    return LabelNames(found[0], source, found[1])


def _from_value(value: Any) -> _Found | None:
    if isinstance(value, dict):
        if isinstance(value.get("id2label"), dict):
            return _from_rows(value["id2label"])
        if isinstance(value.get("categories"), list):
            return _from_items(value["categories"])
        if isinstance(value.get("outputs"), list) and len(value["outputs"]) == 1:
            try:
                return _from_items(value["outputs"][0]["labels"]["labels"])
            except (KeyError, TypeError):
                return None
        return _from_rows(value)
    if isinstance(value, (list, tuple)):
        return _from_items(list(value))
    return None


def _from_rows(value: dict[Any, Any]) -> _Found | None:
    """Read ``{row: name}``; a row that is left out gets a number for a name."""
    if not value or not all(re.fullmatch(r"[0-9]{1,9}", str(key)) for key in value):
        return None
    if not all(isinstance(name, (str, int)) for name in value.values()):
        return None
    rows = {int(key): str(name) for key, name in value.items()}
    count = max(rows) + 1
    return (tuple(rows.get(row, f"label {row}") for row in range(count)), None) if count <= _MOST else None


def _from_items(items: list[Any]) -> _Found | None:
    if items and all(isinstance(item, (str, int)) for item in items):
        return tuple(str(item) for item in items), None
    if items and all(isinstance(item, dict) and {"id", "name"} <= set(item) for item in items):
        ids = [item["id"] for item in items]
        if all(isinstance(number, int) for number in ids):
            return tuple(str(item["name"]) for item in items), tuple(ids)
    return None


def _from_text(text: str) -> _Found | None:
    names = tuple(name.strip() for name in re.split(r"[,;\n]", text) if name.strip())
    return (names, None) if len(names) > 1 else None
