"""Classes that a network names itself, to rows of the spec's labels."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from postproc.errors import TensorError
from postproc.kernels.heads import class_numbers
from postproc.kernels.heads.class_numbers import (
    NO_LABEL,
    ClassColumn,
    Classes,
    ClassNumbers,
    ClassType,
    KnownClasses,
    WideClasses,
)
from postproc.tensors import as_array, as_float32, as_ids

logger = logging.getLogger(__name__)

# Ids that no label has are named in the log, each once, but not more of them than a person would read.
_MOST_UNKNOWN = 100
# Up to so many numbers an id there is a table of all from the lowest id to the highest: searches for 300
# classes take 3 us longer.
_LONGEST_GAPS = 64
_NO_NUMBERS = ClassNumbers(np.empty((0, 1), np.float32))
_FIRST_COLUMN = ClassColumn(0)
_NOT_WIDE = WideClasses(np.empty(0, np.int64))
_FLOAT32 = ClassType(class_numbers.FLOAT32)
_WIDE = {
    "f": ClassType(class_numbers.FLOAT64),
    "i": ClassType(class_numbers.INT64),
    "u": ClassType(class_numbers.UINT64),
}


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
        self._ids = ids if classes == "ids" else np.arange(len(ids))
        self._known = _known(self._ids)
        self._unknown: dict[str, object] = {}
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
            ids = np.sort(self._ids)
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

    def of(self, table: NDArray[Any], column: int) -> Classes:
        """Return what a kernel takes for classes (N,), which look up their labels themselves.

        They stand in a column of a table (N, C) of float32, or are all of (N, 1), as `as_ids` gives them.
        """
        dtype = table.dtype
        if dtype.itemsize == 4:
            return Classes(ClassNumbers(table), ClassColumn(column), _NOT_WIDE, _FLOAT32, self._known)
        bits = table.reshape(-1) if dtype.kind == "i" else table.reshape(-1).view(np.int64)
        return Classes(_NO_NUMBERS, _FIRST_COLUMN, WideClasses(bits), _WIDE[dtype.kind], self._known)

    def look(
        self,
        table: NDArray[Any],
        column: int,
        matter: Callable[[], NDArray[np.bool_]],
        given: Callable[[], NDArray[np.bool_]] | None = None,
    ) -> float | None:
        """Log the classes of such a table that the spec does not have, each once; return one that is odd.

        Nothing is logged where ``matter()``, a mask (N,), is false: what scores too little anyway is padding,
        more often than not. Odd are fractions: in a tensor of classes there is none. It is the first of those
        that are ``given()``. To be called where a kernel has seen a sign of either.
        """
        classes = table[:, column]
        fractions = _are_fractions(classes)
        if len(self._unknown) < _MOST_UNKNOWN:
            named = np.unique(classes[matter() & ~fractions]).tolist()
            self._log([value for value in named if value not in self._numbers])
        odd = classes[fractions if given is None else fractions & given()]
        return float(odd[0]) if len(odd) else None

    @cached_property
    def _numbers(self) -> frozenset[int]:
        return frozenset(self._ids.tolist())

    def _log(self, classes: list[int | float]) -> None:
        own = object()
        for value in classes[:_MOST_UNKNOWN]:
            text = str(value).removesuffix(".0")
            if self._unknown.setdefault(text, own) is own:  # of several threads one
                logger.warning(
                    "tensor %r holds the label %s %s, which the spec does not have: its boxes are skipped",
                    self._name,
                    self._what,
                    text,
                )


def _known(ids: NDArray[np.int64]) -> KnownClasses:
    """Make what kernels look ids of all labels up in: see `Classes`."""
    order = np.argsort(ids, kind="stable")
    ascending = ids[order]
    span = int(ascending[-1]) - int(ascending[0]) + 1
    if not len(ids) < span <= _LONGEST_GAPS * len(ids):
        return KnownClasses(np.stack([ascending, order]))
    known = np.full((2, span), NO_LABEL)
    known[0] = ascending[0] + np.arange(span)
    known[1, ascending - ascending[0]] = order
    return KnownClasses(known)


def _are_fractions(classes: NDArray[Any]) -> NDArray[np.bool_]:
    with np.errstate(invalid="ignore"):  # a signalling NaN is none
        fractions: NDArray[np.bool_] = (np.trunc(classes) != classes) & np.isfinite(classes)
    return fractions
