"""Parquet of ``postproc run``: a row a detection, with the columns of `postproc.results.arrow`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from postproc.errors import SchemaError, SchemaProblem
from postproc.evaluation.found_formats.found_file import FoundFile, Given, check, numbered
from postproc.installing import install
from postproc.schema.problems import counted

_LONGEST = 2**31
_NEEDED = ("image", "label_id", "label_name", "score", "xmin", "ymin", "xmax", "ymax")
_OTHERS = ("output", "predicted", "height", "width", "keypoints", "polygon", "mask", "rings")


def recognises(given: Given) -> bool:
    """Whether it begins as Parquet does."""
    return given.head.startswith(b"PAR1")


def read(given: Given, output: int = 0) -> FoundFile:
    """Read the predicted detections of an output.

    Raises
    ------
    SchemaError
        If the file cannot be read, or has other columns.
    ImportError
        If the extra ``eval`` is missing.
    """
    try:
        import pyarrow as pa
        import pyarrow.compute as pc
        import pyarrow.parquet as pq
    except ImportError as error:
        raise ImportError(f"Parquet needs an extra: {install('eval')} ({error})") from error
    try:
        schema = pq.read_schema(given.path)
        names = schema.names
        if lacking := [name for name in _NEEDED if name not in names]:
            raise SchemaError(_another_kind(given.source, names, lacking))
        _check_types(given.source, schema)
        table = pq.read_table(given.path, columns=[name for name in (*_NEEDED, *_OTHERS) if name in names])
    except (pa.ArrowException, OSError) as error:
        raise SchemaError(f"{given.source}: cannot be read as Parquet: {error}") from None
    if "output" in table.column_names:
        outputs = pc.unique(table["output"]).to_pylist()
        table = table.filter(pc.equal(table["output"], output))
        if outputs and not len(table):
            raise SchemaError(f"{given.source}: output {output} has no rows; there are {sorted(outputs)}")
    check(
        given.source,
        (
            SchemaProblem(f"column {name}", "has rows without a value")
            for name in ("image", "label_id", "label_name", "predicted")
            if name in table.column_names and table[name].null_count
        ),
    )
    rows = np.arange(len(table))
    discarded = 0
    if "predicted" in table.column_names:
        predicted = np.asarray(table["predicted"])
        discarded, rows = int((~predicted).sum()), rows[predicted]
        table = table.filter(table["predicted"])
    columns = {name: table[name] for name in table.column_names}
    images, image_of_each = numbered(columns["image"].to_pylist())
    keys, category_of_each = numbered(columns["label_id"].to_pylist())
    of_keys = dict(
        zip(
            reversed(columns["label_id"].to_pylist()),
            reversed(columns["label_name"].to_pylist()),
            strict=True,
        )
    )
    low, high = (_numbers(columns, pair) for pair in (("xmin", "ymin"), ("xmax", "ymax")))
    sizes = np.zeros((len(images), 2), np.int64)
    if {"height", "width"} <= columns.keys():
        sides = np.nan_to_num(_numbers(columns, ("height", "width")))
        sizes[image_of_each] = np.where((sides > 0) & (sides < _LONGEST), sides, 0)
    return FoundFile(
        given.source,
        images,
        image_of_each,
        {key: str(of_keys[key]) for key in keys},
        category_of_each,
        np.hstack([low, high - low]),
        _numbers(columns, ("score",))[:, 0],
        lambda row: f"row {rows[row]}",
        sizes=sizes,
        is_relative=True,
        masks=_masks(columns, len(table)),
        keypoints=_nested(columns, "keypoints", len(table)),
        corners=_corners(columns, given.source, len(table)),
        notes=(f"{counted(discarded, 'discarded candidate')} of {given.source} left out",)
        if discarded
        else (),
    )


def _check_types(source: str, schema: Any) -> None:
    """See that columns are what they are called, before any is read."""
    import pyarrow.types as kinds

    def is_name(kind: Any) -> bool:
        return bool(kinds.is_string(kind) or kinds.is_large_string(kind) or kinds.is_dictionary(kind))

    def are_lists(depth: int) -> Callable[[Any], bool]:
        def fits(kind: Any) -> bool:
            for _ in range(depth):
                if not (kinds.is_list(kind) or kinds.is_large_list(kind) or kinds.is_fixed_size_list(kind)):
                    return False
                kind = kind.value_type
            return bool(kinds.is_floating(kind))

        return fits

    expected: dict[str, Callable[[Any], bool]] = {
        **dict.fromkeys(("score", "xmin", "ymin", "xmax", "ymax"), kinds.is_floating),
        **dict.fromkeys(("output", "label_id", "height", "width"), kinds.is_integer),
        "image": lambda kind: is_name(kind) or kinds.is_integer(kind),
        "label_name": is_name,
        "predicted": kinds.is_boolean,
        "keypoints": are_lists(2),
        "polygon": are_lists(2),
        "rings": are_lists(3),
        "mask": is_name,
    }
    check(
        source,
        (
            SchemaProblem(
                f"column {name}", f"has the type {schema.field(name).type}, which postproc run does not write"
            )
            for name, fits in expected.items()
            if name in schema.names and not fits(schema.field(name).type)
        ),
    )


def _another_kind(source: str, names: list[str], lacking: list[str]) -> str:
    found = f"columns {', '.join(names[:8])}{' and others' if len(names) > 8 else ''}"
    if "transform" in names or any(name.endswith(".dtype") for name in names):
        return f"{source}: holds saved tensors, {found}: give them by --tensors (SavedTensors)"
    if "objects" in names:
        return f"{source}: is a data set with {found}, which is what is there: give it by --truth"
    return (
        f"{source}: expected the Parquet of postproc run --format parquet; it lacks {', '.join(lacking)}, "
        f"and has {found}"
    )


def _numbers(columns: dict[str, Any], names: tuple[str, ...]) -> NDArray[np.float64]:
    stacked = [np.asarray(columns[name].to_numpy(zero_copy_only=False), np.float64) for name in names]
    return np.stack(stacked, axis=1)


def _nested(columns: dict[str, Any], name: str, count: int) -> NDArray[np.float64]:
    """Give the numbers of lists of lists, one row each."""
    if name not in columns:
        return np.zeros((count, 0))
    lists = columns[name].to_pylist()
    flat = [[number for part in item or () for number in part] for item in lists]
    table = np.full((count, max(map(len, flat), default=0)), 0.0 if name == "keypoints" else np.nan)
    for row, numbers in enumerate(flat):
        table[row, : len(numbers)] = numbers
    return table


def _corners(columns: dict[str, Any], source: str, count: int) -> NDArray[np.float64]:
    corners = _nested(columns, "polygon", count)
    if corners.shape[1] not in (0, 8):
        raise SchemaError(f"{source}: column polygon: expected four corners, got {corners.shape[1]} numbers")
    return corners.reshape(-1, 4, 2)


def _masks(columns: dict[str, Any], count: int) -> NDArray[np.object_]:
    masks = np.full(count, None, np.object_)
    if {"mask", "height", "width"} <= columns.keys():
        sides = (columns[name].to_pylist() for name in ("height", "width"))
        for row, (counts, *size) in enumerate(zip(columns["mask"].to_pylist(), *sides, strict=True)):
            masks[row] = counts and {"size": size, "counts": counts}
    elif "rings" in columns:
        for row, rings in enumerate(columns["rings"].to_pylist()):
            flat = [[number for point in ring for number in point] for ring in rings or ()]
            masks[row] = [ring for ring in flat if len(ring) > 5 and len(ring) % 2 == 0] or None
    return masks
