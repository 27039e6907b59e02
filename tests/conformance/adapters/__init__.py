"""What a library is called with for an operation of the cases: a module a library, of about ten lines.

A module has ``DISTRIBUTIONS``, the packages whose versions count, the library's own first, and a function for
each operation that the library offers, by its name. It takes the inputs and the parameters of a case by their
names, and returns what ``expected`` names. Operations that a document describes are given ``document`` and
``tensors`` instead of inputs. A case is not put to a library whose function has no place for its parameters,
or raises `NotOfferedError`. A library that has all operations may have one function, ``answer``, of the case.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable
from importlib.metadata import version
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.conformance.cases import Case

Answer = dict[str, Any]
LIBRARIES = tuple(
    sorted(
        module.name.replace("_", "-") for module in pkgutil.iter_modules(__path__) if module.name[0] != "_"
    )
)


class NotOfferedError(Exception):
    """The library has the operation, but not this form of it."""


def load(library: str) -> ModuleType:
    """Import the adapter of a library, and so the library."""
    return importlib.import_module(f"{__name__}.{library.replace('-', '_')}")


def versions(adapter: ModuleType) -> dict[str, str]:
    """Return the versions of what an adapter calls, by distribution."""
    return {name: version(name) for name in adapter.DISTRIBUTIONS}


def operation_of(adapter: ModuleType, case: Case) -> Callable[[], Answer] | None:
    """Return the call that answers a case; None where the library has no such operation."""
    if hasattr(adapter, "answer"):
        return lambda: adapter.answer(case)
    function = getattr(adapter, case.operation, None)
    if function is None:
        return None
    inputs = {"document": case.document, "tensors": case.inputs} if case.document else case.inputs
    try:
        call = inspect.signature(function).bind(**inputs, **case.parameters)
    except TypeError:
        return None
    return lambda: function(*call.args, **call.kwargs)


def best_first(rows: Any, scores: NDArray[Any]) -> Answer:
    """Put the rows that are kept in the order of their scores, for a library that gives no order."""
    kept = np.sort(np.asarray(rows, np.int64))
    return {"kept": kept[np.argsort(-scores[kept], kind="stable")]}


def above(scores: NDArray[Any], lowest: float) -> NDArray[Any]:
    """Return scores, unless a library that has to be given a threshold would leave one out at its lowest."""
    if (scores <= lowest).any():
        raise NotOfferedError(f"scores are above a threshold, which is {lowest} or more")
    return scores


def ranks(labels: NDArray[Any]) -> NDArray[np.int64]:
    """Number the labels that there are from 0."""
    return np.unique(labels, return_inverse=True)[1].reshape(-1).astype(np.int64)


def sizes(boxes: NDArray[Any]) -> NDArray[Any]:
    """Corners as top left corner, width and height."""
    return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)
