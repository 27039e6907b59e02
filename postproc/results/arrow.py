"""Results as an Arrow table, a row a detection: for Parquet, pandas, polars, DuckDB.

Columns, in this order; those of boxes are missing where no output has boxes, and null for labels of whole
images beside such an output:

============================  =============================  ===============================================
``image``                     string; int64 without names    file name, or number in the batch
``output``                    int32                          which output of the spec
``label_id``                  int64
``label_name``                dictionary of string
``score``                     float32
``threshold``                 float32                        what the score was compared with
``predicted``                 bool                           false for discarded ones
``region``                    int64                          row of the network's anchor, cell or query
``xmin`` ``ymin`` ``xmax``    float32                        relative to the image, 0 to 1
``ymax``
``height`` ``width``          int32                          of the image, where sizes are known
``left`` ``top`` ``right``    float32                        the box in pixels, where sizes are known
``bottom``
``keypoints``                 float32[D][P]                  x, y (relative) and score of each point
``polygon``                   float32[2][4]                  corners (relative) of a turned box
``angle``                     float32                        its angle in radians
``rings``                     lists of lists of float32[2]   outline of the mask (relative), even-odd
``mask``                      string                         COCO's run lengths, where sizes are known
============================  =============================  ===============================================

Rows stand by image, then by output, then in the order of the results. An image in which nothing was found has
no row. Of a single output whose rows are all kept, scores, keypoints and corners share the memory of the
results; columns of boxes are copies, since the four numbers of a box lie side by side there.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from postproc.errors import TensorError
from postproc.installing import install
from postproc.results.arguments import image_sizes
from postproc.results.rows import images_of_rows

if TYPE_CHECKING:
    from postproc.results.classifications import Classifications

try:
    import pyarrow as pa
except ImportError as error:
    raise ImportError(f"Arrow tables need an extra: {install('eval')}") from error


def arrow_table(
    outputs: Sequence[Classifications],
    images: Sequence[str | os.PathLike[str]] | Sequence[int] | None,
    sizes: Any,
    *,
    discarded: bool,
) -> pa.Table:
    """Give the results of all outputs as a `pyarrow.Table`; see `postproc.exports.arrow.to_arrow`."""
    kept = [output if discarded else _predicted(output) for output in outputs]
    names = _names(images, len(outputs[0]))
    pixels = None
    if sizes is not None:
        pixels = np.broadcast_to(image_sizes(sizes, len(names)), (len(names), 2))
    labels = list(dict.fromkeys(name for output in kept for name in output.table.names))
    parts = [dict(_columns(row, output, names, pixels, labels)) for row, output in enumerate(kept)]
    columns = {name: column.type for part in parts for name, column in part.items()}
    ordered = [name for name in _COLUMNS if name in columns]
    table = pa.concat_tables(
        pa.table({name: part.get(name, pa.nulls(len(part["score"]), columns[name])) for name in ordered})
        for part in parts
    )
    if len(kept) == 1:
        return table
    owners = np.concatenate([images_of_rows(output.offsets) for output in kept])
    return table.take(pa.array(np.argsort(owners, kind="stable")))


def _columns(
    row: int, output: Classifications, names: pa.Array, sizes: NDArray[np.float64] | None, labels: list[str]
) -> Iterator[tuple[str, pa.Array]]:
    images = images_of_rows(output.offsets)
    rows_of = {name: index for index, name in enumerate(labels)}
    label_rows = np.array([rows_of[name] for name in output.table.names], np.int32)
    yield "image", names.take(pa.array(images))
    yield "output", pa.array(np.full(len(images), row, np.int32))
    yield (
        "label_name",
        pa.DictionaryArray.from_arrays(
            pa.array(label_rows[output.labels]), pa.array(list(map(_text, labels)))
        ),
    )
    if sizes is not None:
        for axis, name in enumerate(("height", "width")):
            yield name, pa.array(sizes[images, axis].astype(np.int32))
    for name, values in output._arrow_columns(sizes):
        yield name, _COLUMNS[name](values)


def _predicted(output: Classifications) -> Classifications:
    """Leave out what is discarded; without any, the very arrays are kept."""
    return output if output.predicted.all() else output[output.predicted]


def _names(images: Any, count: int) -> pa.Array:
    if images is None:
        return pa.array(np.arange(count))
    if len(images) != count:
        raise TensorError(f"images: expected one name or number per image, {count}; got {len(images)}")
    if count and all(isinstance(image, (int, np.integer)) for image in images):
        return pa.array(np.asarray(images, np.int64))
    try:
        return pa.array([_text(os.fspath(image)) for image in images], pa.string())
    except TypeError as error:
        raise TensorError(f"images: expected names, or whole numbers; {error}") from None


def _text(name: str) -> str:
    """Write what Unicode cannot, such as bytes of a file name, as the sign for it."""
    return name.encode("utf-8", "surrogatepass").decode("utf-8", "replace")


def _nested(array: NDArray[np.float32]) -> pa.Array:
    """Give (K, a, b) as lists of fixed sizes over the same memory."""
    lists = pa.array(np.ascontiguousarray(array).reshape(-1))
    for length in array.shape[:0:-1]:
        lists = pa.FixedSizeListArray.from_arrays(lists, length)
    return lists


def _rings(outlines: list[list[NDArray[np.float32]]]) -> pa.Array:
    rings = [ring for outline in outlines for ring in outline]
    points = np.concatenate([np.zeros((0, 2), np.float32), *rings])
    starts = np.cumsum([0, *map(len, rings)], dtype=np.int32)
    of_rows = np.cumsum([0, *map(len, outlines)], dtype=np.int32)
    corners = pa.FixedSizeListArray.from_arrays(pa.array(points.reshape(-1)), 2)
    return pa.ListArray.from_arrays(pa.array(of_rows), pa.ListArray.from_arrays(pa.array(starts), corners))


_COLUMNS: dict[str, Callable[[Any], pa.Array]] = {  # in their order, and how each becomes Arrow's
    **dict.fromkeys(("image", "output", "label_id", "label_name", "score", "threshold"), pa.array),
    **dict.fromkeys(("predicted", "region", "xmin", "ymin", "xmax", "ymax", "height", "width"), pa.array),
    **dict.fromkeys(("left", "top", "right", "bottom"), pa.array),
    "keypoints": _nested,
    "polygon": _nested,
    "angle": pa.array,
    "rings": _rings,
    "mask": partial(pa.array, type=pa.string()),
}
