"""What a `detection` document decides, for decoder, stage and kernel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from postproc.kernels.heads.arguments import (
    ClassAgnostic,
    Discard,
    IouThresholds,
    MultiLabel,
    Rule,
    Thresholds,
)
from postproc.results.labels import LabelTable
from postproc.schema import Detection

_NOT_WANTED = Discard(np.float32(np.inf))  # no score exceeds it


class Decision(NamedTuple):
    """What a `detection` document decides. A tuple, since one is made at every `replace`; never compared.

    Parameters
    ----------
    table : LabelTable
        Labels and their thresholds, as results refer to them.
    rule : Rule
        Which candidates become detections, discarded ones too.
    predicted_rule : Rule
        The same without discarded ones.
    nms_method : {"hard", "soft", "weighted"}
    soft_sigma : float
    probiou, fast : bool
        How oriented boxes are compared and suppressed, if not by their exact index and greedily.
    """

    table: LabelTable
    rule: Rule
    predicted_rule: Rule
    nms_method: Literal["hard", "soft", "weighted"]
    soft_sigma: float
    probiou: bool
    fast: bool

    @classmethod
    def of(cls, task: Detection, table: LabelTable, nms_thresholds: tuple[float, ...]) -> Decision:
        """Read it from a document."""
        rule = Rule(
            thresholds=_thresholds(table),
            multi_label=MultiLabel(task.multi_label),
            discard=Discard(np.float32(task.discard_threshold)),
            iou_thresholds=IouThresholds(np.array(nms_thresholds, np.float32)),
            class_agnostic=ClassAgnostic(task.class_agnostic),
        )
        return cls(
            table=table,
            rule=rule,
            predicted_rule=rule._replace(discard=_NOT_WANTED),
            nms_method=task.nms_method,
            soft_sigma=float(task.soft_sigma),
            probiou=task.iou == "probiou",
            fast=task.suppression == "fast",
        )

    @property
    def ids(self) -> NDArray[np.int64]:
        """Label ids (L,), in the order of the spec."""
        return self.table.ids

    @property
    def thresholds(self) -> Thresholds:
        """Thresholds (L,) float32 of the labels."""
        return self.rule.thresholds

    def replaced(self, fields: Mapping[str, Any]) -> Decision:
        """Return it with other values of its document's thresholds, which are right, by field."""
        thresholds, multi_label, discard, iou_thresholds, class_agnostic = self.rule
        table = self.table.replaced(fields.get("thresholds"))
        if table is not self.table:
            thresholds = _thresholds(table)
        for name in ("nms_threshold", "nms_thresholds"):
            if (value := fields.get(name)) is not None:
                iou_thresholds = IouThresholds(np.empty_like(iou_thresholds))
                iou_thresholds[:] = value
        if (value := fields.get("discard_threshold")) is not None:
            discard = Discard(np.float32(value))
        rule = Rule(thresholds, multi_label, discard, iou_thresholds, class_agnostic)
        predicted_rule = Rule(thresholds, multi_label, _NOT_WANTED, iou_thresholds, class_agnostic)
        return Decision(
            table, rule, predicted_rule, self.nms_method, self.soft_sigma, self.probiou, self.fast
        )


def _thresholds(table: LabelTable) -> Thresholds:
    return Thresholds(np.array(table.thresholds, np.float32))
