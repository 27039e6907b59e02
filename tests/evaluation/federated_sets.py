"""Random ground truths that are annotated in part, with detections, as arrays and for lvis-api."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from postproc.evaluation.coco_curves import CocoCurves, coco_curves
from postproc.evaluation.federation import Federation, federated, lvis_numbers
from tests.evaluation.random_sets import LABELS, SIDE, RandomSet, random_set

_UNKNOWN = 99  # a category that the ground truth lacks


@dataclass(frozen=True, eq=False)
class FederatedSet:
    case: RandomSet
    federation: Federation
    limit: int

    def curves(self) -> CocoCurves:
        found, truth = federated(self.case.found, self.case.truth, self.federation, self.limit)
        return coco_curves(
            found,
            truth,
            self.case.similarity(),
            images=len(self.case.ids),
            labels=LABELS,
            limits=[self.limit],
        )

    def numbers(self) -> dict[str, float | None]:
        return lvis_numbers(self.curves(), self.federation)

    def by_lvis(self) -> Any:
        """Evaluate by lvis-api; None without a detection, which it does not take."""
        from lvis.eval import LVISEval
        from lvis.lvis import LVIS
        from lvis.results import LVISResults

        case, results = self.case, self._results()
        if not results:
            return None
        truth = LVIS.__new__(LVIS)  # it reads files alone
        truth.logger = logging.getLogger("lvis")
        truth.dataset = {
            "images": [self._image(row) for row in range(len(case.ids))],
            "categories": [
                {"id": row + 1, "name": "x", "frequency": which}
                for row, which in enumerate(self.federation.frequencies)
            ],
            "annotations": [
                {**case._annotation(row), "ignore": int(case.truth.ignored[row])}
                for row in range(len(case.truth))
            ],
        }
        truth._create_index()
        evaluation = LVISEval(truth, LVISResults(truth, results, max_dets=self.limit), case.kind)
        evaluation.params.max_dets = self.limit
        evaluation.run()
        return evaluation

    def _image(self, row: int) -> dict[str, Any]:
        tables = (self.federation.absent, self.federation.not_exhaustive)
        absent, not_exhaustive = ((np.flatnonzero(table[row]) + 1).tolist() for table in tables)
        return {
            "id": int(self.case.ids[row]),
            "height": SIDE,
            "width": SIDE,
            "neg_category_ids": absent,
            "not_exhaustive_category_ids": not_exhaustive,
        }

    def _results(self) -> list[dict[str, Any]]:
        found = self.case.found
        results = [self.case._result(row) for row in np.flatnonzero(found.images >= 0)]
        for result in results:
            result["category_id"] = result["category_id"] or _UNKNOWN
        return results


def federated_set(kind: str, seed: int) -> FederatedSet:
    """Make a set whose images lack some labels, have others in part, and are silent about the rest.

    There are ignored objects and no crowds, of which LVIS knows none.
    """
    rng = np.random.default_rng(seed + 1000)
    case = random_set(kind, seed)
    objects, images = len(case.truth), len(case.ids)
    truth = replace(case.truth, crowd=np.zeros(objects, np.bool_), ignored=rng.random(objects) < 0.1)
    present = np.zeros((images, LABELS), np.bool_)
    present[truth.images, truth.labels] = True
    federation = Federation(
        ~present & (rng.random((images, LABELS)) < 0.4),
        rng.random((images, LABELS)) < 0.3,
        tuple(rng.choice(["r", "c", "f"], LABELS).tolist()),
    )
    return FederatedSet(replace(case, truth=truth), federation, (300, 25, 7)[seed % 3])


def slow_curve(
    case: FederatedSet, label: int, threshold: float, area: tuple[float, float], recalls: NDArray[Any]
) -> tuple[list[float], float]:
    """Precision at recalls, and recall, of boxes: once more from the definition, one detection at a time."""
    found, truth, federation = case.case.found, case.case.truth, case.federation
    objects = [row for row in range(len(truth)) if truth.labels[row] == label and truth.areas[row] > 0]
    needless = {
        row for row in objects if truth.ignored[row] or not area[0] <= truth.areas[row] <= area[1]
    }  # fmt: skip
    if len(needless) == len(objects):
        return [-1.0] * len(recalls), -1.0
    ranked: list[int] = []
    for image in range(len(case.case.ids)):
        rows = [row for row in range(len(found)) if found.images[row] == image]
        rows = sorted(rows, key=lambda row: -found.scores[row])[: case.limit]
        is_known = federation.absent[image, label] or any(truth.images[row] == image for row in objects)
        ranked += [row for row in rows if is_known and found.labels[row] == label and found.areas[row] > 0]
    ranked.sort(key=lambda row: -found.scores[row])
    free, hits = set(objects), []
    for row in ranked:
        best = None
        for group in (free - needless, free & needless):
            alike = [(_overlap(case.case, row, other), other) for other in group
                     if truth.images[other] == found.images[row]]  # fmt: skip
            best = max((pair for pair in alike if pair[0] >= threshold), default=None)
            if best is not None:
                break
        if best is not None:
            free.remove(best[1])
            if best[1] not in needless:
                hits.append(True)
        elif (
            area[0] <= found.areas[row] <= area[1]
            and not federation.not_exhaustive[found.images[row], label]
        ):  # fmt: skip
            hits.append(False)
    count = len(objects) - len(needless)
    true = np.cumsum(hits, dtype=float) if hits else np.empty(0)
    precision = true / (np.arange(1, len(hits) + 1) + np.spacing(1))
    curve = [float(np.max(precision[true / count >= recall], initial=0)) for recall in recalls]
    return curve, sum(hits) / count


def _overlap(case: RandomSet, row: int, other: int) -> float:
    one, two = case.boxes[row].tolist(), case.truth_boxes[other].tolist()
    sides = [
        max(0.0, min(one[axis + 2] + one[axis], two[axis + 2] + two[axis]) - max(one[axis], two[axis]))
        for axis in (0, 1)
    ]
    shared = sides[0] * sides[1]
    return shared / (one[2] * one[3] + two[2] * two[3] - shared) if shared else 0.0
