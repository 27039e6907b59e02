"""Image files as the batches that a network takes, read ahead by threads."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from postproc.errors import ImageError
from postproc.images.loading import ImageContent, Picture
from postproc.images.preprocessor import PreparedBatch, Preprocessor
from postproc.pipeline.in_order import map_in_order, one_ahead
from postproc.stores import StoredPath

ImagePlace = Path | StoredPath
"""Where an image file lies: on this machine, or in a store."""
ImageSent = StoredPath | ImageContent | ImageError
"""The same to another machine: read already, or why not."""
OnUnreadable = Callable[[ImagePlace, ImageError], None]
Item = TypeVar("Item")


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
    images : list of PIL.Image.Image
        As they were read; none unless they are asked for.
    """

    names: list[str]
    sizes: NDArray[np.int64]
    prepared: PreparedBatch
    images: list[Image.Image]


def image_name(path: str | os.PathLike[str] | ImageSent) -> str:
    """Name that results and saved tensors have for an image file: its path as given, with slashes, or URL."""
    if isinstance(path, StoredPath | ImageError):
        return str(path)
    name = path.name if isinstance(path, ImageContent) else path
    return Path(os.path.normpath(name)).as_posix()


def image_files(paths: Iterable[ImagePlace]) -> list[ImagePlace]:
    """List image files: those given, and all below each folder, by name; each once.

    Raises
    ------
    ImageError
        If there are none below a folder.
    """
    suffixes = Image.registered_extensions()
    files: dict[str, ImagePlace] = {}
    for path in paths:
        below: list[ImagePlace] = [path]
        if path.is_dir():
            inside = path.below() if isinstance(path, StoredPath) else sorted(path.rglob("*"))
            below = [file for file in inside if file.suffix.lower() in suffixes]
            if not below:
                raise ImageError(f"{path}: expected images in this folder; found none")
        for file in below:
            files.setdefault(image_name(file), file)
    return list(files.values())


def consecutive(sources: Iterable[Item], size: int) -> list[list[Item]]:
    """Divide images into parts of `size`, in their order.

    Raises
    ------
    ImageError
        If `size` is not a positive integer.
    """
    if not isinstance(size, (int, np.integer)) or size < 1:
        raise ImageError(f"batches: size must be a positive integer, got {size!r}")
    listed = list(sources)
    return [listed[start : start + size] for start in range(0, len(listed), size)]


def image_batches(
    preprocessor: Preprocessor,
    parts: Iterable[Sequence[ImagePlace | ImageSent]],
    on_unreadable: Callable[[int, ImageError], None],
    num_threads: int = 2,
    *,
    keep_images: bool = False,
) -> Iterator[ImageBatch]:
    """Read and prepare images, in order, while the batch before is in use.

    A part, as of `consecutive`, is a batch: without those that cannot be read, and split where the shapes of
    inputs differ. What runs together so does not depend on other parts, wherever these run. An image that
    cannot be read is reported to `on_unreadable` by its number among all, in the caller's thread.
    """
    divided = [list(part) for part in parts]
    listed = [source for part in divided for source in part]
    failures: deque[tuple[int, ImageError]] = deque()
    read: deque[tuple[str, tuple[int, int], Image.Image | None]] = deque()

    def load(numbered: tuple[int, ImagePlace | ImageSent]) -> tuple[int, Picture | ImageError]:
        number, source = numbered
        if isinstance(source, ImageError):
            return number, source
        try:
            return number, preprocessor.read(source)
        except ImageError as error:
            return number, error

    def readable(loaded: Iterator[tuple[int, Picture | ImageError]]) -> Iterator[Picture]:
        for number, picture in loaded:
            if isinstance(picture, ImageError):
                failures.append((number, picture))
            else:
                read.append(
                    (image_name(listed[number]), picture.size, picture.image if keep_images else None)
                )
                yield picture

    def batches() -> Iterator[ImageBatch]:
        loaded = map_in_order(load, enumerate(listed), num_threads)
        for part in divided:
            for prepared in preprocessor.batches(readable(islice(loaded, len(part))), max(1, len(part))):
                taken = [read.popleft() for _ in range(len(prepared))]
                sizes = np.array([size for _, size, _ in taken], np.int64)
                images = [image for _, _, image in taken if image is not None]
                yield ImageBatch([name for name, _, _ in taken], sizes, prepared, images)

    def report() -> None:
        while failures:
            on_unreadable(*failures.popleft())

    for batch in one_ahead(batches()):
        report()
        yield batch
    report()
