"""Networks that are no detectors: maps, texts and images; and the cases of the issue's own files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tests.inspection.exports.building import Builder, Shape
from tests.inspection.exports.cases import Case, Reads, Refused, Undecided
from tests.inspection.exports.distances import BINS

SIDE = 320


def maps(
    outputs: Mapping[str, int],
    stride: int = 4,
    image: Shape = (1, 3, SIDE, SIDE),
    ending: str = "",
    upsampled: int = 1,
    squeezed: bool = False,
    **options: Any,
) -> bytes:
    """Maps (B, channels, H, W) or (B, H, W)."""
    graph = Builder(image, **options)
    free = not isinstance(image[2], int)
    for name, channels in outputs.items():
        x = graph.features(stride, "Relu").conv(channels, gain=3.0, bias=1.0)
        if upsampled > 1:
            scales = np.float32([1, 1, upsampled, upsampled])
            x = x.op("Resize", np.zeros(0, np.float32), scales, mode="linear")
        if ending:
            x = x.op(ending)
        height, width = (
            ("out_h", "out_w") if free else (int(side) * upsampled // stride for side in image[2:])
        )
        shape: Shape = (image[0], channels, height, width)
        if squeezed:
            x, shape = x.squeeze(1), (image[0], height, width)
        graph.output(name, x, shape)
    return graph.model()


def enlarging(kernels: int = 2) -> bytes:
    """DBNet's head: transposed convolutions, each of which doubles the map, and a sigmoid."""
    graph = Builder((1, 3, SIDE, SIDE), name="x", producer="PaddlePaddle")
    x = graph.features(2**kernels, "Relu")
    for row in range(kernels):
        channels = 1 if row == kernels - 1 else 12
        weights = graph.weights((12, channels, 2, 2), 0.5)
        x = x.op("ConvTranspose", weights, kernel_shape=[2, 2], strides=[2, 2])
        x = x if channels == 1 else x.op("Relu")
    graph.output("sigmoid_0.tmp_0", x.sigmoid(), (1, 1, SIDE, SIDE))
    return graph.model()


