"""Thresholds as callers give them, and in the place of those of a version."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from itertools import islice
from typing import Any, TypeAlias

import numpy as np

from postproc.errors import SchemaError
from postproc.schema import Classification, Detection, RecognitionVersion
from postproc.schema.problems import describe

ThresholdsLike: TypeAlias = float | Sequence[float] | Mapping[str, float] | None
Changes: TypeAlias = dict[str, Any]
"""Fields of a task by name, with their new values; None where a field is no longer there."""

_NUMBERS = {float, int}
_DOCUMENTED = {float, int, tuple, type(None)}
_MOST_SHOWN = 20  # labels in a message


def thresholds_of(thresholds: ThresholdsLike, default: float | None, names: Sequence[str]) -> Any:
    """Give thresholds as documents have them: a number for all labels, or one per label; None for none.

    Raises
    ------
    SchemaError
        If they are by name and name others than the labels, or only some without a default; or if there is a
        default for nothing.
    """
    thresholds = _plain(thresholds)
    if type(thresholds) in _DOCUMENTED and default is None:  # a quick way for `replace`
        return thresholds
    if not isinstance(thresholds, (dict, Mapping)):
        if default is not None:
            raise SchemaError(
                "default_threshold: expected thresholds by label name, which leave some of them to it, got "
                f"{'none' if thresholds is None else describe(thresholds)}; for one threshold for all labels "
                "give thresholds a number"
            )
        if isinstance(thresholds, Iterable) and not isinstance(thresholds, (str, bytes, Set)):
            return tuple(islice(thresholds, len(names) + 1))  # one too many tells that they are
        return thresholds
    known = set(names)
    if not thresholds.keys() <= known:
        unknown = _first(name for name in thresholds if name not in known)
        raise SchemaError(f"thresholds: expected names of the labels {_first(names)}, got {unknown} besides")
    default = _plain(default)
    if default is None and thresholds.keys() != known:
        raise SchemaError(
            f"thresholds: expected one for each of the labels {_first(names)}, got {_first(thresholds)}; add "
            "the others, or default_threshold for them"
        )
    if default is not None and not _is_unit_number(default):
        raise SchemaError(f"default_threshold: expected a number from 0 to 1, got {describe(default)}")
    return tuple([thresholds.get(name, default) for name in names])


def changes_of(**fields: Any) -> Changes:
    """Give the fields of which a value is given; one of the two for NMS takes the other's place."""
    changes = {name: _plain(value) for name, value in fields.items() if value is not None}
    if "nms_threshold" in changes:
        changes.setdefault("nms_thresholds", None)
    elif "nms_thresholds" in changes:
        changes["nms_threshold"] = None
    return changes


def is_plain(task: Classification | Detection, labels: int, changes: Changes) -> bool:
    """Whether a task of so many labels takes such values; False also where the whole document has to tell."""
    for name, value in changes.items():
        if type(value) is tuple and name in ("thresholds", "nms_thresholds"):
            if len(value) != labels:
                return False
            if [number for number in value if type(number) not in _NUMBERS or not 0 <= number <= 1]:
                return False
        elif value is not None and (name == "nms_thresholds" or not _is_unit_number(value)):
            return False
    if isinstance(task, Classification):
        return changes.keys() <= {"thresholds"}
    if "nms_threshold" not in changes:
        return True
    return not any(task.nms_rules(changes["nms_threshold"], changes["nms_thresholds"]))


def edited(version: RecognitionVersion, changes: Mapping[int, Changes]) -> dict[str, Any]:
    """Write changes, by output, into the document of a version."""
    document = version.dump()
    for output, fields in changes.items():
        post_processing = document["post_processings"][output]
        (kind,) = [kind for kind, task in post_processing.items() if task is not None]
        for name, value in fields.items():
            if value is None:
                post_processing[kind].pop(name, None)
            else:
                post_processing[kind][name] = list(value) if isinstance(value, tuple) else value
    return document


def _is_unit_number(value: Any) -> bool:
    return type(value) in _NUMBERS and 0 <= value <= 1


def without_numpy(value: Any) -> Any:
    """Give arrays and scalars of NumPy's as lists and numbers; anything else as it is."""
    return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value


def _plain(value: Any) -> Any:
    value = without_numpy(value)
    return tuple(value) if isinstance(value, list) else value


def _first(values: Iterable[Any]) -> str:
    listed = list(islice(values, _MOST_SHOWN + 1))
    text = repr(listed[:_MOST_SHOWN])
    return text if len(listed) <= _MOST_SHOWN else f"{text[:-1]}, ...]"
