"""What a workload is, who takes part in it, and whether they agree."""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

OURS = "postproc"

Columns = tuple[NDArray[Any], ...]
"""A result as columns of equal length, in an order that hangs on the content only."""


@dataclass(frozen=True)
class Peer:
    """One way to do the work of a kind of workloads.

    Parameters
    ----------
    setup : callable
        Takes the input of a workload, returns the callable without arguments that is timed. Conversions to
        the peer's native input happen here.
    columns : callable, optional
        Takes the input and what the callable returned: the result as all peers of the kind have it. Left out
        for a floor, that does less than the work.
    needs : tuple of str
        Modules without which the peer is skipped.
    slow_above : int, optional
        Inputs of more candidates are left out: one call takes minutes.
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
    """One input to a kind of work."""

    kind: str
    case: str
    make: Callable[[], Any]

    @functools.cached_property
    def input(self) -> Any:
        """Arrays that all peers share."""
        return self.make()


@functools.cache
def is_installed(module: str) -> bool:
    """Whether a module could be imported."""
    return importlib.util.find_spec(module) is not None


def check_agreement(workload: Workload, peers: Mapping[str, Peer], runs: Mapping[str, Callable[[], Any]]) -> None:
    """Raise AssertionError if a peer's result is not ours: equal integers, floats equal to 1e-5."""
    ours = peers[OURS].columns
    assert ours is not None
    expected = ours(workload.input, runs[OURS]())
    for name, run in runs.items():
        columns = peers[name].columns
        if columns is None or name == OURS:
            continue
        found = columns(workload.input, run())
        about = f"{workload.kind}, {workload.case}: {name}"
        assert len(found[0]) == len(expected[0]), f"{about}: {len(found[0])} rows, ours has {len(expected[0])}"
        for index, (theirs, mine) in enumerate(zip(found, expected, strict=True)):
            if mine.dtype.kind == "f":
                np.testing.assert_allclose(theirs, mine, rtol=1e-5, atol=1e-5, err_msg=f"{about}, column {index}")
            else:
                np.testing.assert_array_equal(theirs, mine, err_msg=f"{about}, column {index}")


def by_content(images: Any, labels: Any, scores: Any, boxes: Any = None) -> Columns:
    """Sort rows by image, label and falling score: peers order labels and ties differently."""
    columns = [np.asarray(column) for column in (images, labels, scores)]
    order = np.lexsort((-columns[2], columns[1], columns[0]))
    if boxes is not None:
        columns.append(np.asarray(boxes).reshape(-1, 4))
    return tuple(column[order] for column in columns)
