"""What postproc answers to each operation: the adapter of this library."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from postproc import ops
from tests.conformance.cases import Case

Answer = dict[str, Any]


def answer(case: Case) -> Answer:
    """Answer a case, with the names of its ``expected``."""
    return OPERATIONS[case.operation](case)


def _nms(case: Case) -> Answer:
    return {"kept": ops.nms(case.inputs["boxes"], case.inputs["scores"], case.parameters["iou_threshold"])}


def _batched_nms(case: Case) -> Answer:
    tensors = (case.inputs[name] for name in ("boxes", "scores", "labels"))
    return {"kept": ops.batched_nms(*tensors, case.parameters["iou_threshold"])}


OPERATIONS: dict[str, Callable[[Case], Answer]] = {
    "nms": _nms,
    "batched_nms": _batched_nms,
}
