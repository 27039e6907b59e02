"""What every reader of ground truth gives, and how it collects what is wrong."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from postproc.errors import SchemaError, SchemaProblem
from postproc.evaluation.shapes import Shapes

_MOST_PROBLEMS = 20
LARGEST = 2**63
FARTHEST = 1e15  # pixels: no coordinate of anything
Key = int | str


@dataclass(frozen=True, slots=True)
class CategoriesOfImages:
    """What a federated file says of images: pairs of the row of an image and a category.

    Parameters
    ----------
    absent : list of (int, int or str)
        Categories that an image is known to lack.
    not_exhaustive : list of (int, int or str)
        Categories of which not every object of an image is annotated.
    frequencies : dict
        "r", "c" or "f" of each category.
    """

    absent: list[tuple[int, Key]]
    not_exhaustive: list[tuple[int, Key]]
    frequencies: dict[Key, str]


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class TruthFile:
    """Ground truth as a file writes it: objects in the file's order, categories by their own ids.

    Parameters
    ----------
    names, sizes
        As of `GroundTruth`.
    ids : (I,) int64
        Ids of the images; their rows where the file has none.
    categories : dict
        Names of all categories that the file knows, by their ids; by their names where they have no id.
    image_of_each, category_of_each
        Row of the image, and category, of each object.
    boxes, areas, crowd, ignored, shapes
        As of `GroundTruth`, for each object.
    has_boxes : bool
        Whether objects have boxes; else they are labels of whole images.
    names_first : bool
        Whether categories are told by their names, since ids are mere rows, or there are none.
    names_are_ids : bool
        Whether the file knows images by numbers alone, which `names` are.
    federation : CategoriesOfImages, optional
    notes : tuple of str
        What a reader of the numbers has to know of how the file was read.
    """

    source: str
    names: tuple[str, ...]
    ids: NDArray[np.int64]
    sizes: NDArray[np.int64]
    categories: dict[Key, str]
    image_of_each: NDArray[np.int64]
    category_of_each: Sequence[Key]
    boxes: NDArray[np.float64]
    areas: NDArray[np.float64]
    crowd: NDArray[np.bool_]
    ignored: NDArray[np.bool_]
    shapes: Shapes
    has_boxes: bool = True
    names_first: bool = False
    names_are_ids: bool = False
    federation: CategoriesOfImages | None = None
    notes: tuple[str, ...] = ()


@dataclass(slots=True)
class Problems:
    """Collects what is wrong, with JSON paths, or files and lines."""

    source: str
    found: list[SchemaProblem] = field(default_factory=list)
    more: int = 0

    def add(self, path: str, message: str) -> None:
        """Add a problem at a place of the source."""
        if len(self.found) < _MOST_PROBLEMS:
            self.found.append(SchemaProblem(f"{self.source}: {path}", message))
        else:
            self.more += 1

    def check(self) -> None:
        """Raise `SchemaError` with the first problems, if there are any."""
        if self.more:
            self.found.append(SchemaProblem(self.source, f"and {self.more} more problems"))
        if self.found:
            raise SchemaError(*self.found)

    def text_of(self, path: Path, where: str) -> str:
        """Read a text file in UTF-8, perhaps with a byte order mark; nothing, and a problem, if not."""
        try:
            return path.read_text("utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            self.add(where, f"cannot be read as text in UTF-8: {error}")
            return ""


@dataclass(slots=True)
class TruthRows:
    """Gathers images and objects, one after another, into a `TruthFile`."""

    names: list[str] = field(default_factory=list)
    sizes: list[tuple[int, int]] = field(default_factory=list)
    images: list[int] = field(default_factory=list)
    categories: list[Key] = field(default_factory=list)
    boxes: list[Sequence[float]] = field(default_factory=list)
    areas: list[float] = field(default_factory=list)
    crowd: list[bool] = field(default_factory=list)
    ignored: list[bool] = field(default_factory=list)
    masks: list[Any] = field(default_factory=list)
    keypoints: list[Sequence[float]] = field(default_factory=list)
    rectangles: list[NDArray[np.float64] | None] = field(default_factory=list)

    def add_image(self, name: str, size: tuple[int, int] = (0, 0)) -> None:
        """Add an image, to which the next objects belong; 0 where its height and width are not known."""
        self.names.append(name)
        self.sizes.append(size)

    def add(
        self,
        category: Key,
        box: Sequence[float],
        *,
        area: float | None = None,
        crowd: bool = False,
        ignored: bool = False,
        mask: Any = None,
        keypoints: Sequence[float] = (),
        rectangle: NDArray[np.float64] | None = None,
        image: int | None = None,
    ) -> None:
        """Add an object of the last image, or of that of a row; its area is that of its box by default."""
        self.images.append(len(self.names) - 1 if image is None else image)
        self.categories.append(category)
        self.boxes.append(box)
        self.areas.append(box[2] * box[3] if area is None else area)
        self.crowd.append(crowd)
        self.ignored.append(ignored or crowd)
        self.masks.append(mask)
        self.keypoints.append(keypoints)
        self.rectangles.append(rectangle)

    def file(self, source: str, categories: dict[Key, str], **others: Any) -> TruthFile:
        """Give what was gathered; others are the further parameters of `TruthFile`."""
        count = len(self.boxes)
        rectangles = np.full((count, 5), np.nan)
        for row, rectangle in enumerate(self.rectangles):
            if rectangle is not None:
                rectangles[row] = rectangle
        others.setdefault("ids", np.arange(len(self.names)))
        return TruthFile(
            source=source,
            names=tuple(self.names),
            sizes=np.array(self.sizes, np.int64).reshape(-1, 2),
            categories=categories,
            image_of_each=np.array(self.images, np.int64),
            category_of_each=self.categories,
            boxes=np.array(self.boxes, np.float64).reshape(-1, 4),
            areas=np.array(self.areas, np.float64),
            crowd=np.array(self.crowd, np.bool_),
            ignored=np.array(self.ignored, np.bool_),
            shapes=Shapes.of(count, self.masks, self.keypoints, rectangles),
            **others,
        )


def normal(name: str) -> str:
    """Give a file name as NFC: the same letters may be written in several ways, and macOS takes NFD."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def is_number(value: Any) -> bool:
    """Whether it is a number, and one that products of do not overflow: below `FARTHEST`."""
    is_real = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_real and -FARTHEST < value < FARTHEST


def whole(value: Any) -> int | None:
    """Give an integer, also where it is written as 1.0, as pandas writes columns with gaps; else None."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    is_whole = isinstance(value, int) and not isinstance(value, bool) and -LARGEST <= value < LARGEST
    return value if is_whole else None


def number_of(text: str) -> float | None:
    """Read a finite number; None if it is none, as digits with underscores or of other alphabets are."""
    if not text.isascii() or "_" in text:
        return None
    try:
        value = float(text)
    except ValueError:
        return None
    return value if is_number(value) else None


def outline_area(points: NDArray[np.float64]) -> float:
    """Area that an outline (N, 2) goes around, by the shoelace formula."""
    x, y = points.T
    return float(abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2)


def box_around(points: NDArray[np.float64]) -> list[float]:
    """x, y, width and height of the upright box around points (N, 2)."""
    low, high = points.min(axis=0), points.max(axis=0)
    return [*low.tolist(), *(high - low).tolist()]
