"""Which label each category of a file of detections is."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from postproc.errors import SchemaError
from postproc.evaluation.categories import CategoryKey, MatchBy, map_categories
from postproc.evaluation.found_formats.found_file import FoundFile, Key
from postproc.evaluation.ground_truth import GroundTruth
from postproc.evaluation.seen_images import some_of
from postproc.schema.problems import counted

UNKNOWN = -1


def find_labels(found: FoundFile, truth: GroundTruth) -> tuple[NDArray[np.int64], list[str]]:
    """Find the labels, by names where the file has them, else by ids.

    Ids alone are those of the ground truth's categories, as pycocotools takes them, and the label ids of the
    spec, as ``run`` writes them; where the two are not the same, they must not contradict each other.

    Returns
    -------
    rows : (C,) int64
        Row of the label of each category; -1 for one that is no label.
    notes : list of str
        What is left out, and what was taken for granted.

    Raises
    ------
    SchemaError
        If none of the categories is a label, or they may be different ones.
    """
    if not found.categories:
        return np.zeros(0, np.int64), []
    notes: list[str] = []
    prefer: CategoryKey
    by: MatchBy
    rows: dict[Key, int]
    if all(found.categories.values()):
        prefer = (
            "names"
            if any(isinstance(key, str) for key in found.categories) or found.classes_are_rows
            else "ids"
        )
        by = "names" if found.classes_are_rows else "auto"
        rows = dict(
            map_categories(
                found.categories,
                set(found.categories),
                truth.table,
                found.source,
                by,
                prefer=prefer,
                skip_unknown=True,
            ).rows
        )
    elif not truth.categories.has_ids:
        told = some_of(tuple(_told(key, found) for key in found.categories))
        names = some_of(tuple(repr(label.name) for label in truth.table.labels))
        raise SchemaError(
            f"{found.source}: its categories are numbers, {told}, and those of {truth.source} are names, "
            f"{names}: nothing says which is which. Give a spec whose labels have these numbers as ids "
            "(spec=, --spec)"
            + (", or a data.yaml or classes.txt beside the detections" if found.classes_are_rows else "")
        )
    elif found.classes_are_rows:
        rows = {key: int(key) for key in found.categories if int(key) < len(truth.table.labels)}
        notes.append(
            f"classes of {found.source} are taken for rows of the labels, 0 for "
            f"{truth.table.labels[0].name!r}: no data.yaml or classes.txt beside it names them"
        )
    else:
        rows = _by_id(found, truth)
        notes += _shifted(found, truth, rows)
    _check(found, truth, rows)
    if unknown := [key for key in found.categories if key not in rows]:
        of_rows = np.array([rows.get(key, UNKNOWN) for key in found.categories], np.int64)[
            found.category_of_each
        ]
        notes.append(
            f"left out: {counted(int((of_rows == UNKNOWN).sum()), 'detection')} of {found.source} of "
            f"categories that are no labels, {some_of(tuple(_told(key, found) for key in unknown))}"
        )
    return np.array([rows.get(key, UNKNOWN) for key in found.categories], np.int64), notes


def _by_id(found: FoundFile, truth: GroundTruth) -> dict[Key, int]:
    of_spec: dict[Key, int] = {label.id: row for row, label in enumerate(truth.table.labels)}
    if truth.categories.by == "ids":
        return {key: of_spec[key] for key in found.categories if key in of_spec}
    of_truth: dict[Key, int] = {
        key: row for key, row in truth.categories.rows.items() if isinstance(key, int)
    }
    known = {key: (of_truth.get(key), of_spec.get(key)) for key in found.categories}
    for key, (by_truth, by_spec) in known.items():
        if by_truth is not None and by_spec is not None and by_truth != by_spec:
            labels = truth.table.labels
            raise SchemaError(
                f"{found.source}: category_id {key} is {labels[by_truth].name!r} by the categories of "
                f"{truth.source}, but {labels[by_spec].name!r} by the ids of the spec's labels; JSON lines "
                "and Parquet of postproc run have names as well, and detections of other tools are measured "
                "by the categories of the ground truth without a spec and a version"
            )
    return {key: row for key, rows in known.items() for row in rows[::-1] if row is not None}


def _shifted(found: FoundFile, truth: GroundTruth, rows: dict[Key, int]) -> Iterator[str]:
    """Say where ids look like those of one further: tools number classes from 0 or from 1."""
    ids, keys = {label.id for label in truth.table.labels}, {int(key) for key in found.categories}
    for step, begins in ((-1, 1), (1, 0)):
        if not {key + step for key in keys} <= ids:
            continue
        if len(rows) < len(keys) or (step < 0 and min(ids) == 0 and 0 not in keys and len(keys) > 1):
            seems = "seem to begin" if len(rows) < len(keys) else "may begin"
            yield (
                f"category ids of {found.source} {seems} at {begins}, unlike those of {truth.source} "
                "(ultralytics' begin at 1); as they are, detections then count for other labels than they "
                "are meant for. Give a spec whose labels have the ids of the detections and the names of "
                "the ground truth (spec=, --spec)"
            )


def _check(found: FoundFile, truth: GroundTruth, rows: dict[Key, int]) -> None:
    if rows:
        return
    told = some_of(tuple(_told(key, found) for key in found.categories))
    labels = some_of(tuple(f"{label.id} {label.name!r}" for label in truth.table.labels))
    hint = ""
    if all(isinstance(key, int) for key in found.categories):
        hint = "".join(f"; {note}" for note in _shifted(found, truth, rows))
    raise SchemaError(
        f"{found.source}: none of its categories, {told}, is a label; labels are {labels}{hint}"
    )


def _told(key: Key, found: FoundFile) -> str:
    name = found.categories[key]
    return repr(key) if isinstance(key, str) or not name else f"{key} {name!r}"
