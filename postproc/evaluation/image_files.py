"""The files of the images that a ground truth tells of."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath
from typing import TYPE_CHECKING

from postproc.errors import ImageError, SchemaError
from postproc.evaluation.ground_truth import GroundTruth, TruthBatch
from postproc.stores import StoredPath, place_of

if TYPE_CHECKING:
    from PIL import Image

Paths = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]

_SUFFIXES = frozenset((".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"))


def listed(paths: Paths) -> list[str | os.PathLike[str]]:
    """List one path, or several."""
    return [paths] if isinstance(paths, (str, os.PathLike)) else list(paths)


@dataclass(frozen=True, slots=True)
class ImageFiles:
    """The files of images.

    Parameters
    ----------
    paths : list of Path or StoredPath
    rows : dict of int to Path or StoredPath
        Those that the ground truth knows, by their rows in it.
    folder : Path or StoredPath, optional
        The folder that they are of, so that all images of the ground truth count.
    """

    paths: list[Path | StoredPath]
    rows: dict[int, Path | StoredPath]
    folder: Path | StoredPath | None = None

    def opener(self, counted: TruthBatch) -> Callable[[int], Image.Image]:
        """Give what opens an image by its row among those that count; it raises `ImageError`."""
        from postproc.images import load_image

        def open_image(row: int) -> Image.Image:
            path = self.rows.get(int(counted.images[row]))
            if path is None:
                raise ImageError(f"not found in {self.folder}")
            return load_image(path)

        return open_image


def find_images(images: Paths, truth: GroundTruth) -> ImageFiles:
    """Find the images of the ground truth in a folder, or take the files that are given.

    Raises
    ------
    SchemaError
        If a folder has none of them, or several files for one, or is given together with other paths.
    """
    given = [place_of(path) for path in listed(images)]
    folders = [path for path in given if path.is_dir()]
    if not folders:
        return ImageFiles(given, {row: path for path in given if (row := truth.find(path)) is not None})
    folder = folders[0]
    if len(given) > 1:
        raise SchemaError(f"give one folder of images, or files; got {folder} and {len(given) - 1} more")
    inside: dict[PurePath, Path | StoredPath] = {}
    found: dict[int, Path | StoredPath]
    if isinstance(folder, StoredPath):
        inside = {path.relative_to(folder): path for path in folder.below()}
        named = ((row, inside.get(PurePosixPath(name))) for row, name in enumerate(truth.names))
        found = {row: path for row, path in named if path is not None}
    else:
        found = {row: folder / name for row, name in enumerate(truth.names) if (folder / name).is_file()}
        if len(found) < len(truth):
            inside = {path.relative_to(folder): path for path in sorted(folder.rglob("*"))}
    if len(found) < len(truth):
        exact = frozenset(found)
        names = {path: name for name, path in inside.items()}
        for name, path in inside.items():
            if name.suffix.lower() not in _SUFFIXES:
                continue
            row = truth.find(name)
            if row is None or row in exact:
                continue
            if row in found:
                first, second = names[found[row]], name
                raise SchemaError(
                    f"{folder}: {first} and {second} may both be the image "
                    f"{truth.names[row]!r} of {truth.source}; keep one, or name the folder of one"
                )
            found[row] = path
    if not found:
        raise SchemaError(
            f"{folder}: holds none of the {len(truth)} images of {truth.source}, such as {truth.names[0]!r}"
        )
    return ImageFiles([found[row] for row in sorted(found)], found, folder)
