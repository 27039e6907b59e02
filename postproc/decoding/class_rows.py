"""Classes that a network names itself, to rows of the spec's labels."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from postproc.errors import TensorError
from postproc.kernels.heads.listed import RowsFromLowest, RowsOfIds, SortedIds, rows_of_ids, rows_of_numbers
from postproc.tensors import as_array, as_float32, as_ids

logger = logging.getLogger(__name__)

# Ids that no label has are named in the log, each once, but not more of them than a person would read.
_MOST_UNKNOWN = 100
# Up to so many numbers an id there is a table of all from the lowest id to the highest: searches for 300
# classes take 3 us longer.
_LONGEST_GAPS = 64
_END_OF_IDS = 2.0**63


class ClassRows:
    """The rows of labels that a tensor of classes names.

    Parameters
    ----------
    name : str
        The tensor.
    ids : (L,) int64
        Label ids of the spec.
    classes : {"ids", "rows"}
        What the tensor holds.
    """

    def __init__(self, name: str, ids: NDArray[np.int64], classes: Literal["ids", "rows"]) -> None:
        self._name = name
        self._what = "row" if classes == "rows" else "id"
        named = ids if classes == "ids" else np.arange(len(ids))
        order = np.argsort(named, kind="stable")
        ascending = named[order]
        self._known = SortedIds(ascending), RowsOfIds(order), _near(ascending, order)
        self._unknown: set[str] = set()
        self._lacking: dict[np.dtype[Any], list[int]] = {}

    def read(self, value: Any) -> NDArray[Any]:
        """Classes of a tensor that holds nothing else: float32 as they are, others as `as_ids` gives them.

        Raises
        ------
        TensorError
            If it holds no numbers, or is of a type that cannot tell the spec's classes apart.
        """
        array = as_array(self._name, value)
        if array.dtype.kind not in "fV" or array.dtype.itemsize > 4:
            return as_ids(self._name, array)
        numbers = as_float32(self._name, array)
        self.check(array.dtype)
        return numbers

    def check(self, dtype: np.dtype[Any]) -> None:
        """Check that numbers of a type tell the spec's classes apart, as half precision does up to 2048.

        An id beyond the type's largest number is infinity there, which is logged as no label where it comes.

        Raises
        ------
        TensorError
            If some stand for another one.
        """
        lacking = self._lacking.get(dtype)
        if lacking is None:
            ids = self._known[0]
            with np.errstate(all="ignore"):
                given = ids.astype(dtype).astype(np.float64)
            others = ids[np.isfinite(given) & (given != ids.astype(np.float64))]
            self._lacking[dtype] = lacking = others[:1].tolist()
        if lacking:
            raise TensorError(
                f"tensor {self._name!r} is of {dtype}, which has no number for the label {self._what} "
                f"{lacking[0]} of the spec, but would give another's: have the network give classes as "
                "integers, or in a wider type"
            )

    def of(
        self,
        table: NDArray[Any],
        column: int,
        matter: Callable[[], NDArray[np.bool_]],
        given: Callable[[], NDArray[np.bool_]] | None = None,
    ) -> tuple[NDArray[np.int64], float | None]:
        """Label row of each class (N,), -1 where the spec has none.

        They stand in a column of a table (N, C), of float32 or as `as_ids` gives them. Those that the spec
        does not have are logged, each once; but not where ``matter()``, a mask (N,), is false: what scores
        too little anyway is padding, more often than not. Fractions are not: the first of those that are
        ``given()`` is returned as well, since in a tensor of classes there is none.
        """
        odd = 0
        if table.dtype == np.float32:
            rows, unknown, odd = rows_of_numbers(table, column, *self._known)
        elif table.dtype == np.int64:
            rows, unknown = rows_of_ids(np.ascontiguousarray(table[:, column]), *self._known)
        else:
            # Float64, and what lies beyond every id: what is none is overwritten.
            classes = table[:, column]
            if classes.dtype == np.uint64:
                are_ids = classes <= np.iinfo(np.int64).max
            else:
                are_ids = (classes >= -_END_OF_IDS) & (classes < _END_OF_IDS) & ~_are_fractions(classes)
            rows, _ = rows_of_ids(np.where(are_ids, classes, 0).astype(np.int64), *self._known)
            rows[~are_ids] = -1
            unknown = int(np.count_nonzero(rows < 0))
            odd = int(np.count_nonzero(_are_fractions(classes)))
        odd_class = None
        if odd:
            classes = table[:, column]
            fractions = _are_fractions(classes)
            of_boxes = classes[fractions if given is None else fractions & given()]
            odd_class = float(of_boxes[0]) if len(of_boxes) else None
        if unknown and len(self._unknown) < _MOST_UNKNOWN:
            others = table[:, column][(rows < 0) & matter()]
            self._log(np.unique(others[~_are_fractions(others)]).tolist())
        return rows, odd_class

    def _log(self, classes: list[int | float]) -> None:
        for value in classes[:_MOST_UNKNOWN]:
            text = str(value).removesuffix(".0")
            if text not in self._unknown:
                self._unknown.add(text)
                logger.warning(
                    "tensor %r holds the label %s %s, which the spec does not have: its boxes are skipped",
                    self._name,
                    self._what,
                    text,
                )


def _near(ids: NDArray[np.int64], rows: NDArray[np.int64]) -> RowsFromLowest:
    """Row of each number from the lowest of ascending ids to the highest, -1 of one that is no id.

    It is empty where they lie so far apart that it would be long.
    """
    span = int(ids[-1]) - int(ids[0]) + 1
    near = np.full(span if span <= _LONGEST_GAPS * len(ids) else 0, -1)
    if len(near):
        near[ids - ids[0]] = rows
    return RowsFromLowest(near)


def _are_fractions(classes: NDArray[Any]) -> NDArray[np.bool_]:
    with np.errstate(invalid="ignore"):  # a signalling NaN is none
        fractions: NDArray[np.bool_] = (np.trunc(classes) != classes) & np.isfinite(classes)
    return fractions
