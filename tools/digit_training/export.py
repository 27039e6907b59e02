"""From the trained networks to ONNX files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

from digit_training import documents
from digit_training.boxes import decode_grid
from digit_training.networks import STRIDE, Classifier, Detector

# What ONNX Runtime 1.18, the oldest supported, reads.
_OPSET, _IR_VERSION = 17, 8
_TOP_CANDIDATES = 200


class _Yolo(nn.Module):
    """The grid as the head gives it."""

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, image: Tensor) -> Tensor:
        return self.detector.grid(self.detector.trunk(image))


class _Anchored(nn.Module):
    """Anchors in pixels of an input whose size ``im_info`` says, offsets and probabilities."""

    relative: Tensor

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        self.detector = detector
        size = torch.tensor([documents.INPUT_WIDTH, documents.INPUT_HEIGHT] * 2)
        self.register_buffer(
            "relative", detector.anchor_boxes(documents.INPUT_HEIGHT, documents.INPUT_WIDTH) / size
        )

    def forward(self, image: Tensor, im_info: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        offsets, logits = self.detector.anchored(self.detector.trunk(image))
        height, width = im_info[:, 0:1], im_info[:, 1:2]
        anchors = self.relative * torch.cat([width, height, width, height], dim=1)[:, None]
        return anchors, offsets, logits.softmax(dim=2)


class _Direct(nn.Module):
    """The grid's best candidates: normalized boxes, scores, ids of their labels."""

    cells: Tensor
    label_ids: Tensor

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        self.detector = detector
        cells = [documents.INPUT_WIDTH // STRIDE, documents.INPUT_HEIGHT // STRIDE] * 2
        self.register_buffer("cells", torch.tensor(cells, dtype=torch.float32))
        self.register_buffer("label_ids", torch.tensor(documents.label_ids()))

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        detector = self.detector
        grid = detector.grid(detector.trunk(image))
        boxes, objectness, logits = decode_grid(grid, detector.sizes / STRIDE)
        scores, rows = (objectness.sigmoid()[..., None] * logits.softmax(dim=2)).max(dim=2)
        top_scores, top = scores.topk(_TOP_CANDIDATES, dim=1)
        top_boxes = boxes.gather(1, top[..., None].expand(-1, -1, 4)) / self.cells
        return top_boxes, top_scores, self.label_ids[rows.gather(1, top)]


def export_all(folder: Path, detector: Detector, classifier: Classifier) -> dict[str, Path]:
    """Write every network to ``folder``; return the file of each by name."""
    image = torch.zeros(2, 1, documents.INPUT_HEIGHT, documents.INPUT_WIDTH)
    crop = torch.zeros(2, 1, documents.CROP_SIDE, documents.CROP_SIDE)
    size = torch.tensor([[documents.INPUT_HEIGHT, documents.INPUT_WIDTH, 1.0]] * 2)
    only_image = {documents.IMAGE: image}
    exports: dict[str, tuple[nn.Module, dict[str, Tensor], Sequence[str]]] = {
        "yolo": (_Yolo(detector), only_image, [documents.GRID]),
        "anchored": (
            _Anchored(detector),
            only_image | {documents.SIZE: size},
            [documents.ANCHORS, documents.OFFSETS, documents.ANCHOR_SCORES],
        ),
        "direct": (
            _Direct(detector),
            only_image,
            [documents.BOXES, documents.BOX_SCORES, documents.CLASSES],
        ),
        "classifier": (classifier, {documents.IMAGE: crop}, [documents.LOGITS]),
    }
    paths = {}
    for name, (network, inputs, outputs) in exports.items():
        paths[name] = folder / f"digits_{name}.onnx"
        _export(paths[name], network.eval(), inputs, outputs)
    return paths


def _export(path: Path, network: nn.Module, inputs: dict[str, Tensor], outputs: Sequence[str]) -> None:
    torch.onnx.export(
        network,
        tuple(inputs.values()),
        path,
        input_names=list(inputs),
        output_names=list(outputs),
        dynamic_axes={name: {0: "batch"} for name in [*inputs, *outputs]},
        opset_version=_OPSET,
        dynamo=False,
    )
    model = onnx.load(path)
    # The exporter notes where it ran; the files shall be the same on every machine.
    model.ir_version = _IR_VERSION
    del model.metadata_props[:]
    for node in model.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    model = onnx.shape_inference.infer_shapes(model)
    del model.graph.value_info[:]
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)
