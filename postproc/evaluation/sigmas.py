"""By how much annotations of keypoints differ, which their similarity is in relation to."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

from postproc.errors import SchemaError
from postproc.evaluation.similarity import COCO_SIGMAS
from postproc.schema.problems import describe

_LARGEST = 1e6

Sigmas = Sequence[float] | str | os.PathLike[str]


def read_sigmas(sigmas: Sigmas | None) -> tuple[float, ...] | None:
    """Read sigmas: numbers, a text of them with commas between, or a file with a JSON list of them.

    Raises
    ------
    SchemaError
        If they are not positive numbers.
    """
    if sigmas is None:
        return None
    values: object = sigmas
    if isinstance(sigmas, (str, os.PathLike)):
        text = os.fspath(sigmas)
        try:
            values = json.loads(f"[{text}]")
        except ValueError:
            values = _of_file(Path(text))
    numbers = list(values) if isinstance(values, Sequence) and not isinstance(values, str) else []
    if not numbers or not all(map(_is_positive, numbers)):
        raise SchemaError(f"sigmas: expected positive numbers, one a keypoint, got {describe(values)}")
    return tuple(map(float, numbers))


def sigmas_for(points: int, sigmas: tuple[float, ...] | None) -> tuple[float, ...]:
    """Give the sigmas of so many keypoints: those of COCO's people where there are 17 and none are given.

    Raises
    ------
    SchemaError
        If none are known, or of another number.
    """
    if sigmas is None and points == len(COCO_SIGMAS):
        return COCO_SIGMAS
    if sigmas is None:
        raise SchemaError(
            f"sigmas: there are {points} keypoints, and COCO's sigmas are of the {len(COCO_SIGMAS)} of a "
            f"person. Give {points} numbers (--sigmas, sigmas=), by how much annotations of each point "
            "differ in relation to the root of the object's area; ultralytics takes "
            f"1 / {points} = {1 / points:.4g} for all. Or measure boxes (--measure boxes)"
        )
    if len(sigmas) != points:
        raise SchemaError(f"sigmas: expected {points} numbers, one a keypoint, got {len(sigmas)}")
    return sigmas


def _of_file(path: Path) -> object:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SchemaError(
            "sigmas: expected numbers with commas between, or a file that can be read; "
            f"{path}: {error.strerror}"
        ) from None
    except (ValueError, RecursionError):
        raise SchemaError(f"{path}: expected a JSON list of sigmas, one a keypoint") from None


def _is_positive(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value <= _LARGEST
