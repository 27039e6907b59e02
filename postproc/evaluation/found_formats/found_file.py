"""Detections as a file writes them, whatever its format: the one form that readers give."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from postproc.errors import SchemaError, SchemaProblem
from postproc.schema.problems import describe, first_of

Key = int | str

_LARGEST = 2**63
_HUGE = 2**1000  # which float64 holds


@dataclass(frozen=True, eq=False, slots=True)
class Given:
    """What was given as detections: a file or a folder, or COCO results as a list.

    Parameters
    ----------
    source : str
        What messages call it.
    path : Path or None
    head : bytes
        How a file begins.
    suffixes : frozenset of str
        Endings of the names of the files in a folder, and in the folders in it.
    results : list or None
    """

    source: str
    path: Path | None = None
    head: bytes = b""
    suffixes: frozenset[str] = frozenset()
    results: list[Any] | None = None

    def text(self) -> str:
        """Read the file as text.

        Raises
        ------
        SchemaError
            If it is no text.
        """
        assert self.path is not None
        return text_of(self.path)


@dataclass(frozen=True, eq=False, slots=True)
class FoundFile:
    """Detections in the order of a file, by the images and categories as it writes them.

    Parameters
    ----------
    source : str
    images : tuple of int or str
        Id or name of each image that has an entry.
    image_of_each : (N,) int64
        Row of the image among them.
    categories : dict of int or str to str
        Names of the categories by their ids; an empty name is not known. A text as key has no id.
    category_of_each : (N,) int64
        Row of the category among them.
    boxes : (N, 4) float64
        x, y, width, height; in pixels, unless `is_relative`.
    scores : (N,) float64
    where : function
        Tells where in the file a row stands.
    names : tuple of (str or None)
        File name of each image where the file says it besides the id; empty if it says none.
    sizes : (I, 2) int64
        Height and width of each image; 0 where the file does not say.
    is_relative : bool
        Whether boxes and shapes are parts of the image's width and height.
    masks : (N,) object
        COCO's ``segmentation`` of each; None where there is none.
    keypoints : (N, V) float64
        The numbers of all points of each, two or three a point; V is 0 where there are none.
    corners : (N, 4, 2) float64
        Of oriented boxes; NaN where there is none.
    areas_are_of_boxes : bool
        Whether detections count as small, medium or large by their boxes, whatever else they have: as
        pycocotools' ``loadRes`` does it if the first result of a file has a box.
    classes_are_rows : bool
        Whether a category that has no name is the row of a label.
    notes : tuple of str
        What was left out in reading.
    """

    source: str
    images: tuple[Key, ...]
    image_of_each: NDArray[np.int64]
    categories: dict[Key, str]
    category_of_each: NDArray[np.int64]
    boxes: NDArray[np.float64]
    scores: NDArray[np.float64]
    where: Callable[[int], str]
    names: tuple[str | None, ...] = ()
    sizes: NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, 2), np.int64))
    is_relative: bool = False
    masks: NDArray[np.object_] = field(default_factory=lambda: np.empty(0, np.object_))
    keypoints: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 0)))
    corners: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 4, 2)))
    areas_are_of_boxes: bool = False
    classes_are_rows: bool = False
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        count = len(self.scores)
        for name, nothing in (
            ("sizes", np.zeros((len(self.images), 2), np.int64)),
            ("masks", np.full(count, None, np.object_)),
            ("keypoints", np.zeros((count, 0))),
            ("corners", np.full((count, 4, 2), np.nan)),
        ):
            if not len(getattr(self, name)):
                object.__setattr__(self, name, nothing)

    def __len__(self) -> int:
        return len(self.scores)


def numbered(values: Iterable[Key]) -> tuple[tuple[Key, ...], NDArray[np.int64]]:
    """Give the distinct values in the order that they come in, and the row of each among them."""
    values = list(values)
    rows = {value: row for row, value in enumerate(dict.fromkeys(values))}
    return tuple(rows), np.fromiter(map(rows.__getitem__, values), np.int64, len(values))


def check(source: str, problems: Iterable[SchemaProblem]) -> None:
    """Raise the first problems of a file, if there are any.

    Raises
    ------
    SchemaError
        Names the place of each in the file.
    """
    found = [
        SchemaProblem(f"{source}: {problem.path}".removesuffix(": "), problem.message) for problem in problems
    ]
    if found:
        raise SchemaError(*first_of(found, partial(SchemaProblem, source)))


def text_of(path: Path) -> str:
    """Read a text file; UTF-8, also with a byte order mark.

    Raises
    ------
    SchemaError
        If it cannot be read, or is no text.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise SchemaError(f"{path}: expected text in UTF-8; byte {error.start} is none") from None
    except OSError as error:
        raise SchemaError(f"{path}: cannot be read: {error.strerror}") from None


def is_number(value: Any) -> bool:
    """Whether it is a number, of NumPy or not, that float64 holds; NaN and infinity are."""
    return are_numbers(type(value)) and (isinstance(value, (float, np.floating)) or abs(int(value)) < _HUGE)


def are_numbers(*kinds: type) -> bool:
    """Whether all values of these types are numbers; truth values are none."""
    return all(issubclass(kind, Real) and not issubclass(kind, bool) for kind in kinds)


def whole(value: Any) -> int | None:
    """Give an integer, also where it is written as 1.0, as pandas writes columns with gaps; else None."""
    if not are_numbers(type(value)):
        return None
    if isinstance(value, Integral) or (math.isfinite(value) and int(value) == value):
        number = int(value)
    else:
        return None
    return number if abs(number) < _LARGEST else None


def missing(item: dict[str, Any], key: str) -> str:
    """Tell what stands in the place of a value that was expected."""
    return describe(item[key]) if key in item else "nothing"
