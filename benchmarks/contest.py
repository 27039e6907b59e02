"""What a workload is, who takes part in it, and whether they agree."""

from __future__ import annotations

import functools
import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

OURS = "postproc"
INPUTS = 64
"""How many inputs a workload turns through, where they fit."""

Columns = tuple[NDArray[Any], ...]
"""A result as columns of equal length, in an order that hangs on the content only."""


@dataclass(frozen=True)
class Peer:
    """One way to do the work of a kind of workloads.

    Parameters
    ----------
    setup : callable
        Takes one input of a workload, returns the callable without arguments that is timed. Conversions to
        the peer's native input happen here; it is called for every input, so what inputs share (a session, a
        post-processor) is made once, behind `functools.cache`.
    columns : callable, optional
        Takes the input and what the callable returned: the result as all peers of the kind have it. Left out
        for a floor, that does less than the work.
    needs : tuple of str
        Modules without which the peer is skipped.
    """

    setup: Callable[[Any], Callable[[], Any]]
    columns: Callable[[Any, Any], Columns] | None = None
    needs: tuple[str, ...] = ()

    @property
    def missing(self) -> tuple[str, ...]:
        """Modules that it needs and that are not installed."""
        return tuple(name for name in self.needs if not is_installed(name))


@dataclass(frozen=True)
class Workload:
    """Inputs of one size to a kind of work, which all peers share and turn through.

    Parameters
    ----------
    kind, case : str
        The work, as `PEERS` names it, and the inputs to it.
    make : callable
        Makes an input of its number, 0 the first.
    count : int
        How many inputs there are: fewer than `INPUTS` only where more are too much memory.
    is_warm : bool
        Whether the arrays of an input are read before each call, outside of what is timed: for inputs that
        together do not fit the last-level cache. Without, such a workload is a cold one.
    is_behind : bool
        Whether each call comes right behind a network that has emptied the caches: see `timing.Turning`.
    is_large : bool
        Whether some peer needs seconds for it.
    """

    kind: str
    case: str
    make: Callable[[int], Any]
    count: int = INPUTS
    is_warm: bool = False
    is_behind: bool = False
    is_large: bool = False

    def inputs(self, most: int = sys.maxsize) -> tuple[Any, ...]:
        """Make the first `most` inputs; those that were asked for last are at hand."""
        return _inputs(self.make, min(most, self.count))


@functools.lru_cache(maxsize=1)  # one set may be half a gigabyte
def _inputs(make: Callable[[int], Any], count: int) -> tuple[Any, ...]:
    return tuple(make(number) for number in range(count))


@functools.cache
def is_installed(module: str) -> bool:
    """Whether a module could be imported."""
    return importlib.util.find_spec(module) is not None


def check_equal(found: Columns, expected: Columns, about: str) -> None:
    """Raise AssertionError unless integers are equal, and floats to 1e-5: peers decode in float32."""
    assert len(found[0]) == len(expected[0]), f"{about}: {len(found[0])} rows, ours has {len(expected[0])}"
    for index, (theirs, mine) in enumerate(zip(found, expected, strict=True)):
        message = f"{about}, column {index}"
        if mine.dtype.kind == "f":
            np.testing.assert_allclose(theirs, mine, rtol=1e-5, atol=1e-5, err_msg=message)
        else:
            np.testing.assert_array_equal(theirs, mine, err_msg=message)


def use_one_thread() -> None:
    """Keep the libraries that are loaded to one thread each."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    if "cv2" in sys.modules:
        sys.modules["cv2"].setNumThreads(1)


def by_content(images: Any, labels: Any, scores: Any, boxes: Any = None) -> Columns:
    """Sort rows by image, label and falling score: peers order labels and ties differently."""
    columns = [np.asarray(column) for column in (images, labels, scores)]
    order = np.lexsort((-columns[2], columns[1], columns[0]))
    if boxes is not None:
        columns.append(np.asarray(boxes).reshape(-1, 4))
    return tuple(column[order] for column in columns)
