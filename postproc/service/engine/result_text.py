"""Results as JSON text, made in pieces: a Python object for each number would take many times as much.

All characters are ASCII, so that the length of a text is its size.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from postproc.errors import PostprocError
from postproc.results import Classifications, Detections, Recognitions
from postproc.results.masked import MaskedDetections

NOT_FINITE = "the network's result holds numbers that are not finite, which JSON cannot hold"

_NUMBERS = 4096  # of a tensor at once
_ROWS, _ROWS_OF_MASKS = 128, 8  # of a recognition at once; a mask may have ten thousands of corners


class TooLargeError(PostprocError):
    """A result is too large to be kept."""


def tensors_text(tensors: Mapping[str, NDArray[Any]], max_bytes: int) -> str:
    """Write the tensors of a request, ``{"tensors": [{"name", "shape", "data"}]}``.

    Numbers that are not finite are null.

    Raises
    ------
    TooLargeError
        If it has more than `max_bytes`.
    """
    text = _Text(max_bytes)
    try:
        if sum(map(_least, tensors.values())) > max_bytes:
            raise TooLargeError
        text.add('{"tensors":[')
        for row, (name, array) in enumerate(tensors.items()):
            text.add("," if row else "")
            text.add(f'{{"name":{_json(name)},"shape":{_json(list(array.shape))},"data":')
            _write_array(text, array)
            text.add("}")
        return text.ended("]}")
    except TooLargeError:
        numbers = sum(array.size for array in tensors.values())
        raise TooLargeError(
            f"the network's outputs hold {numbers:,} numbers, and a result has at most {max_bytes:,} bytes "
            "of JSON; use a version with post-processing, or have --max-result-bytes raised"
        ) from None


def recognitions_text(recognitions: Recognitions, image: int, max_bytes: int) -> str:
    """Write the recognitions of an image, what `Recognitions.to_dicts` gives of it.

    Raises
    ------
    TooLargeError
        If it has more than `max_bytes`.
    PostprocError
        If a number is not finite.
    """
    text = _Text(max_bytes)
    found = recognitions[image]
    try:
        text.add('{"outputs":[')
        for row, output in enumerate(found.outputs):
            text.add("," if row else "")
            text.add('{"labels":{"predicted":[')
            _write_rows(text, output, is_predicted=True)
            text.add('],"discarded":[')
            _write_rows(text, output, is_predicted=False)
            text.add("]}}")
        return text.ended("]}")
    except TooLargeError:
        rows = sum(len(output.labels) for output in found.outputs)
        raise TooLargeError(
            f"the result holds {rows:,} predictions, and has at most {max_bytes:,} bytes of JSON; ask for "
            "fewer with max_predictions, or have --max-result-bytes raised"
        ) from None
    except ValueError:
        raise PostprocError(NOT_FINITE) from None


class _Text:
    """A text that grows up to a limit."""

    def __init__(self, max_bytes: int) -> None:
        self._content = bytearray()
        self._max_bytes = max_bytes

    def add(self, piece: str) -> None:
        self._content += piece.encode("ascii")
        if len(self._content) > self._max_bytes:
            raise TooLargeError

    def add_items(self, items: list[Any], is_first: bool) -> None:
        """Add items of a list that is open."""
        self.add(("" if is_first else ",") + _json(items)[1:-1])

    def ended(self, piece: str) -> str:
        self.add(piece)
        return self._content.decode("ascii")


def _write_array(text: _Text, array: NDArray[Any]) -> None:
    if array.ndim == 0:
        return text.add(_json(_listed(array)))
    of_a_row = math.prod(max(length, 1) for length in array.shape[1:])  # an empty list takes room, too
    most = 1 if array.dtype.kind == "O" else _NUMBERS  # texts are as long as they like
    text.add("[")
    if of_a_row <= most:
        step = most // of_a_row
        for start in range(0, len(array), step):
            text.add_items(_listed(array[start : start + step]), start == 0)
    else:
        for start, row in enumerate(array):
            if start:
                text.add(",")
            _write_array(text, row)
    text.add("]")


def _listed(array: NDArray[Any]) -> Any:
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        values = array.astype(object)
        values[~np.isfinite(array)] = None  # JSON knows neither NaN nor infinity
        return values.tolist()
    return array.tolist()


def _least(array: NDArray[Any]) -> int:
    """Return bytes that an array takes at least: a character and a comma for a number."""
    texts = sum(map(len, array.flat)) if array.dtype.kind == "O" else 0
    return 2 * array.size + texts


def _write_rows(text: _Text, output: Classifications, is_predicted: bool) -> None:
    """Write rows of an image, with the numbers that its regions have in the whole of it."""
    rows = np.flatnonzero(output.predicted == is_predicted)
    regions = _region_numbers(output.regions) if isinstance(output, Detections) else None
    step = _ROWS_OF_MASKS if isinstance(output, MaskedDetections) else _ROWS
    for start in range(0, len(rows), step):
        part = rows[start : start + step]
        items = output.take(part).to_dicts()[0]["predicted" if is_predicted else "discarded"]
        if regions is not None:
            for item, region in zip(items, regions[part].tolist(), strict=True):
                item["roi"]["region_id"] = region
        text.add_items(items, start == 0)


def _region_numbers(regions: NDArray[np.int64]) -> NDArray[np.int64]:
    """Give the regions numbers from 1, in the order in which they come first."""
    _, firsts, places = np.unique(regions, return_index=True, return_inverse=True)
    numbers = np.empty(len(firsts), np.int64)
    numbers[np.argsort(firsts)] = np.arange(1, len(firsts) + 1)
    return numbers[places.reshape(-1)]


def _json(value: Any) -> str:
    return json.dumps(value, allow_nan=False, separators=(",", ":"))
