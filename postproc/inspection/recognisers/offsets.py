"""Offsets with what they refer to: SSD's priors, and the anchors or proposals of v0.7."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from postproc.inspection.documents import detection
from postproc.inspection.graph import Graph, Tensor
from postproc.inspection.presets import BLAZEFACE, BLAZEFACE_IMAGE, CAFFE, FASTER_RCNN, SQUASH, SSD, SSD_IMAGE
from postproc.inspection.proposal import Certainty, Proposal
from postproc.schema import AnchoredOutput, SsdOutput

_ANCHOR_NAMES = ("anchor", "rois", "proposal")
_PRIOR_NAMES = ("prior", "default_boxes", "dboxes")
_BLAZEFACE_OFFSETS, _BLAZEFACE_SCORES = (896, 16), (896, 1)


@dataclass(frozen=True, slots=True)
class Offsets:
    """Offsets, scores, and the boxes that the offsets refer to, if they are an output."""

    offsets: Tensor
    scores: Tensor
    references: Tensor | None
    columns: int

    @property
    def text(self) -> str:
        """The tensors and their shapes."""
        tensors = [tensor for tensor in (self.references, self.offsets, self.scores) if tensor is not None]
        return ", ".join(f"{tensor.name} {tensor.text}" for tensor in tensors)


def offsets_of(graph: Graph) -> Offsets | None:
    """Find three outputs of N rows: boxes of 4 or 5 columns, offsets of a multiple of 4, and scores."""
    tensors = list(graph.of_rank(2, 3))
    if len(tensors) != 3:
        return None
    references = [tensor for tensor in tensors if _is_reference(tensor)]
    if len(references) > 1:
        references = (
            [tensor for tensor in references if _has_name(tensor, (*_ANCHOR_NAMES, *_PRIOR_NAMES))]
            or [tensor for tensor in references if graph.is_constant(tensor.name)]
            or references[:1]
        )
    if len(references) != 1:
        return None
    first, second = (tensor for tensor in tensors if tensor is not references[0])
    for offsets, scores in ((first, second), (second, first)):
        columns, numbers = scores.axis(-1), offsets.axis(-1)
        per_label = None if columns is None else (4, 4 * columns, 4 * (columns - 1))
        if columns is not None and per_label is not None and columns > 1 and numbers in per_label:
            if numbers == 4 == columns and "score" not in scores.name and "prob" not in scores.name:
                continue
            return Offsets(offsets, scores, references[0], columns)
    return None


def _is_reference(tensor: Tensor) -> bool:
    caffe = tensor.rank == 3 and tensor.axis(1) == 2 and (tensor.axis(2) or 0) > 8
    return tensor.axis(-1) in (4, 5) or caffe


def _has_name(tensor: Tensor, names: tuple[str, ...]) -> bool:
    return any(name in tensor.name.lower() for name in names)


def ssd(graph: Graph) -> Iterator[Proposal]:
    """Recognise offsets, scores and priors: SSD; and BlazeFace, whose priors are known."""
    found = offsets_of(graph)
    if found is None or found.references is None or found.offsets.axis(-1) != 4:
        return
    named = _has_name(found.references, _PRIOR_NAMES)
    if _has_name(found.references, _ANCHOR_NAMES) and not graph.is_constant(found.references.name):
        return
    caffe = found.references.axis(-1) not in (4, 5)
    activation, background = _activation(graph, found.scores)
    reasons = [f"{found.text}: offsets shared by all labels, scores, and the priors that offsets refer to"]
    if graph.is_constant(found.references.name):
        reasons.append(f"{found.references.name} is the same for every image, as priors are")
    fields = {
        "offsets_tensor": found.offsets.name,
        "scores_tensor": found.scores.name,
        "priors_tensor": found.references.name,
        "score_activation": activation,
        "background": background,
        **({"priors_format": "xyxy"} if caffe else {}),
    }
    yield detection(
        graph,
        SsdOutput.load(fields),
        network="SSD",
        certainty=Certainty.LIKELY if named or caffe or len(reasons) > 1 else Certainty.POSSIBLE,
        labels=found.columns - (background != "none"),
        decision=SSD,
        image=SSD_IMAGE,
        reasons=reasons,
        checks=[
            f"priors are taken as {'xyxy' if caffe else 'cxcywh'}, normalized, and variances as 0.1, 0.1, "
            "0.2, "
            "0.2; see priors_format and offsets_scale",
            f"the background is taken as {background} among {found.columns} scores",
        ],
    )


def blazeface(graph: Graph) -> Iterator[Proposal]:
    """Recognise MediaPipe's BlazeFace (front): (1, 896, 16) and (1, 896, 1)."""
    tensors = graph.of_rank(3)
    offsets = [tensor for tensor in tensors if (tensor.axis(1), tensor.axis(2)) == _BLAZEFACE_OFFSETS]
    scores = [tensor for tensor in tensors if (tensor.axis(1), tensor.axis(2)) == _BLAZEFACE_SCORES]
    if len(offsets) != 1 or len(scores) != 1 or graph.input_size != (128, 128):
        return
    scale = [1 / 128] * 4
    yield detection(
        graph,
        SsdOutput.load(
            {
                "offsets_tensor": offsets[0].name,
                "scores_tensor": scores[0].name,
                "priors": _blazeface_priors(),
                "offsets_scale": scale,
                "size_coding": "linear",
                "score_activation": "sigmoid",
                "background": "none",
            }
        ),
        network="MediaPipe's BlazeFace, short range",
        certainty=Certainty.LIKELY,
        labels=1,
        decision=BLAZEFACE,
        image=BLAZEFACE_IMAGE,
        reasons=[
            f"{offsets[0].name} {offsets[0].text} and {scores[0].name} {scores[0].text} at an input of "
            "128x128: "
            "a box and 6 keypoints for each of BlazeFace's 896 priors"
        ],
        checks=[
            "the priors are not in the file: they are made as MediaPipe makes them",
            "keypoints are not read",
            "MediaPipe merges faces by weight: add nms_method weighted for the same boxes",
        ],
    )