def craft() -> bytes:
    """CRAFT: two maps of half the size, channels last."""
    graph = Builder((1, 3, SIDE, SIDE), name="input")
    out = graph.features(2, "Relu").conv(2, gain=0.5).transpose(0, 2, 3, 1)
    graph.output("output", out, (1, SIDE // 2, SIDE // 2, 2))
    return graph.model()


def centernet(names: Sequence[str], labels: int = 80, **options: Any) -> bytes:
    """CenterNet: heat maps of centres, sizes and shifts, for each square of 4 pixels."""
    graph = Builder(**options)
    grid = graph.features(4, "Relu")
    heat = grid.conv(labels, gain=3.0, bias=-2.0).sigmoid()
    for name, value, channels in zip(
        names, (heat, grid.conv(2, bias=9.0), grid.conv(2)), (labels, 2, 2), strict=True
    ):
        graph.output(name, value, (1, channels, SIDE // 4, SIDE // 4))
    return graph.model()


def text_line(characters: int = 97, batch_first: bool | None = True) -> bytes:
    """A text recogniser: a softmax over characters for each of some columns of the image."""
    graph = Builder((1, 3, 32, 320), name="x", producer="PaddlePaddle")
    x = graph.features(8, "Relu").op("ReduceMean", axes=[2], keepdims=0)
    columns = graph.noted(x.transpose(0, 2, 1), 12)
    out = columns.linear(characters, gain=4.0)
    if batch_first is None:  # LPRNet
        graph.output("output", out.transpose(0, 2, 1), (1, characters, 40))
        return graph.model()
    out = out.softmax(2)
    if batch_first:
        graph.output("softmax_0.tmp_0", out, (1, 40, characters))
    else:
        graph.output("output", out.transpose(1, 0, 2), (40, 1, characters))
    return graph.model()


def tokens() -> bytes:
    """A vision transformer without a head: a vector a patch, and one for the image."""
    graph = Builder((1, 3, 224, 224), name="pixel_values")
    x = graph.features(16, "Relu").reshape(0, 12, -1).transpose(0, 2, 1)
    out = graph.noted(x, 12).linear(96)
    graph.output("last_hidden_state", out, (1, 196, 96))
    graph.output("pooler_output", out.slice(0, 1, 1).squeeze(1).op("Tanh"), (1, 96))
    return graph.model()


def whatever_the_image(
    outputs: Mapping[str, np.ndarray[Any, Any]],
    image: Shape,
    name: str,
    free: Sequence[tuple[str, int, str]] = (),
) -> bytes:
    """The given arrays for any image, as ../shared/cases makes them."""
    graph = Builder(image, name=name)
    nothing = graph.image.op("ReduceMean", keepdims=0) * 0.0
    symbols = {(output, axis): symbol for output, axis, symbol in free}
    for output, array in outputs.items():
        value = graph.constant(array)
        if image[2] == "height":
            ends = graph.image.size(2)
            value = value.op("Slice", np.array([0], np.int64), ends, np.array([1], np.int64))
        shape = [symbols.get((output, axis), size) for axis, size in enumerate(array.shape)]
        graph.output(output, value + nothing, shape)
    return graph.model()


def queries_with_free_axes() -> bytes:
    outputs = {
        "logits": np.zeros((1, 100, 7), np.float32),
        "pred_boxes": np.full((1, 100, 4), 0.5, np.float32),
    }
    free = [
        (name, axis, symbol) for name in outputs for axis, symbol in enumerate(("batch_size", "num_queries"))
    ]
    return whatever_the_image(outputs, ("batch_size", 3, "height", "width"), "pixel_values", free)


def distances_in_bins() -> bytes:
    heads = {
        f"head{row}": np.zeros((1, 144, 640 // s, 640 // s), np.float32) for row, s in enumerate((8, 16, 32))
    }
    return whatever_the_image(heads, ("batch", 3, 640, 640), "images")


def faces() -> bytes:
    rows = np.zeros((1, 25200, 16), np.float32)
    landmarks = [290, 310, 330, 310, 310, 330, 295, 355, 325, 355]
    rows[0, 9] = [310, 330, 90, 110, 0.93, *landmarks, 0.97]
    return whatever_the_image({"output": rows}, ("batch", 3, 640, 640), "images")


QUERIES = Reads("standard_output", {"box_format": "cxcywh"}, None, None, False)

CASES = (
    Case(
        "segmentation: deeplab, 21 labels",
        lambda: maps({"out": 21, "aux": 21}, upsampled=4),
        Refused("segment|map"),
    ),
    Case(
        "segmentation: segformer, free axes",
        lambda: maps(
            {"logits": 150}, image=("batch_size", "num_channels", "height", "width"), name="pixel_values"
        ),
        Refused("segment|map"),
    ),
    Case(
        "segmentation: u2net, one map",
        lambda: maps({"1959": 1}, ending="Sigmoid", upsampled=4),
        Refused("map|segment"),
    ),
    Case(
        "segmentation: 255 labels on one grid",
        lambda: maps({"out": 255}, upsampled=4),
        Refused("segment|map"),
    ),
    Case("text detection: DBNet", enlarging, Refused("text detection: DBNet")),
    Case(
        "text detection: a DBNet that is resized",
        lambda: maps({"sigmoid_0.tmp_0": 1}, ending="Sigmoid", upsampled=4, name="x"),
        Refused("text detection.*foreground"),
    ),
    Case("text detection: CRAFT", craft, Refused("text detection: CRAFT")),
    Case(
        "text detection: EAST",
        lambda: maps(
            {"feature_fusion/Conv_7/Sigmoid:0": 1, "feature_fusion/concat_3:0": 5}, ending="Sigmoid"
        ),
        Refused("text detection as EAST"),
    ),
    Case(
        "centernet: heat maps after a sigmoid",
        lambda: centernet(("hm", "wh", "reg")),
        Refused("heat maps of the centres"),
    ),
    Case(
        "centernet: numbers for names",
        lambda: centernet(("508", "511", "514"), 7),
        Refused("heat maps of the centres"),
    ),
    Case(
        "depth: one map",
        lambda: maps({"predicted_depth": 1}, upsampled=4, squeezed=True),
        Refused("\\(depth\\)"),
    ),
    Case(
        "poses: heat maps of 17 keypoints",
        lambda: maps({"heatmaps": 17}, image=(1, 3, 256, 192), ending="Sigmoid"),
        Refused("heat maps of keypoints"),
    ),
    Case("features of a backbone", lambda: maps({"p3": 64, "p4": 128}, 8), Undecided()),
    Case("images of twice the size", lambda: maps({"output": 3}, 4, upsampled=8), Refused("image|map")),
    Case("text recognition: PaddleOCR", text_line, Refused("text|sequence|characters")),
    Case("text recognition: time first", lambda: text_line(37, False), Refused("text recognition")),
    Case(
        "text recognition: characters before time", lambda: text_line(68, None), Refused("text recognition")
    ),
    Case("vision transformer without a head", tokens, Undecided()),
    Case("shared case: queries with free axes", queries_with_free_axes, Undecided(QUERIES)),
    Case("shared case: distances in bins", distances_in_bins, Undecided(BINS.but(input_size=(640, 640)))),
    Case(
        "shared case: faces",
        faces,
        Reads("yolov5_output", {"keypoints": 5, "dimensions": 2, "keypoints_first": True}, 1, (640, 640)),
    ),
)
