"""CSV with rows of a file name and a label, for labels of whole images."""

from __future__ import annotations

import csv

from postproc.errors import SchemaError
from postproc.evaluation.truth_formats.open_images import is_open_images
from postproc.evaluation.truth_formats.source import TruthSource
from postproc.evaluation.truth_formats.truth_file import Problems, TruthFile, TruthRows, normal
from postproc.evaluation.truth_formats.truth_format import TruthFormat

_NO_BOX = (0.0, 0.0, 0.0, 0.0)


def _looks_like(source: TruthSource) -> bool:
    return source.suffix == ".csv" and not source.is_json and not is_open_images(source)


def read(source: TruthSource) -> TruthFile:
    """Read rows of a file name and a label."""
    path = source.path
    if source.needs_boxes:
        raise SchemaError(
            f"{path}: the output finds boxes, and a CSV file of names and labels has none: they need "
            "COCO JSON, or another kind that docs/evaluation.md lists"
        )
    problems = Problems(source.name)
    rows: dict[str, int] = {}
    found = TruthRows()
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
                if image == len(found.names):
                    found.add_image(texts[0])
                if texts[1]:
                    found.add(texts[1], _NO_BOX, image=image)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SchemaError(f"{path}: cannot be read as CSV: {error}") from None
    problems.check()
    if not rows:
        raise SchemaError(f"{path}: expected rows of a file name and a label, found none")
    labels = {label: str(label) for label in dict.fromkeys(found.categories)}
    return found.file(source.name, labels, has_boxes=False, names_first=True)


FORMAT = TruthFormat(name="csv", summary="CSV of file names and labels", looks_like=_looks_like, read=read)
