"""DOTA's text: a file an image, ``x1 y1 x2 y2 x3 y3 x4 y4 category difficult`` a line, in pixels.

Lines at the top may say ``imagesource:...`` and ``gsd:...``. Difficult objects are ignored.
"""

from __future__ import annotations

import re

import numpy as np

from postproc.errors import SchemaError
from postproc.evaluation.truth_formats.image_index import ImageIndex, size_of
from postproc.evaluation.truth_formats.quadrilaterals import deviation, rectangle_of
from postproc.evaluation.truth_formats.source import TruthSource
from postproc.evaluation.truth_formats.truth_file import (
    Key,
    Problems,
    TruthFile,
    TruthRows,
    box_around,
    number_of,
    outline_area,
)
from postproc.evaluation.truth_formats.truth_format import TruthFormat
from postproc.evaluation.truth_formats.yolo_folder import label_files
from postproc.schema.problems import counted, describe

_START = re.compile(
    rb"\s*((imagesource|gsd|acquisition dates):[^\n]*\s+)*"
    rb"([-+]?[\d.]+(e[-+]?\d+)?[ \t]+){8}(?![-+]?[\d.]+(e[-+]?\d+)?(\s|$))\S",
    re.IGNORECASE,
)
_HEADINGS = ("imagesource:", "gsd:", "acquisition dates:")
_STRAIGHT = 2.0  # pixels
_LARGEST = 2.0**31


def _looks_like(source: TruthSource) -> bool:
    if source.is_folder:
        return any(map(_is_text, source.samples(".txt")))
    return not source.is_document and source.suffix == ".txt" and _is_text(source.head)


def _is_text(head: bytes) -> bool:
    text = head.removeprefix(b"\xef\xbb\xbf")
    return bool(_START.match(text)) or text.lstrip().lower().startswith(b"imagesource:")


def read(source: TruthSource) -> TruthFile:
    """Read the text files of a folder, or one."""
    problems = Problems(source.name)
    paths = label_files(source) if source.is_folder else [source.path]
    if not paths:
        raise SchemaError(f"{source.name}: expected text files of DOTA, found none")
    found = TruthRows()
    index = ImageIndex(source)
    bent = 0
    for path in paths:
        where = source.inside(path)
        image = index.find(path, problems)
        size = (0, 0) if image is None else size_of(image, problems, where)
        found.add_image(where if image is None else source.inside(image), size)
        for number, line in enumerate(problems.text_of(path, where).splitlines(), start=1):
            if line.strip() and not line.strip().lower().startswith(_HEADINGS):
                bent += _add(line.split(), f"{where}: line {number}", found, problems)
    problems.check()
    notes = []
    if any(found.ignored):
        notes.append(f"{counted(sum(found.ignored), 'difficult object')} ignored")
    if bent:
        notes.append(
            f"{bent} of {counted(len(found.boxes), 'object')} are no rectangles, by more than {_STRAIGHT:g} "
            "pixels: rectangles of their mean sides stand for them"
        )
    names: dict[Key, str] = {key: str(key) for key in sorted(map(str, dict.fromkeys(found.categories)))}
    return found.file(source.name, names, names_first=True, notes=tuple(notes))


def _add(words: list[str], place: str, found: TruthRows, problems: Problems) -> bool:
    """Add the object of a line; tells whether it is far from a rectangle."""
    values = [number_of(word) for word in words[:8]]
    numbers = [value for value in values if value is not None and abs(value) < _LARGEST]
    if len(numbers) < 8 or len(words) < 9:
        problems.add(
            place,
            f"expected x and y of four corners, a category and 0 or 1, got {describe(' '.join(words[:10]))}",
        )
        return False
    # Names of some versions have blanks in them.
    has_difficult = len(words) > 9 and words[-1].isascii() and words[-1].isdigit()
    category = " ".join(words[8:-1] if has_difficult else words[8:])
    points = np.array(numbers).reshape(4, 2)
    rectangle = rectangle_of(points)
    found.add(
        category,
        box_around(points),
        area=outline_area(points),
        ignored=has_difficult and words[-1].strip("0") != "",
        rectangle=rectangle,
    )
    return deviation(points, rectangle) > _STRAIGHT


FORMAT = TruthFormat(
    name="dota", summary="DOTA's text", looks_like=_looks_like, read=read, takes_folders=True
)