def _blazeface_priors() -> list[list[float]]:
    """Make MediaPipe's priors of size 1: 2 for each of 16 x 16 cells, 6 for each of 8 x 8."""
    return [
        [(column + 0.5) / cells, (row + 0.5) / cells, 1, 1]
        for cells, each in ((16, 2), (8, 6))
        for row in range(cells)
        for column in range(cells)
        for _ in range(each)
    ]


def anchored(graph: Graph) -> Iterator[Proposal]:
    """Recognise anchors or proposals with offsets and scores, the anchored output of v0.7."""
    found = offsets_of(graph)
    if found is None or found.references is None or found.references.axis(-1) not in (4, 5):
        return
    per_label = found.offsets.axis(-1) != 4
    activation, background = _activation(graph, found.scores)
    if found.offsets.axis(-1) == 4 * (found.columns - 1):
        background = "last"
    inputs = {tensor.name for tensor in graph.inputs}
    size_tensor = "im_info" if "im_info" in inputs else ""
    named = _has_name(found.references, _ANCHOR_NAMES)
    reasons = [
        f"{found.text}: boxes, offsets from them {'per label' if per_label else 'shared by all labels'}, and "
        f"{found.columns} scores"
    ]
    if named:
        reasons.append(f"{found.references.name} is a name that anchors or proposals have")
    rois = found.references.axis(-1) == 5
    fields = {
        "anchors_tensor": found.references.name,
        "offsets_tensor": found.offsets.name,
        "scores_tensor": found.scores.name,
        "score_activation": activation,
        "background": background,
    }
    v07 = {"score_activation": "none", "background": "first"}
    yield detection(
        graph,
        AnchoredOutput.load({name: value for name, value in fields.items() if v07.get(name) != value}),
        network="Faster R-CNN" if per_label or rois else "a detector with anchors",
        certainty=Certainty.LIKELY if named or per_label or rois else Certainty.POSSIBLE,
        labels=found.columns - (background != "none"),
        decision=FASTER_RCNN,
        image=CAFFE if size_tensor and rois else SQUASH,
        reasons=reasons,
        checks=["anchors are taken as corners (xyxy) in pixels of the input; see anchors_format"],
        in_pixels=not size_tensor,
        size_tensor=size_tensor,
        batched=found.references.rank == 3 or rois,
    )


def _activation(graph: Graph, scores: Tensor) -> tuple[str, str]:
    """Tell the function that the scores still need, and where their background is, if they have one."""
    sources = graph.sources(scores.name)
    if sources == {"Sigmoid"}:
        return "none", "none"
    if sources == {"Softmax"} or not graph.is_raw(scores.name):
        return "none", "first"
    return "softmax", "first"
