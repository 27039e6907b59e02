"""Measure a recognition version on a data set, and choose its thresholds from data."""

from __future__ import annotations

from postproc.evaluation.classification import ClassificationEvaluation, evaluate_classifications
from postproc.evaluation.collecting import Collected, collect, measuring_documents
from postproc.evaluation.detection import DetectionEvaluation, Found, evaluate_detections
from postproc.evaluation.ground_truth import GroundTruth, TruthBatch
from postproc.evaluation.matches import Matches, match

__all__ = [
    "ClassificationEvaluation",
    "Collected",
    "DetectionEvaluation",
    "Found",
    "GroundTruth",
    "Matches",
    "TruthBatch",
    "collect",
    "evaluate_classifications",
    "evaluate_detections",
    "match",
    "measuring_documents",
]
