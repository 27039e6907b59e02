"""An auto-annotation function of CVAT: it draws a rectangle around each digit of a task's images.

CVAT matches the labels of `spec` with those of the task by name. A threshold of its own, where one is given,
takes the place of the version's.

Needs: pip install "postproc[cpu,demo]" cvat-cli
Start: cvat-cli --server-host URL task auto-annotate TASK --function-file examples/hosts/cvat/function.py
       with --conf-threshold 0.3, or --allow-unmatched-labels where the task has fewer labels
"""

from __future__ import annotations

import cvat_sdk.auto_annotation as cvataa
import PIL.Image
from cvat_sdk import models

from postproc import PostProcessor
from postproc.demo import model_path, preprocessing_path, spec_path, version_path
from postproc.images import Preprocessor
from postproc.onnx_runner import OnnxRunner

PREPARE = Preprocessor(preprocessing_path("yolo"))
POST = PostProcessor(spec_path("yolo"), version_path("yolo"))
RUNNER = OnnxRunner(model_path("yolo"), POST)
LABELS = POST.spec.outputs[0].labels.labels

spec = cvataa.DetectionFunctionSpec(
    labels=[cvataa.label_spec(label.name, label.id, type="rectangle") for label in LABELS]
)


def detect(
    context: cvataa.DetectionFunctionContext, image: PIL.Image.Image
) -> list[models.LabeledShapeRequest]:
    """Return the rectangles of an image, in its pixels."""
    post = POST
    if context.conf_threshold is not None:
        post = POST.replace(thresholds=[context.conf_threshold] * len(LABELS))
    prepared = PREPARE([image])
    tensors = RUNNER.network(prepared.tensors, post.tensor_names)
    (found,) = post(tensors, transforms=prepared.transforms).outputs
    boxes = found.to_pixels((image.height, image.width)).tolist()
    rows = zip(found.label_ids.tolist(), boxes, found.scores.tolist(), strict=True)
    return [cvataa.rectangle(label, box, score=score) for label, box, score in rows]
