"""Saved tensors for tests."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from postproc import ImageTransform
from postproc.saved_tensors.files import saved_files
from postproc.saved_tensors.format import SavedImage
from postproc.saved_tensors.reading import TensorFile
from postproc.saved_tensors.writing import TensorWriter

Row = tuple[str, Any, Any, dict[str, tuple[str, tuple[int, ...], bytes]]]


def image_of(name: str, tensors: dict[str, NDArray[Any]], transformed: bool = True) -> SavedImage:
    """An image of 30 x 40 pixels."""
    transform = ImageTransform.letterbox((64, 64), (30, 40)) if transformed else None
    return SavedImage(name, (30, 40), transform, tensors)


def write(path: Path, images: Iterable[SavedImage]) -> Path:
    images = list(images)
    with TensorWriter(path, list(images[0].tensors)) as writer:
        for image in images:
            writer.write(image)
    return path


def rows_of(*paths: Path) -> list[Row]:
    """All that files hold, comparable."""
    return [row_of(image) for image in read_all(*paths)]


def row_of(image: SavedImage) -> Row:
    tensors = {key: (array.dtype.name, array.shape, array.tobytes()) for key, array in image.tensors.items()}
    return image.name, image.size, image.transform, tensors


def read_all(*paths: Path) -> Iterator[SavedImage]:
    for path in saved_files(paths):
        file = TensorFile(path)
        for group in range(len(file.group_rows)):
            yield from file.read(group)
