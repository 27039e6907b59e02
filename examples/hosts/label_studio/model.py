"""A backend for Label Studio: rectangles around digits, as pre-annotations of its tasks.

The project's labelling interface has an Image and RectangleLabels; labels that it lacks are left out.

Needs: pip install "postproc[cpu,demo]" gunicorn and, since it is not on PyPI,
       pip install git+https://github.com/HumanSignal/label-studio-ml-backend.git
Start: cd examples/hosts/label_studio && gunicorn --bind :9090 --workers 2 model:app
       with LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY, by which it fetches images that were uploaded there
"""

from __future__ import annotations

import logging
from typing import Any

from label_studio_ml.api import init_app
from label_studio_ml.model import LabelStudioMLBase
from PIL import Image

from postproc import ImageError, PostProcessor
from postproc.demo import model_path, preprocessing_path, spec_path, version_path
from postproc.images import Preprocessor, load_image
from postproc.onnx_runner import OnnxRunner

logger = logging.getLogger(__name__)
PREPARE = Preprocessor(preprocessing_path("yolo"))
RUNNER = OnnxRunner(model_path("yolo"), PostProcessor(spec_path("yolo"), version_path("yolo")))


class Digits(LabelStudioMLBase):  # type: ignore[misc] # has no types
    """Made anew for each request; what is shared stands above."""

    def setup(self) -> None:
        """Name the version that predictions are shown and compared by."""
        self.set("model_version", "digits-yolo")

    def predict(self, tasks: list[dict[str, Any]], context: Any = None, **_: Any) -> list[dict[str, Any]]:
        """Return a prediction a task; of an image that cannot be fetched or read, an empty one."""
        control, picture, key = self.label_interface.get_first_tag_occurence("RectangleLabels", "Image")
        known = set(self.label_interface.get_control(control).labels)
        predictions = []
        for task in tasks:
            regions: list[dict[str, Any]] = []
            try:
                image = load_image(self.get_local_path(task["data"][key], task_id=task.get("id")))
                regions = [
                    {"from_name": control, "to_name": picture, "type": "rectanglelabels", **region}
                    for region in find(image, known)
                ]
            except (ImageError, OSError) as error:  # of what cannot be fetched, too
                logger.error("task %s: %s", task.get("id"), error)
            score = min((region["score"] for region in regions), default=0.0)  # those to look at first
            version = self.get("model_version")
            predictions.append({"result": regions, "score": score, "model_version": version})
        return predictions


def find(image: Image.Image, known: set[str]) -> list[dict[str, Any]]:
    """Return the digits of an image whose labels are known, in percent of its sides."""
    prepared = PREPARE([image])
    (found,) = RUNNER(prepared.tensors, transforms=prepared.transforms).outputs
    regions = []
    for name, score, box in zip(found.label_names, found.scores.tolist(), found.boxes, strict=True):
        x1, y1, x2, y2 = (100.0 * box).tolist()
        value = {"rectanglelabels": [name], "x": x1, "y": y1, "width": x2 - x1, "height": y2 - y1}
        if name in known:
            regions.append({"value": value | {"rotation": 0}, "score": score,
                            "original_width": image.width, "original_height": image.height})  # fmt: skip
    return regions


RUNNER.warmup()  # in each worker, before its first request
app = init_app(Digits)
