"""Thresholds by hand, in Gradio: an image in, a picture and a table out, and a slider for each label.

The network runs once an image; a slider only decides anew about the tensors that are there.

Needs: pip install "postproc[cpu,demo]" gradio
Start: python examples/hosts/gradio/app.py
"""

from __future__ import annotations

from typing import Any

import gradio as gr

from postproc import PostprocError, PostProcessor
from postproc.demo import model_path, preprocessing_path, spec_path, version_path
from postproc.images import Preprocessor
from postproc.images.drawing import draw_outputs
from postproc.onnx_runner import OnnxRunner

PREPARE = Preprocessor(preprocessing_path("yolo"))
POST = PostProcessor(spec_path("yolo"), version_path("yolo"))
RUNNER = OnnxRunner(model_path("yolo"), POST)
NAMES = [label.name for label in POST.spec.outputs[0].labels.labels]
DECISION = POST.version.post_processings[0].detection
COLUMNS = ["label", "score", "xmin", "ymin", "xmax", "ymax"]


def look(image: Any) -> Any:
    """Run the network; return what the sliders need of it."""
    if image is None:
        return None
    try:
        prepared = PREPARE([image])
    except PostprocError as error:
        raise gr.Error(str(error)) from error
    return image, RUNNER.network(prepared.tensors, POST.tensor_names), prepared.transforms


def decide(seen: Any, nms_threshold: float, *thresholds: float) -> tuple[Any, list[list[Any]]]:
    """Return the picture and the rows of what is above these thresholds."""
    if seen is None:
        return None, []
    image, tensors, transforms = seen
    post = POST.replace(thresholds=thresholds, nms_threshold=nms_threshold)
    found = post(tensors, transforms=transforms).outputs[0][0]
    boxes = found.to_pixels(image.shape[:2], rounded=True).tolist()
    rows = zip(found.label_names, found.scores.tolist(), boxes, strict=True)
    return draw_outputs(image, [found]), [[name, round(score, 3), *box] for name, score, box in rows]


with gr.Blocks(title="Digits") as app:
    seen = gr.State()
    with gr.Row():
        image = gr.Image(label="Image")
        picture = gr.Image(label="Found", interactive=False)
    with gr.Row():
        with gr.Column():
            sliders = [gr.Slider(0, 1, DECISION.nms_threshold, label="nms_threshold")]
            for name, threshold in zip(NAMES, DECISION.thresholds, strict=True):
                sliders.append(gr.Slider(0, 1, threshold, label=f"threshold of {name}"))
        table = gr.Dataframe(headers=COLUMNS, interactive=False)
    image.change(look, image, seen).then(decide, [seen, *sliders], [picture, table])
    moved = [slider.change for slider in sliders]
    gr.on(moved, decide, [seen, *sliders], [picture, table], trigger_mode="always_last")

if __name__ == "__main__":
    RUNNER.warmup()
    app.launch()
