"""Where exports go: folders that appear only when they are whole, and names that do not collide."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from postproc.disk import give_usual_mode
from postproc.errors import ExportError


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Give a temporary folder beside `path`, which takes its name once all is written.

    If the block raises, the temporary folder goes.

    Raises
    ------
    ExportError
        If there is something at `path` already, other than an empty folder.
    """
    check_new(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name[:100]}.", suffix=".partial"))
    try:
        yield partial
        check_new(path)
        if path.is_dir():
            path.rmdir()
        give_usual_mode(partial, 0o777)
        os.replace(partial, path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def check_new(path: Path) -> None:
    """Raise `ExportError` unless `path` is free, or an empty folder: labels made by hand may lie there."""
    if path.is_dir():
        if any(path.iterdir()):
            raise ExportError(f"{path}: expected a new or empty folder; this one holds files, name another")
    elif path.exists():
        raise ExportError(f"{path}: expected a new or empty folder; this is a file")


class FileNames:
    """Names of the files of images, one each, such as ``street`` of ``photos/street.jpg``.

    Parameters
    ----------
    suffix : str
        What they end with.
    """

    def __init__(self, suffix: str) -> None:
        self._suffix = suffix
        self._owners: dict[str, str] = {}

    def claim(self, image: str) -> str:
        """Give the file name of an image.

        Raises
        ------
        ExportError
            If it is that of another image, also where letter case does not tell files apart, or if the image
            has no name that a file can have.
        """
        file, mark, row = image.rpartition(".npz#")  # an image of saved tensors, by its number
        stem = PurePosixPath((f"{file}-{row}" if mark else image).replace("\\", "/")).stem
        if not stem or stem in (".", "..") or any(ord(letter) < 32 or letter in '<>:"|?*' for letter in stem):
            raise ExportError(f"image {image!r}: its file name is none that a file can have everywhere")
        owner = self._owners.setdefault(stem.casefold(), image)
        if owner != image:
            raise ExportError(
                f"images {owner!r} and {image!r} would both be written to {stem + self._suffix!r}, since "
                "this format names files after images; export them into folders of their own"
            )
        return stem + self._suffix
