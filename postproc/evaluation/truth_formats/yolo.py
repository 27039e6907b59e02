"""YOLO's text: a file an image, a line an object, in fractions of the image; see `postproc.exports.yolo`.

What lines hold is told by all of them together: boxes have four numbers after the class; poses those and the
points that ``kpt_shape`` of data.yaml tells of; oriented boxes eight, the corners; masks an even number from
six on, the outline. One number more is a score, as ``save_conf`` and ``run --scores`` write it.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from postproc.errors import SchemaError
from postproc.evaluation.truth_formats.image_index import Size, missing_image, size_of
from postproc.evaluation.truth_formats.quadrilaterals import rectangle_of
from postproc.evaluation.truth_formats.source import TruthSource
from postproc.evaluation.truth_formats.truth_file import (
    Problems,
    TruthFile,
    TruthRows,
    box_around,
    number_of,
    outline_area,
)
from postproc.evaluation.truth_formats.truth_format import TruthFormat
from postproc.evaluation.truth_formats.yolo_folder import YoloFolder, document_of, label_files, read_folder
from postproc.schema.problems import counted, describe

_LINE = re.compile(rb"\s*\d+(?:\.0*)?(?:[ \t]+[-+]?[\d.]+(?:[eE][-+]?\d+)?){4,}[ \t]*(?:\r?\n|$)")
_LOWEST, _HIGHEST = -1.0, 2.0  # corners of turned boxes may lie outside of the image
_MOSTLY = 0.9
_SLACK = 0.01  # of a box's own numbers, that rounding leaves
Line = tuple[str, int, NDArray[np.float64]]  # where it stands, its class and numbers


def _looks_like(source: TruthSource) -> bool:
    if document_of(source) is not None:
        return not source.is_folder or bool(source.files.get(".txt")) or not source.files.get(".xml")
    if not source.is_folder or not (labels := label_files(source)):
        return False
    samples = source.samples(".txt")
    return any(map(_LINE.match, samples)) or (
        any(path.name == "classes.txt" for path in source.files[".txt"]) and len(labels) > 0
    )


def read(source: TruthSource) -> TruthFile:
    """Read the label files of a data set."""
    problems = Problems(source.name)
    if not source.is_folder and document_of(source) is None:
        raise SchemaError(
            f"{source.name}: expected the folder of a YOLO data set, or its data.yaml with names of classes"
        )
    folder = read_folder(source, problems)
    lines = [[] if label is None else _lines(source, label, folder, problems) for _, label in folder.pairs]
    problems.check()
    form = _Form(lines, folder.keypoints, source.name)
    found = TruthRows()
    for (image, label), of_image in zip(folder.pairs, lines, strict=True):
        place = image or label
        assert place is not None
        size = (0, 0)
        if image is not None and image.is_file():
            size = size_of(image, problems, source.inside(image))
        elif of_image:
            problems.add(source.inside(place), missing_image(source))
        found.add_image(source.inside(place), size)
        for line in of_image:
            form.add(line, size, found, problems)
    problems.check()
    names = dict(enumerate(folder.names))
    unlabelled = sum(label is None for _, label in folder.pairs)
    notes = [*folder.notes, *form.notes]
    if unlabelled:
        notes.append(f"{counted(unlabelled, 'image')} without a label file: as without objects")
    return found.file(source.name, names, names_first=True, notes=tuple(notes))  # type: ignore[arg-type]


def _lines(source: TruthSource, label: Path, folder: YoloFolder, problems: Problems) -> list[Line]:
    where = source.inside(label)
    found = []
    for number, text in enumerate(problems.text_of(label, where).splitlines(), start=1):
        if not (words := text.split()):
            continue
        place = f"{where}: line {number}"
        values = [number_of(word) for word in words]
        row = values[0]
        if row is None or not row.is_integer() or not 0 <= row < len(folder.names):
            problems.add(
                place,
                f"expected the row of a class, 0 to {len(folder.names) - 1}, got {describe(words[0])}",
            )
        elif None in values:
            problems.add(place, f"expected finite numbers, got {describe(words[values.index(None)])}")
        elif len(values) < 5:
            problems.add(
                place, f"expected a class and four numbers or more, got {counted(len(values), 'number')}"
            )
        else:
            found.append((place, int(row), np.array(values[1:], np.float64)))
    return found


class _Form:
    """What the numbers of lines stand for."""

    def __init__(self, lines: list[list[Line]], keypoints: tuple[int, int] | None, name: str) -> None:
        lengths = {len(line[2]) for of_image in lines for line in of_image}
        self.points = keypoints
        self.notes: list[str] = []
        self.has_scores = False
        self.is_oriented = False
        if keypoints is not None:
            self.pose = 4 + keypoints[0] * keypoints[1]
            self.has_scores = lengths == {self.pose + 1}
        else:
            self.has_scores = bool(lengths) and all(length % 2 for length in lengths)
            body = {length - self.has_scores for length in lengths}
            if len(lengths) == 1 and min(body) > 8 and _may_be_poses(lines):
                raise SchemaError(
                    f"{name}: each line has {min(lengths)} numbers after the class, as of poses, and "
                    "kpt_shape is not said: write it in data.yaml, such as kpt_shape: [17, 3]"
                )
            self.is_oriented = body == {8}
            if self.is_oriented:
                self.notes.append(
                    "lines of eight numbers are read as the corners of oriented boxes, since all have eight; "
                    "outlines of four points would look the same"
                )
            elif 4 in body and len(body) > 1:
                self.notes.append("lines of four numbers are boxes without a mask, others are outlines")
        if self.has_scores:
            self.notes.append("scores at the ends of lines are left out: what was found counts as truth")

    def add(self, line: Line, size: Size, found: TruthRows, problems: Problems) -> None:
        """Add the object of a line."""
        place, row, numbers = line
        if self.has_scores:
            numbers = numbers[:-1]
        sides = np.array(size[::-1], np.float64)
        if self.points is not None:
            if len(numbers) not in (4, self.pose):
                problems.add(place, f"expected 4 or {self.pose} numbers after the class, got {len(numbers)}")
            elif box := _box(numbers[:4], sides, place, problems):
                found.add(row, box, keypoints=_keypoints(numbers[4:], self.points[1], sides))
            return
        if len(numbers) == 4:
            if box := _box(numbers, sides, place, problems):
                found.add(row, box)
            return
        if len(numbers) % 2 or len(numbers) < 6:
            problems.add(
                place,
                "expected a box, four numbers, or an outline, x and y of three points or more, got "
                f"{counted(len(numbers), 'number')}",
            )
        elif _are_fractions(numbers, _LOWEST, _HIGHEST, place, problems):
            points = numbers.reshape(-1, 2) * sides
            if self.is_oriented:
                rectangle = rectangle_of(points)
                found.add(row, box_around(points), area=outline_area(points), rectangle=rectangle)
            else:
                mask = [points.reshape(-1).tolist()]
                found.add(row, box_around(points), area=outline_area(points), mask=mask)


def _may_be_poses(lines: list[list[Line]]) -> bool:
    """Whether lines of one length look like boxes with points in them, rather than like outlines."""
    numbers = np.array([line[2] for of_image in lines for line in of_image])
    for length, end in ((2, None), (3, None), (2, -1), (3, -1)):
        points = numbers[:, 4:end]
        if points.shape[1] % length == 0:
            points = points.reshape(len(numbers), -1, length)[..., :2]
            inside = np.abs(points - numbers[:, np.newaxis, :2]) <= numbers[:, np.newaxis, 2:4] * 0.6
            if (inside.all(axis=2) | (points <= 0).all(axis=2)).mean() > _MOSTLY:
                return True
    return False


def _box(
    numbers: NDArray[np.float64], sides: NDArray[np.float64], place: str, problems: Problems
) -> list[float]:
    """x, y, width and height in pixels of a box; nothing, and a problem, if it is none."""
    if not _are_fractions(numbers, -_SLACK, 1 + _SLACK, place, problems):
        return []
    if (numbers[2:] < 0).any():
        problems.add(
            place, f"expected a width and a height of 0 or more, got {numbers[2]:g} and {numbers[3]:g}"
        )
        return []
    return [*((numbers[:2] - numbers[2:] / 2) * sides).tolist(), *(numbers[2:] * sides).tolist()]


def _are_fractions(
    numbers: NDArray[np.float64], lowest: float, highest: float, place: str, problems: Problems
) -> bool:
    wrong = numbers[(numbers < lowest) | (numbers > highest)]
    if len(wrong):
        problems.add(place, f"expected fractions of the image, 0 to 1, got {wrong[0]:g}")
    return not len(wrong)


def _keypoints(numbers: NDArray[np.float64], length: int, sides: NDArray[np.float64]) -> list[float]:
    """x, y and visibility of each point; points without one are there unless they are at 0, 0 or below."""
    points = numbers.reshape(-1, length)
    places = points[:, :2] * sides
    if length == 3:
        seen = points[:, 2]
    else:
        seen = np.where((points < 0).any(axis=1) | (points == 0).all(axis=1), 0.0, 2.0)
    kept: list[float] = np.column_stack([places, seen]).reshape(-1).tolist()
    return kept


FORMAT = TruthFormat(
    name="yolo",
    summary="a YOLO data set",
    looks_like=_looks_like,
    read=read,
    takes_folders=True,
    has_splits=True,
)
