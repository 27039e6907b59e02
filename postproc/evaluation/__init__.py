"""Measure a recognition version on a data set, and choose its thresholds from data."""

from __future__ import annotations

from postproc.evaluation.base import Evaluation
from postproc.evaluation.calibrated_version import CalibratedVersion, calibrate
from postproc.evaluation.calibration import Calibration, Settings, choose_thresholds, with_thresholds
from postproc.evaluation.classification import ClassificationEvaluation, evaluate_classifications
from postproc.evaluation.collected import Collected, collect
from postproc.evaluation.comparison import Comparison, Difference, compare
from postproc.evaluation.counts import ConfusionCounts
from postproc.evaluation.detection import DetectionEvaluation, evaluate_detections
from postproc.evaluation.evaluating import evaluate
from postproc.evaluation.ground_truth import GroundTruth, TruthBatch
from postproc.evaluation.matches import Matches, match
from postproc.evaluation.measuring_post_processor import MeasuringPostProcessor
from postproc.evaluation.one_pass import OnePass
from postproc.evaluation.pass_matches import gather
from postproc.evaluation.predictions import ImagesThroughNetwork, PredictionSource, SavedTensors
from postproc.evaluation.threshold_choice import Objective
from postproc.evaluation.validation import Validation

Found = ConfusionCounts  # its older name

__all__ = [
    "CalibratedVersion",
    "Calibration",
    "ClassificationEvaluation",
    "Collected",
    "Comparison",
    "ConfusionCounts",
    "DetectionEvaluation",
    "Difference",
    "Evaluation",
    "Found",
    "GroundTruth",
    "ImagesThroughNetwork",
    "Matches",
    "MeasuringPostProcessor",
    "Objective",
    "OnePass",
    "PredictionSource",
    "SavedTensors",
    "Settings",
    "TruthBatch",
    "Validation",
    "calibrate",
    "choose_thresholds",
    "collect",
    "compare",
    "evaluate",
    "evaluate_classifications",
    "evaluate_detections",
    "gather",
    "match",
    "with_thresholds",
]
