"""Examples of bodies in the OpenAPI document: they fit each other, and a network of the demo."""

from __future__ import annotations

from typing import Any

from postproc import demo
from postproc.schema import Preprocessing, RecognitionSpec, RecognitionVersion

MODEL = "yolo"  # of the demo

# A grey image of 8 x 8 pixels, as PNG.
IMAGE = "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAAAAADhZOFXAAAADklEQVR42mNogAIGyhgAgIQgARDoahcAAAAASUVORK5CYII="


def body_examples() -> dict[str, dict[str, Any]]:
    """Return an example for each schema of a body, without files.

    The ids are those of the first objects that a service makes.
    """
    spec = RecognitionSpec.load(demo.spec_path(MODEL)).dump()
    version = RecognitionVersion.load(demo.version_path(MODEL)).dump()
    preprocessing = Preprocessing.load(demo.preprocessing_path(MODEL)).dump()
    return {
        "NetworkUpload": {"name": "digits", "framework": "onnx", "preprocessing": preprocessing},
        "NetworkChanges": {"description": "Trained on scans.", "metadata": {"owner": "team-a"}},
        "RecognitionSpec": {
            "name": spec["name"],
            "description": "Digits that were written by hand.",
            "outputs": spec["outputs"],
        },
        "SpecChanges": {"description": "Ten digits.", "metadata": {"owner": "team-a"}},
        "NewVersion": {
            "spec_id": 1,
            "network_id": 1,
            "post_processings": version["post_processings"],
        },
        "InferenceRequest": {
            "inputs": [{"image": {"source": IMAGE}}],
            "show_discarded": False,
            "max_predictions": 10,
        },
    }
