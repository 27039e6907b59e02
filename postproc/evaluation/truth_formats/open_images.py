"""Open Images' CSV: ``ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,...,IsGroupOf,...``.

A row is a box, and groups are crowds. Class names are those of a class-descriptions CSV beside the file, else
ids. The hierarchy of classes, and which labels were verified on an image, are left out.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from postproc.errors import SchemaError
from postproc.evaluation.shapes import Shapes
from postproc.evaluation.truth_formats.image_index import ImageIndex, missing_image, size_of
from postproc.evaluation.truth_formats.source import TruthSource
from postproc.evaluation.truth_formats.truth_file import Key, Problems, TruthFile
from postproc.evaluation.truth_formats.truth_format import TruthFormat
from postproc.installing import install

_SIDES = ("XMin", "YMin", "XMax", "YMax")
_NEEDED = ("ImageID", "LabelName", *_SIDES)
_SLACK = 0.01  # of a side, that rounding leaves


def _columns(source: TruthSource) -> list[str]:
    line = source.head.removeprefix(b"\xef\xbb\xbf").split(b"\n", 1)[0]
    return [name.strip().strip('"') for name in line.decode("utf-8", "replace").split(",")]


def is_open_images(source: TruthSource) -> bool:
    """Whether it is CSV with the columns of boxes."""
    return not source.is_document and not source.is_folder and set(_NEEDED) <= set(_columns(source))


def read(source: TruthSource) -> TruthFile:
    """Read the boxes of a CSV file, in pixels of images that are looked for beside it."""
    if missing := sorted(set(_NEEDED) - set(_columns(source))):
        raise SchemaError(
            f"{source.name}: expected the columns {', '.join(_NEEDED)}; {', '.join(missing)} missing"
        )
    table = _table(source)
    problems = Problems(source.name)
    images, labels = (table.column(name).combine_chunks().dictionary_encode() for name in _NEEDED[:2])
    corners = np.column_stack([table.column(name).to_numpy() for name in _SIDES]).reshape(-1, 4)
    groups = (
        table.column("IsGroupOf").to_numpy() if "IsGroupOf" in table.column_names else np.zeros(len(table))
    )
    _check(table, corners, problems)
    problems.check()
    stems: list[str] = images.dictionary.to_pylist()
    image_of_each = images.indices.to_numpy().astype(np.int64)
    names, sizes = _images(source, stems, problems)
    problems.check()
    sides = sizes[image_of_each][:, ::-1].astype(np.float64)
    first, last = corners[:, :2] * sides, corners[:, 2:] * sides
    boxes = np.hstack([first, last - first])
    used: list[str] = labels.dictionary.to_pylist()
    crowd = groups == 1
    categories, told = _descriptions(source, used, problems)
    problems.check()
    return TruthFile(
        source=source.name,
        names=names,
        ids=np.arange(len(names)),
        sizes=sizes,
        categories=categories,
        image_of_each=image_of_each,
        category_of_each=labels.to_pylist(),
        boxes=boxes,
        areas=boxes[:, 2] * boxes[:, 3],
        crowd=crowd,
        ignored=crowd,
        shapes=Shapes.of(len(boxes)),
        names_first=True,
        notes=(
            told,
            "Open Images' hierarchy of classes, and which labels were verified on an image, are left out: "
            "what is found of another class, or of one that nobody looked for, is a false positive",
            "images without a box do not stand in the file, and do not count",
        ),
    )


def _table(source: TruthSource) -> Any:
    try:
        import pyarrow as pa
        from pyarrow import csv as arrow_csv
    except ImportError:
        raise ImportError(
            f"{source.name}: reading Open Images' CSV needs pyarrow: {install('eval')}"
        ) from None

    columns = [name for name in (*_NEEDED, "IsGroupOf") if name in _columns(source)]
    types = {name: pa.string() for name in _NEEDED[:2]} | {name: pa.float64() for name in columns[2:]}
    try:
        # With several threads messages would not know the rows.
        return arrow_csv.read_csv(
            source.path,
            read_options=arrow_csv.ReadOptions(use_threads=False),
            convert_options=arrow_csv.ConvertOptions(include_columns=columns, column_types=types),
        )
    except (OSError, ValueError, KeyError) as error:  # ArrowInvalid is a ValueError
        raise SchemaError(f"{source.name}: cannot be read as CSV: {error}") from None


def _check(table: Any, corners: NDArray[np.float64], problems: Problems) -> None:
    if not len(table):
        problems.add("line 2", "expected a row a box, found none")
    for name in _NEEDED[:2]:
        for row in np.flatnonzero(_are_empty(table.column(name))):
            problems.add(f"line {row + 2}", f"{name}: expected a text, got nothing")
    wrong = ~np.isfinite(corners) | (corners < -_SLACK) | (corners > 1 + _SLACK)
    for row, side in np.argwhere(wrong):
        problems.add(
            f"line {row + 2}",
            f"{_SIDES[side]}: expected a fraction of the image, 0 to 1, got {corners[row, side]:g}",
        )
    for row in np.flatnonzero((corners[:, 2:] < corners[:, :2]).any(axis=1)):
        problems.add(
            f"line {row + 2}",
            f"expected XMin <= XMax and YMin <= YMax, got {', '.join(map(str, corners[row].tolist()))}",
        )


def _are_empty(column: Any) -> NDArray[np.bool_]:
    import pyarrow.compute as pc

    return np.asarray(pc.equal(pc.fill_null(column, ""), "").to_numpy(), np.bool_)


def _images(
    source: TruthSource, stems: list[str], problems: Problems
) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    index = ImageIndex(source)
    names, sizes = [], np.zeros((len(stems), 2), np.int64)
    for row, stem in enumerate(stems):
        path = index.named(stem, source.path.parent, problems, f"image {stem}")
        if path is None:
            names.append(stem)
            problems.add(f"image {stem}", missing_image(source))
        else:
            names.append(source.inside(path))
            sizes[row] = size_of(path, problems, f"image {stem}")
    return tuple(names), sizes


def _descriptions(source: TruthSource, used: list[str], problems: Problems) -> tuple[dict[Key, str], str]:
    """Names of the classes, and where they are from."""
    for path in sorted(source.path.parent.glob("*.csv")):
        if "class-descriptions" in path.name.lower():
            names = _names(path, problems)
            if set(used) <= names.keys():
                # Of the boxable ones all, since a file of all classes that there are has twenty thousand.
                kept = names if "boxable" in path.name.lower() else {key: names[key] for key in used}
                return dict(kept.items()), f"names of classes are those of {path.name}"
    return {
        key: key for key in used
    }, "classes are called by their ids, since no class-descriptions CSV is there"


def _names(path: Path, problems: Problems) -> dict[str, str]:
    rows = csv.reader(problems.text_of(path, path.name).splitlines())
    try:
        return {row[0].strip(): row[1].strip() for row in rows if len(row) > 1 and row[0] != "LabelName"}
    except csv.Error as error:
        problems.add(path.name, f"cannot be read as CSV: {error}")
        return {}


FORMAT = TruthFormat(
    name="open-images",
    summary="Open Images' CSV of boxes",
    looks_like=is_open_images,
    read=read,
)
