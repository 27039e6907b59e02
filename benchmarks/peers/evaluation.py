"""COCO's numbers of boxes, from arrays of detections and a ground truth that each has read before."""

from __future__ import annotations

import contextlib
import importlib
import io
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.contest import OURS, Columns, Peer
from benchmarks.data.evaluation import HEIGHT, LABELS, WIDTH, EvaluationCase
from postproc.evaluation.coco_curves import coco_curves
from postproc.evaluation.similarity import of_boxes

Run = Callable[[], Any]


def ours(case: EvaluationCase) -> Run:
    def run() -> dict[str, Any]:
        similarity = of_boxes(case.boxes, case.truth_boxes, case.truth.crowd)
        curves = coco_curves(case.found, case.truth, similarity, images=case.images, labels=LABELS)
        return {name: getattr(curves, name) for name in ("precision", "recall", "scores")}

    return run


def _described(case: EvaluationCase) -> dict[str, Any]:
    truth = case.truth
    columns = (truth.images + 1, truth.labels + 1, case.truth_boxes, truth.areas, truth.crowd.astype(int))
    names = ("image_id", "category_id", "bbox", "area", "iscrowd")
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return {
        "info": {},
        "images": [{"id": image + 1, "width": WIDTH, "height": HEIGHT} for image in range(case.images)],
        "categories": [{"id": label + 1, "name": str(label)} for label in range(LABELS)],
        "annotations": [
            {"id": row, **dict(zip(names, values, strict=True))} for row, values in enumerate(rows, start=1)
        ],
    }


def _peer(
    module: str, class_name: str = "COCOeval", load: str = "loadRes"
) -> Callable[[EvaluationCase], Run]:
    def setup(case: EvaluationCase) -> Run:
        package = importlib.import_module(module)
        with contextlib.redirect_stdout(io.StringIO()):
            if module == "pycocotools":
                from pycocotools.coco import COCO
                from pycocotools.cocoeval import COCOeval

                truth, evaluator = COCO(), COCOeval
                truth.dataset = _described(case)
                truth.createIndex()
            else:
                truth, evaluator = package.COCO(_described(case)), getattr(package, class_name)
        found = case.found
        rows = np.column_stack([found.images + 1, case.boxes, found.scores.astype(float), found.labels + 1])

        def run() -> Any:
            with contextlib.redirect_stdout(io.StringIO()):
                evaluation = evaluator(truth, getattr(truth, load)(rows), "bbox")
                evaluation.evaluate()
                evaluation.accumulate()
            return evaluation.eval

        return run

    return setup


def _curves(case: EvaluationCase, found: Any) -> Columns:
    """All curves; faster-coco-eval's differ from pycocotools' in their last bits, those of others do not."""
    return (np.concatenate([np.ravel(found[name]) for name in ("precision", "recall", "scores")]),)


EVALUATION = {
    OURS: Peer(ours, _curves),
    "hotcoco": Peer(_peer("hotcoco", load="load_res"), _curves, ("hotcoco",)),
    "ultrafast-pycocotools": Peer(_peer("ultrafast_pycocotools"), _curves, ("ultrafast_pycocotools",)),
    "faster-coco-eval": Peer(_peer("faster_coco_eval", "COCOeval_faster"), _curves, ("faster_coco_eval",)),
    "pycocotools": Peer(_peer("pycocotools"), _curves, ("pycocotools",)),
}
