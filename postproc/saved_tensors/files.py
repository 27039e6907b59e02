"""Files of saved tensors by their paths and URLs: which are meant, and how each is opened.

What reads them needs pyarrow, and is imported when one is opened: `.npz` files need NumPy alone.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from postproc.errors import TensorError
from postproc.stores import is_url

if TYPE_CHECKING:
    from postproc.saved_tensors.reading import TensorFile


def saved_files(paths: Iterable[str | os.PathLike[str]]) -> list[str]:
    """List files of saved tensors, by paths or URLs: those given, and of a folder its ``*.parquet``, by name.

    Raises
    ------
    TensorError
        If a folder holds none, or cannot be listed; or if a URL is of an ``.npz`` file.
    """
    places: list[str] = []
    for path in paths:
        place = os.fspath(path)
        found = _listed(place)
        if not found:
            raise TensorError(f"{place}: expected Parquet files of tensors in this folder; found none")
        places += found
    return places


def shared_files(paths: Iterable[str | os.PathLike[str]]) -> list[str]:
    """List what `saved_files` does, by whole paths, for other machines.

    Raises
    ------
    TensorError
        As `saved_files`, and if a file is no Parquet file.
    """
    places = saved_files(paths)
    for place in places:
        if is_npz(place):
            raise TensorError(
                f"{place}: expected Parquet files of tensors, as postproc dump writes them, which can be "
                "shared out among machines"
            )
    return [place if is_url(place) else str(Path(place).resolve()) for place in places]


def open_stored(place: str) -> TensorFile:
    """Open a file of saved tensors, by its path or URL."""
    if is_url(place):
        from postproc.saved_tensors.remote import StoredTensorFile

        return StoredTensorFile(place)
    from postproc.saved_tensors.reading import TensorFile

    return TensorFile(place)


def is_npz(place: str) -> bool:
    """Whether it is the name of an ``.npz`` file."""
    return place.lower().endswith(".npz")


def _listed(place: str) -> list[str]:
    if not is_url(place):
        path = Path(place)
        return [str(file) for file in sorted(path.glob("*.parquet"))] if path.is_dir() else [str(path)]
    if is_npz(place):
        raise TensorError(f"{place}: .npz files are read from a disk only; copy it, or write it as Parquet")
    from postproc.saved_tensors.remote import files_at

    return files_at(place)
