"""Which image of a ground truth each image of a file of detections is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

from postproc.errors import SchemaError
from postproc.evaluation.found_formats.found_file import FoundFile, Key
from postproc.evaluation.ground_truth import GroundTruth
from postproc.evaluation.seen_images import some_of
from postproc.schema.problems import counted

UNKNOWN = -1


def find_images(found: FoundFile, truth: GroundTruth) -> tuple[NDArray[np.int64], list[str]]:
    """Find the images: by the names that the file says, else by COCO's ids, else by numbers in file names.

    Returns
    -------
    rows : (I,) int64
        Rows in the ground truth; -1 where it does not know the image.
    notes : list of str
        What a reader has to know of how they were found.

    Raises
    ------
    SchemaError
        If none is known, two are the same, or one may be any of several.
    """
    notes: list[str] = []
    by_id = _by_id(found.images, truth)
    if any(found.names):
        rows = np.array([_of_name(name, truth) for name in found.names], np.int64)
        rows = np.where(rows == UNKNOWN, by_id, rows)
        if differing := int(((rows != by_id) & (by_id != UNKNOWN)).sum()):
            notes.append(
                f"images of {found.source} are matched by their file_name: {counted(differing, 'image_id')} "
                f"of it {'is' if differing == 1 else 'are'} another image's in {truth.source}"
            )
    else:
        rows = by_id
        notes += _by_numbers(found, truth, rows)
    _check(found, truth, rows)
    return rows, notes


def _of_name(name: str | None, truth: GroundTruth) -> int:
    row = truth.find(name) if name else None
    return UNKNOWN if row is None else row


def _by_id(images: tuple[Key, ...], truth: GroundTruth) -> NDArray[np.int64]:
    ids = {key: row for row, key in enumerate(truth.ids.tolist())}
    rows = (ids.get(key, UNKNOWN) if isinstance(key, int) else _of_name(key, truth) for key in images)
    return np.fromiter(rows, np.int64, len(images))


def _by_numbers(found: FoundFile, truth: GroundTruth, rows: NDArray[np.int64]) -> Iterator[str]:
    """Where ids say less than the numbers that file names are, take these; changes `rows`."""
    numbers = {
        int(stem): row
        for row, name in enumerate(truth.names)
        if (stem := PurePosixPath(name.replace("\\", "/")).stem).isascii()
        and stem.isdecimal()
        and len(stem) < 19
    }
    others = np.array(
        [
            numbers.get(key, UNKNOWN) if isinstance(key, int) else row
            for key, row in zip(found.images, rows, strict=True)
        ],
        np.int64,
    )
    if not numbers or (others == rows).all():
        return
    known, by_number = int((rows != UNKNOWN).sum()), int((others != UNKNOWN).sum())
    if by_number > known:
        yield (
            f"images of {found.source} are matched by the numbers that their file names are, as ultralytics "
            f"writes them: {by_number} of {len(rows)}; as ids of {truth.source} they are {known}"
        )
        rows[:] = others
    elif by_number and (others[others != UNKNOWN] != rows[others != UNKNOWN]).any():
        yield (
            f"images of {found.source} are matched by the ids of {truth.source}; by the numbers that their "
            "file names are, as ultralytics writes them, they would be others: if the numbers below are near "
            "0, write such ids into the ground truth"
        )


def _check(found: FoundFile, truth: GroundTruth, rows: NDArray[np.int64]) -> None:
    if len(rows) and (rows == UNKNOWN).all():
        raise SchemaError(
            f"{found.source}: none of its {counted(len(rows), 'image')}, such as {found.images[0]!r}, is one "
            f"of {truth.source}, such as {int(truth.ids[0])} {truth.names[0]!r}; images are matched by ids, "
            "or by their file names"
        )
    known = rows[rows != UNKNOWN]
    if len(known) > len(np.unique(known)):
        row = int(np.flatnonzero(np.bincount(known) > 1)[0])
        both = tuple(repr(found.images[other]) for other in np.flatnonzero(rows == row))
        raise SchemaError(
            f"{found.source}: {some_of(both)} are all the image {truth.names[row]!r} of {truth.source}; give "
            "each image a name or an id of its own"
        )
