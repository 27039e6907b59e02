"""Image files as the batches that a network takes, read ahead by threads."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from postproc.errors import ImageError
from postproc.images.loading import load_image
from postproc.images.preprocessor import PreparedBatch, Preprocessor
from postproc.pipeline.in_order import map_in_order, one_ahead


class ImageBatch(NamedTuple):
    """Images ready for a network.

    Parameters
    ----------
    names : list of str
        As `image_name` gives them.
    sizes : (B, 2) int64
        Heights and widths of the original images, in pixels.
    prepared : PreparedBatch
        The network's input tensors, and the way back from them.
    """

    names: list[str]
    sizes: NDArray[np.int64]
    prepared: PreparedBatch


def image_name(path: str | os.PathLike[str]) -> str:
    """Name that results and saved tensors have for an image file: its path as given, with slashes."""
    return Path(os.path.normpath(path)).as_posix()


def image_files(paths: Iterable[Path]) -> list[Path]:
    """List image files: those given, and all below each folder, by name; each once.

    Raises
    ------
    ImageError
        If there are none below a folder.
    """
    suffixes = Image.registered_extensions()
    files: dict[str, Path] = {}
    for path in paths:
        below = [path]
        if path.is_dir():
            below = sorted(file for file in path.rglob("*") if file.suffix.lower() in suffixes)
            if not below:
                raise ImageError(f"{path}: expected images in this folder; found none")
        for file in below:
            files.setdefault(image_name(file), file)
    return list(files.values())


def image_batches(
    preprocessor: Preprocessor,
    paths: Iterable[Path],
    batch_size: int,
    on_unreadable: Callable[[Path, ImageError], None],
    num_threads: int = 2,
) -> Iterator[ImageBatch]:
    """Read and prepare images, in order, while the batch before is in use.

    An image that cannot be read is reported to `on_unreadable`, in the caller's thread, and left out.
    """
    failures: deque[tuple[Path, ImageError]] = deque()
    names: deque[tuple[str, Sequence[int]]] = deque()

    def readable() -> Iterator[Image.Image]:
        for path, image in map_in_order(_load, paths, num_threads):
            if isinstance(image, ImageError):
                failures.append((path, image))
            else:
                names.append((image_name(path), (image.height, image.width)))
                yield image

    def batches() -> Iterator[ImageBatch]:
        for prepared in preprocessor.batches(readable(), batch_size):
            taken = [names.popleft() for _ in range(len(prepared))]
            sizes = np.array([size for _, size in taken], np.int64)
            yield ImageBatch([name for name, _ in taken], sizes, prepared)

    def report() -> None:
        while failures:
            on_unreadable(*failures.popleft())

    for batch in one_ahead(batches()):
        report()
        yield batch
    report()


def _load(path: Path) -> tuple[Path, Image.Image | ImageError]:
    try:
        return path, load_image(path)
    except ImageError as error:
        return path, error
