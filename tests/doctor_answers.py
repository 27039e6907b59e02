"""Writes the answers that ``postproc doctor`` compares compiled kernels with: those of the slow reference.

``python -m tests.doctor_answers`` does so. A row is a list: label, score, region, predicted, the box's
corners, and for some kinds a keypoint's or corner's numbers each, or a mask as hexadecimal bits.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from postproc.doctor import cases
from postproc.doctor.cases import ANSWERS, LABELS, MASK_SIDE, Case, all_cases
from tests import reference
from tests.random_cases.narrow import dequantised
from tests.reference.hypothesis import Hypothesis
from tests.reference.masks import coefficients, inside_box, pasted_at, sums_at
from tests.reference.pipeline import Row, unclipped
from tests.reference.points import keypoints, place_point
from tests.reference.rectangles import corners

PATH = Path(cases.__file__).with_name(ANSWERS)
IDENTITY = ((1.0, 0.0), (1.0, 0.0))


def answer(case: Case) -> list[list[list[Any]]]:
    """Compute the rows of every image of a case."""
    case = with_floats(case)
    (images,) = reference.run(case.spec, case.version, case.tensors, **case.options)
    (found,) = reference.hypotheses(case.spec, case.version, case.tensors)
    return [
        [_numbers(row) + _extras(case, image, row, found[image]) for row in rows]
        for image, rows in enumerate(images)
    ]


def with_floats(case: Case) -> Case:
    """Return a case with the floats that its quantised tensors stand for."""
    fields = case.task.get("detection", case.task)
    floats = {
        name: dequantised(case.tensors[name], one["scale"], one.get("zero_point", 0), None)
        for output in fields.values()
        if isinstance(output, dict)
        for name, one in output.get("quantization", {}).items()
    }
    return replace(case, tensors={**case.tensors, **floats})


def _numbers(row: Row) -> list[Any]:
    box = [] if row.box is None else [_short(side) for side in row.box]
    return [row.label, _short(row.score), row.region, row.predicted, *box]


def _short(number: Any) -> float:
    return float(f"{float(number):.7g}")


def _extras(case: Case, image: int, row: Row, found: list[Hypothesis]) -> list[Any]:
    """Return what comes with a box, as the fields of its output and its hypothesis say."""
    if row.box is None:
        return []
    detection = case.task["detection"]
    size = detection.get("input_size")
    name = next(field for field in detection if field.endswith("_output"))
    output: dict[str, Any] = detection[name]
    if "keypoints" in output:
        points = keypoints(name, output, case.tensors, LABELS, image, row.region, size, None)
        return [_short(number) for number in points.ravel()]
    one = next(one for one in found if (one.region, one.label) == (row.region, row.label))
    if one.rectangle is not None:
        placed = [place_point(x, y, size, None) for x, y in corners(one.rectangle)]
        return [_short(number) for point in placed for number in point]
    if "prototypes_tensor" in output:
        numbers = coefficients(name, output, case.tensors, LABELS, image, row.region)
        prototypes = case.tensors[output["prototypes_tensor"]][image]
        values = sums_at(numbers, prototypes, IDENTITY, MASK_SIDE, MASK_SIDE)
        return [_mask(values, inside_box(row.box, MASK_SIDE, MASK_SIDE))]
    if "masks_tensor" in output:
        mask = case.tensors[output["masks_tensor"]][image, row.region, row.label]
        sides = [
            unclipped(side, axis, size, None) for side, axis in zip(one.corners, (0, 1) * 2, strict=True)
        ]
        return [_mask(*pasted_at(mask, [side * MASK_SIDE for side in sides], MASK_SIDE, MASK_SIDE))]
    return []


def _mask(values: NDArray[np.float64], inside: NDArray[np.bool_]) -> str:
    assert abs(values[inside]).min(initial=1) > 1e-5, "rounding could decide a pixel"
    return np.packbits((values > 0) & inside).tobytes().hex()


if __name__ == "__main__":
    lines = [
        f'"{case.name}": [\n' + ",\n".join(json.dumps(rows) for rows in answer(case)) + "]"
        for case in all_cases()
    ]
    PATH.write_text("{\n" + ",\n".join(lines) + "\n}\n", "utf-8")
