"""Measure a recognition version on a data set, and choose its thresholds from data."""

from __future__ import annotations

from postproc.evaluation.calibration import Calibration, Settings, calibrate, with_thresholds
from postproc.evaluation.choosing import Objective
from postproc.evaluation.classification import ClassificationEvaluation, evaluate_classifications
from postproc.evaluation.collecting import Collected, collect
from postproc.evaluation.detection import DetectionEvaluation, Found, evaluate_detections
from postproc.evaluation.gathering import gather
from postproc.evaluation.ground_truth import GroundTruth, TruthBatch
from postproc.evaluation.matches import Matches, match
from postproc.evaluation.measuring import MeasuringPostProcessor
from postproc.evaluation.one_pass import OnePass
from postproc.evaluation.validation import Validation

__all__ = [
    "Calibration",
    "ClassificationEvaluation",
    "Collected",
    "DetectionEvaluation",
    "Found",
    "GroundTruth",
    "Matches",
    "MeasuringPostProcessor",
    "Objective",
    "OnePass",
    "Settings",
    "TruthBatch",
    "Validation",
    "calibrate",
    "collect",
    "evaluate_classifications",
    "evaluate_detections",
    "gather",
    "match",
    "with_thresholds",
]
