"""Heads of faces of each stride; and detectors that no kind expresses: heat maps, and cascades."""

from __future__ import annotations

from collections.abc import Sequence

from tests.inspection.exports.building import Builder, Shape
from tests.inspection.exports.cases import Case, Reads, Refused

SIDE, STRIDES = 320, (8, 16, 32)


def heads(names: Sequence[str], columns: Sequence[int], batched: bool, free: bool = False) -> bytes:
    """SCRFD's and YuNet's outputs: of each kind one a stride; names are formatted with the stride."""
    per_cell = 1 if batched else 2
    graph = Builder((1, 3, "?", "?") if free else (1, 3, SIDE, SIDE), name="input" if batched else "input.1")
    layers = [graph.features(stride, "Relu") for stride in STRIDES]
    number = 448
    for name, width in zip(names, columns, strict=True):
        for x, stride in zip(layers, STRIDES, strict=True):
            value = x.conv(per_cell * width, gain=2.0, bias=-4.0 if width == 1 else 1.0)
            value = value.transpose(0, 2, 3, 1).reshape(*((0,) if batched else ()), -1, width)
            if width == 1:
                value = value.sigmoid()
            count = per_cell * (SIDE // stride) ** 2
            rows: int | str = f"Reshape{number}_dim_0" if free else count
            shape: Shape = (1, rows, width) if batched else (rows, width)
            graph.output(name.format(stride=stride, number=number), value, shape)
            number += 23
    return graph.model()


def heatmaps(names: Sequence[str], channels: Sequence[int]) -> bytes:
    """CenterNet's and CenterFace's maps: heat, sizes, offsets, and landmarks."""
    graph = Builder(name="input.1")
    x = graph.features(4, "Relu")
    for row, (name, count) in enumerate(zip(names, channels, strict=True)):
        value = x.conv(count, gain=2.0, bias=-4.0 if row == 0 else 0.0)
        graph.output(name, value.sigmoid() if row == 0 else value, (1, count, SIDE // 4, SIDE // 4))
    return graph.model()


def proposal_net() -> bytes:
    """MTCNN's P-Net: offsets and probabilities of every place."""
    graph = Builder((1, 3, "height", "width"), name="input")
    x = graph.features(2, "Relu")
    graph.output("boxes", x.conv(4, gain=0.2), (1, 4, "cells_h", "cells_w"))
    graph.output("probabilities", x.conv(2, gain=2.0).softmax(1), (1, 2, "cells_h", "cells_w"))
    return graph.model()


def refining_net(side: int, landmarks: bool) -> bytes:
    """MTCNN's R-Net and O-Net: offsets of a crop's box, landmarks, and two probabilities."""
    graph = Builder(("batch", 3, side, side), name="input")
    x = graph.noted(graph.features(8, "Relu").op("GlobalAveragePool").op("Flatten"), 12)
    graph.output("offsets", x.gemm(4, gain=0.2), ("batch", 4))
    if landmarks:
        graph.output("points", x.gemm(10, gain=0.3, bias=0.5), ("batch", 10))
    graph.output("probabilities", x.gemm(2, gain=3.0).softmax(1), ("batch", 2))
    return graph.model()


SCRFD = ("score_{stride}", "bbox_{stride}", "kps_{stride}")
YUNET = ("cls_{stride}", "obj_{stride}", "bbox_{stride}", "kps_{stride}")

FACES = Reads(
    "distance_output",
    {
        "anchors_per_cell": 2,
        "cell_offset": 0,
        "distance_unit": "strides",
        "distance_activation": "none",
        "score_activation": "none",
        "keypoints": 5,
        "strides": STRIDES,
    },
    1,
    (SIDE, SIDE),
    image={"pad_align": "top_left", "color_channels": "RGB", "mean": (127.5, 127.5, 127.5)},
)
READS_YUNET = Reads(
    "yolox_output",
    {
        "scores_tensors": ("cls_8", "cls_16", "cls_32"),
        "objectness_tensors": ("obj_8", "obj_16", "obj_32"),
        "boxes_tensors": ("bbox_8", "bbox_16", "bbox_32"),
        "landmarks_tensors": ("kps_8", "kps_16", "kps_32"),
        "keypoints": 5,
        "confidence": "sqrt_product",
        "score_activation": "none",
    },
    1,
    (SIDE, SIDE),
    image={"color_channels": "BGR", "pixel_scaling": 255},
)

CASES = (
    Case(
        "scrfd: free size, numbers for names",
        lambda: heads(["{number}"] * 3, (1, 4, 10), False, True),
        FACES.but(input_size=(640, 640)),
    ),
    Case(
        "scrfd: fixed size",
        lambda: heads(SCRFD, (1, 4, 10), False),
        FACES.but(
            fields={
                **FACES.fields,
                "scores_tensors": ("score_8", "score_16", "score_32"),
                "distances_tensors": ("bbox_8", "bbox_16", "bbox_32"),
                "landmarks_tensors": ("kps_8", "kps_16", "kps_32"),
            }
        ),
    ),
    Case(
        "scrfd: without keypoints",
        lambda: heads(SCRFD[:2], (1, 4), False),
        FACES.but(fields={**FACES.fields, "keypoints": None, "landmarks_tensors": None}),
    ),
    Case("yunet", lambda: heads(YUNET, (1, 1, 4, 10), True), READS_YUNET),
    Case(
        "yunet: numbers for names",
        lambda: heads(["{number}"] * 4, (1, 1, 4, 10), True),
        READS_YUNET.but(fields={"keypoints": 5, "confidence": "sqrt_product"}),
    ),
    Case(
        "centerface",
        lambda: heatmaps(("537", "538", "539", "540"), (1, 2, 2, 10)),
        Refused("CenterFace|CenterNet|heat"),
    ),
    Case("centernet", lambda: heatmaps(("hm", "wh", "reg"), (80, 2, 2)), Refused("CenterNet")),
    Case("mtcnn: P-Net", proposal_net, Refused("MTCNN|cascade")),
    Case("mtcnn: R-Net", lambda: refining_net(24, False), Refused("MTCNN|cascade")),
    Case("mtcnn: O-Net", lambda: refining_net(48, True), Refused("MTCNN|cascade")),
)
