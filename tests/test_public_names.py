"""What users import stays where it is, whatever the tree behind it looks like."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

import postproc

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PUBLIC = {
    "postproc": """
        AnchoredOutput Classification Classifications Detection Detections DirectOutput DistanceOutput
        EndToEndOutput ImageError ImageTransform KeypointDetections OrientedDetections PostProcessing
        PostProcessor PostprocError Preprocessing RecognitionSpec RecognitionVersion Recognitions RunnerError
        SchemaError SegmentedDetections SsdOutput StandardOutput TensorError YoloOutput Yolov3Output
        Yolov5Output Yolov8ObbOutput Yolov8Output Yolov8PoseOutput Yolov8SegOutput YoloxOutput
    """,
    "postproc.doctor": "Finding Report Section Status examine",
    "postproc.evaluation": """
        CalibratedVersion Calibration ClassificationEvaluation Collected Comparison DetectionEvaluation
        Difference Found GroundTruth ImagesThroughNetwork Matches MeasuringPostProcessor Objective OnePass
        PredictionSource SavedTensors Settings TruthBatch Validation calibrate choose_thresholds collect
        compare evaluate evaluate_classifications evaluate_detections gather match with_thresholds
    """,
    "postproc.exports": "FORMATS open_writer",
    "postproc.fusing": "FuseOptions append to_onnx unsupported",
    "postproc.images": "ImageSource PreparedBatch Preprocessor default_preprocessing load_image",
    "postproc.inspection": "Certainty Graph Inspection LabelNames Proposal Reading Tensor inspect_model",
    "postproc.onnx_runner": "DevicePostProcessor OnnxRunner",
    "postproc.ops": "batched_nms box_area box_convert box_iou clip_boxes nms oriented_box_iou",
    "postproc.schema": """
        AnchoredOutput Classification ConstantInput Detection DetectionOutput DirectOutput DistanceOutput
        EndToEndOutput ImageInput Label Labels PostProcessing Preprocessing PreprocessingInput RecognitionSpec
        RecognitionVersion SpecOutput SsdOutput StandardOutput YoloOutput Yolov3Output Yolov5Output
        Yolov8ObbOutput Yolov8Output Yolov8PoseOutput Yolov8SegOutput YoloxOutput check_pair
    """,
    "postproc.transforms": "ImageTransform Size",
}
# What pages import besides.
IN_PAGES = {
    "postproc.spreading.cluster": "RayCluster connected",
    "postproc.images.drawing": "draw_outputs",
}


@pytest.mark.parametrize("path", [*PUBLIC, *IN_PAGES])
def test_public_names_are_imported_from_their_path(path: str) -> None:
    try:
        module = importlib.import_module(path)
    except ImportError as error:
        if error.name is not None:  # our own, which say what extra is missing, name no module
            raise
        pytest.skip(str(error))
    missing = [name for name in {**PUBLIC, **IN_PAGES}[path].split() if not hasattr(module, name)]
    assert missing == []


def test_the_package_tells_its_public_names() -> None:
    assert set(PUBLIC["postproc"].split()) <= set(postproc.__all__)
    assert [name for name in postproc.__all__ if not hasattr(postproc, name)] == []


def test_every_name_that_a_page_imports_is_a_public_one() -> None:
    listed = {(path, name) for path, names in {**PUBLIC, **IN_PAGES}.items() for name in names.split()}
    listed |= {tuple(path.rsplit(".", 1)) for path in PUBLIC if "." in path}  # modules
    for page in PAGES:
        found = re.findall(r"^ *from (postproc[.\w]*) import (.+)$", page.read_text("utf-8"), re.MULTILINE)
        for path, names in found:
            told = {(path, name) for name in getattr(importlib.import_module(path), "__all__", ())}
            assert {(path, name) for name in names.split(", ")} <= listed | told, page.name
