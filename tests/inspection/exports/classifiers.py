"""Classifiers, and vectors that look like a classifier's scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tests.inspection.exports.building import Builder, Shape, Value
from tests.inspection.exports.cases import Case, Reads, Refused, Undecided
from tests.inspection.exports.queries import SEVEN, config

IMAGE: Shape = (1, 3, 224, 224)
KERAS: Shape = ("unk__12", 224, 224, 3)


def activated(logits: Value, ending: str) -> Value:
    """The end of a classifier; unit norm is an embedding's."""
    if ending == "norm":
        return logits / logits.op("ReduceL2", axes=[1], keepdims=1)
    return logits.op(ending, **({"axis": -1} if "Softmax" in ending else {})) if ending else logits


def vectors(
    outputs: dict[str, tuple[int, str]],
    image: Shape = IMAGE,
    declared: Shape | None = None,
    trailing: Sequence[int] = (),
    bias: Any = 0.0,
    **options: Any,
) -> bytes:
    """A vector for each output: its length, and what ends it."""
    graph = Builder(image, **options)
    pooled = graph.pooled()
    for name, (count, ending) in outputs.items():
        value = activated(pooled.gemm(count, gain=6.0, bias=bias), ending)
        shape = (image[0], count, *trailing)
        if trailing:
            value = value.reshape(0, count, *trailing)
        graph.output(name, value, declared or shape)
    return graph.model()


def logits(count: int, output: str = "output", **options: Any) -> bytes:
    return vectors({output: (count, "")}, **options)


SOFTMAX = Reads("classification", {"score_activation": "softmax"}, 7)
NONE = SOFTMAX.but(fields={"score_activation": "none"})
OPTIMUM: Shape = ("batch_size", "num_channels", "height", "width")

CASES = (
    Case("timm: 1000 labels", lambda: logits(1000, "output0"), SOFTMAX.but(labels=1000)),
    Case(
        "torchvision: 1000 labels, dynamic batch",
        lambda: logits(1000, image=("batch_size", 3, 224, 224)),
        SOFTMAX.but(labels=1000),
    ),
    Case("timm: 7 logits without names", lambda: logits(7, "output0"), Undecided(SOFTMAX)),
    Case(
        "timm: 107 logits without names",
        lambda: logits(107, opset=20, ir=10),
        Undecided(SOFTMAX.but(labels=107)),
    ),
    Case(
        "7 logits with names in the metadata",
        lambda: logits(7, metadata={"class_names": str(list(SEVEN))}),
        Undecided(SOFTMAX.but(labels=SEVEN)),
    ),
    Case(
        "transformers: vit, config.json",
        lambda: logits(7, "logits", image=OPTIMUM, name="pixel_values"),
        SOFTMAX.but(labels=SEVEN),
        {
            "config.json": {
                **config(SEVEN, "ViTForImageClassification", "vit")["config.json"],
                "problem_type": "single_label_classification",
            }
        },
    ),
    Case(
        "transformers: several labels at once, config.json",
        lambda: logits(7, "logits", image=OPTIMUM, name="pixel_values", bias=-3.0),
        SOFTMAX.but(labels=SEVEN, fields={"score_activation": "sigmoid"}),
        {
            "config.json": {
                **config(SEVEN, "SwinForImageClassification", "swin")["config.json"],
                "problem_type": "multi_label_classification",
            }
        },
    ),
    Case(
        "yolov5-cls",
        lambda: logits(7, "output0", metadata={"stride": "32", "names": str(dict(enumerate(SEVEN)))}),
        SOFTMAX.but(labels=SEVEN),
    ),
    Case("probabilities of 7 labels", lambda: vectors({"probs": (7, "Softmax")}), NONE),
    Case(
        "keras: 5 labels, channels last",
        lambda: vectors({"dense": (5, "Softmax")}, KERAS, name="input_1", producer="tf2onnx"),
        NONE.but(labels=5, image={"dimension_order": "NHWC"}),
    ),
    Case(
        "keras: 5 labels, bytes",
        lambda: vectors({"dense": (5, "Softmax")}, KERAS, dtype=np.uint8, name="input_1", producer="tf2onnx"),
        NONE.but(labels=5, image={"dimension_order": "NHWC", "data_type": "UINT8", "pixel_scaling": 255}),
    ),
    Case(
        "logarithms of 5 probabilities",
        lambda: vectors({"output": (5, "LogSoftmax")}),
        SOFTMAX.but(labels=5),
    ),
    Case("tagger of 40 labels", lambda: vectors({"tags": (40, "Sigmoid")}, bias=-2.0), NONE.but(labels=40)),
    Case(
        "squeezenet: axes of size 1",
        lambda: vectors({"softmaxout_1": (1000, "Softmax")}, trailing=(1, 1), name="data_0"),
        NONE.but(labels=1000),
    ),
    Case(
        "one probability, cat or dog",
        lambda: vectors({"dense_1": (1, "Sigmoid")}, KERAS, name="input_1", producer="tf2onnx"),
        NONE.but(labels=1),
    ),
    Case(
        "age and gender: two softmaxes",
        lambda: vectors({"age": (8, "Softmax"), "gender": (2, "Softmax")}),
        NONE.but(labels=8),
    ),
    Case(
        "insightface: gender and age together",
        lambda: logits(3, "fc1", image=("None", 3, 96, 96)),
        Undecided(),
    ),
    Case("landmarks of a face", lambda: logits(212, "fc1", image=("None", 3, 192, 192)), Undecided()),
    Case("embedding of unit norm", lambda: vectors({"embedding": (512, "norm")}), Refused("embedding")),
    Case(
        "facenet: embedding of unit norm, dynamic batch",
        lambda: vectors({"output": (128, "norm")}, ("batch", 3, 160, 160)),
        Refused("embedding"),
    ),
    Case("arcface: embedding as the layer gives it", lambda: logits(512, "fc1"), Undecided()),
)
