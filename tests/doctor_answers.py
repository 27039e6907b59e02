"""Writes the answers that ``postproc doctor`` compares compiled kernels with: those of the slow reference.

``python -m tests.doctor_answers`` does so. A row is a list: label, score, region, predicted, the box's
corners, and for some kinds a keypoint's or corner's numbers each, or a mask as hexadecimal bits.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from postproc.doctor import cases
from postproc.doctor.cases import ANSWERS, LABELS, MASK_SIDE, Case, all_cases
from tests import reference
from tests.reference.masks import inside_box, sums_at
from tests.reference.pipeline import Row
from tests.reference.points import keypoints, place_point
from tests.reference.rectangles import corners

PATH = Path(cases.__file__).with_name(ANSWERS)
IDENTITY = ((1.0, 0.0), (1.0, 0.0))


def answer(case: Case) -> list[list[list[Any]]]:
    """Compute the rows of every image of a case."""
    (images,) = reference.run(case.spec, case.version, case.tensors, **case.options)
    (found,) = reference.hypotheses(case.spec, case.version, case.tensors)
    return [
        [_numbers(row) + _extras(case, image, row, found[image]) for row in rows]
        for image, rows in enumerate(images)
    ]


def _numbers(row: Row) -> list[Any]:
    box = [] if row.box is None else [_short(side) for side in row.box]
    return [row.label, _short(row.score), row.region, row.predicted, *box]


def _short(number: Any) -> float:
    return float(f"{float(number):.7g}")


def _extras(case: Case, image: int, row: Row, found: list[Any]) -> list[Any]:
    detection = case.task.get("detection", {})
    size = detection.get("input_size")
    kind = next((field for field in detection if field.endswith("_output")), "")
    if "keypoints" in detection.get(kind, {}):
        points = keypoints(kind, detection[kind], case.tensors, LABELS, image, row.region, size, None)
        return [_short(number) for number in points.ravel()]
    if "yolov8_obb_output" in detection:
        (rectangle,) = {one.rectangle for one in found if one.region == row.region}
        placed = [place_point(x, y, size, None) for x, y in corners(rectangle)]
        return [_short(number) for point in placed for number in point]
    if "yolov8_seg_output" in detection:
        assert row.box is not None
        line = case.tensors["table"][image, 4 + LABELS :, row.region]
        sums = sums_at(line, case.tensors["masks"][image], IDENTITY, MASK_SIDE, MASK_SIDE)
        inside = inside_box(row.box, MASK_SIDE, MASK_SIDE)
        assert abs(sums[inside]).min(initial=1) > 1e-5, "rounding could decide a pixel"
        return [np.packbits((sums > 0) & inside).tobytes().hex()]
    return []


if __name__ == "__main__":
    lines = [
        f'"{case.name}": [\n' + ",\n".join(json.dumps(rows) for rows in answer(case)) + "]"
        for case in all_cases()
    ]
    PATH.write_text("{\n" + ",\n".join(lines) + "\n}\n", "utf-8")
