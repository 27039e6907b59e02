"""The networks whose heads give distances: what they are known by, and where their cells' places are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from postproc.inspection.claims import Claim
from postproc.inspection.evidence import Part, Source
from postproc.inspection.graph import Graph
from postproc.inspection.observed import Observed
from postproc.inspection.presets import (
    FCOS,
    GFL,
    IMAGENET,
    LETTERBOX,
    NANODET,
    NANODET_IMAGE,
    PADDLE,
    RTMDET,
    RTMDET_IMAGE,
    SCRFD,
    SCRFD_IMAGE,
    ULTRALYTICS,
    YOLOV6,
    DetectionStyle,
    ImageStyle,
)
from postproc.inspection.recognisers.distances.heads import DistanceHead, Holds
from postproc.inspection.roles.distances import Activation, Unit

DISTANCES = "distance_output"

_LEVELS_OF_YOLO = (8, 16, 32)
_LEVELS_OF_PLUS = (8, 16, 32, 64)  # NanoDet-Plus and PicoDet
_LEVELS_OF_FCOS = (8, 16, 32, 64, 128)
_BINS_OF_ULTRALYTICS, _BINS_OF_NANODET = 16, 8  # and 17 of GFL, PP-YOLOE and YOLOv6
_OF_TORCHVISION: Mapping[Holds, tuple[str, ...]] = {
    "scores": ("cls_logits",),
    "distances": ("bbox_regression",),
    "centerness": ("bbox_ctrness",),
}
_OF_MMDETECTION: Mapping[Holds, tuple[str, ...]] = {
    "scores": ("cls_score",),
    "distances": ("bbox_pred",),
    "centerness": ("score_factor", "centerness"),
}
_OF_SCRFD: Mapping[Holds, tuple[str, ...]] = {
    "scores": ("score_",),
    "distances": ("bbox_",),
    "landmarks": ("kps_",),
}
_ONE_TO_ONE = (
    "where a YOLO26 was cut behind its one-to-one head, which gives each object one box, leave out NMS: "
    "nms_threshold 1"
)
_RECTIFIED: Mapping[Part, str] = {Part.UNITS: "strides", Part.DISTANCES: "none"}


@dataclass(frozen=True, slots=True)
class Form:
    """How distances are meant: fields of the output that no shape tells."""

    cell_offset: float
    distance_unit: Unit = "strides"
    distance_activation: Activation = "none"
    confidence: Literal["product", "sqrt_product"] = "product"


_MIDDLE, _CORNER = "0.5", "0"
_OF_BINS = (Form(0.5), Form(0))
_PLAIN = (*_OF_BINS, Form(0, "pixels"), Form(0.5, "pixels"))
# torchvision's, that of AdelaiDet and Detectron2, and MMDetection's, cut before or after the activation.
_ACTIVATIONS: tuple[Activation, ...] = ("none", "relu", "exp")
_OF_FCOS = tuple(
    replace(form, distance_activation=activation)
    for form in (
        Form(0, confidence="sqrt_product"),
        Form(0.5, confidence="sqrt_product"),
        Form(0.5, "pixels"),
    )
    for activation in _ACTIVATIONS
)


@dataclass(frozen=True)
class Family:
    """Networks with such heads.

    Parameters
    ----------
    network : str
        What they are called.
    decision, image : DetectionStyle, ImageStyle
        What their users expect.
    claims : tuple of Claim
        What they are known by, and what follows.
    forms : tuple of Form
        How their distances may be meant.
    checks : tuple of str
        What should be looked at.
    """

    network: str
    decision: DetectionStyle
    image: ImageStyle
    claims: tuple[Claim, ...] = ()
    forms: tuple[Form, ...] = _OF_BINS
    checks: tuple[str, ...] = ()


def family_of(observed: Observed, head: DistanceHead) -> Family:
    """Tell which networks have such a head."""
    if head.bins > 1:
        return _of_bins(observed.graph, head)
    if "landmarks" in head.parts or head.per_cell > 1 or _is_called(head, _OF_SCRFD):
        return Family("SCRFD", SCRFD, SCRFD_IMAGE, tuple(_of_scrfd(head)))
    if "centerness" in head.parts:
        forms = _OF_FCOS if _is_fcos(observed.graph, head) else ()
        return Family("FCOS", FCOS, IMAGENET, tuple(_of_fcos(observed, head)), forms)
    return _of_plain_distances(observed, head)


def _of_bins(graph: Graph, head: DistanceHead) -> Family:
    says = {Part.KIND: DISTANCES, Part.CELL_OFFSET: _MIDDLE}
    text = f"{head.text}: {head.bins} bins a side"
    own = tuple(_of_exporters(graph, head))
    if head.bins == _BINS_OF_NANODET:
        if _is_of_paddle(graph, head) or "HardSwish" in graph.activations:
            text = f"{text} and HardSwish, as PicoDet has them, whose cells are at their middle"
            is_seen = "HardSwish" in graph.activations
            claims = (Claim(Source.OPERATORS, text, says),) if is_seen else ()
            return Family("PicoDet", PADDLE, IMAGENET, (*own, *claims))
        if head.strides == _LEVELS_OF_PLUS:
            text = f"{text} on strides 8 to 64, as NanoDet-Plus has them, whose cells are at their corner"
            claim = Claim(Source.SHAPES, text, {**says, Part.CELL_OFFSET: _CORNER})
            return Family("NanoDet-Plus", NANODET, NANODET_IMAGE, (claim,))
        text = f"{text} on strides 8 to 32, as NanoDet of 2020 has them, whose cells are at their middle"
        claims = (Claim(Source.SHAPES, text, says),) if head.strides == _LEVELS_OF_YOLO else ()
        return Family("NanoDet", NANODET, NANODET_IMAGE, claims)
    if head.bins == _BINS_OF_ULTRALYTICS:
        text = f"{text}, as YOLOv8 and its successors have them (reg_max 16), whose cells are at their middle"
        claim = Claim(Source.SHAPES, text, says)
        return Family("YOLOv8 or a successor without decoding", ULTRALYTICS, LETTERBOX, (claim, *own))
    if _is_of_paddle(graph, head):
        return Family("PP-YOLOE", PADDLE, IMAGENET, own)
    if head.strides == _LEVELS_OF_FCOS:
        text = f"{text} on strides 8 to 128, as MMDetection's GFL has them, whose cells are at their corner"
        claim = Claim(Source.SHAPES, text, {**says, Part.CELL_OFFSET: _CORNER})
        return Family("GFL", GFL, IMAGENET, (claim,))
    return Family("YOLOv6, PP-YOLOE or DAMO-YOLO without decoding", YOLOV6, LETTERBOX, own)


def _of_exporters(graph: Graph, head: DistanceHead) -> Iterator[Claim]:
    """Use what exporters and forks write: metadata, names, and RKNN's sums of scores."""
    if graph.is_ultralytics:  # which tells of no cut
        text = "ultralytics exported it, whose cells are at their middle"
        yield Claim(Source.METADATA, text, {Part.CELL_OFFSET: _MIDDLE, **_RECTIFIED})
    says = {Part.KIND: DISTANCES, Part.CELL_OFFSET: _MIDDLE, **_RECTIFIED}
    if _is_of_paddle(graph, head):
        text = "Paddle's converter wrote it, whose detectors' cells are at their middle"
        yield Claim(Source.NAMES, text, says)
    if "score_sum" in head.parts:
        text = f"{head.text}: the sum of its scores for each cell, as forks for RKNN put out, of networks "
        text += "whose cells are at their middle"
        yield Claim(Source.SHAPES, text, says)


def _is_of_paddle(graph: Graph, head: DistanceHead) -> bool:
    """Tell whether Paddle's converter wrote it, by what it calls itself and outputs."""
    is_called = all(tensor.plain_name.startswith("fetch_name_") for tensor in head.tensors)
    return is_called or "paddle" in graph.producer.lower()


def _of_scrfd(head: DistanceHead) -> Iterator[Claim]:
    says = {Part.KIND: DISTANCES, Part.CELL_OFFSET: _CORNER, **_RECTIFIED}
    own = "as SCRFD has them, whose cells are at their corner"
    if head.labels == 1 and (head.per_cell > 1 or "landmarks" in head.parts):
        yield Claim(Source.SHAPES, f"{head.text}: {head.columns}, {own}", says)
    if _is_called(head, _OF_SCRFD):
        yield Claim(Source.NAMES, f"{head.text} have SCRFD's names, {own}", says)


def _is_fcos(graph: Graph, head: DistanceHead) -> bool:
    """Tell a factor of distances from YOLOX's objectness: by levels, names, layers, or what is behind."""
    behind = frozenset[str]().union(*(graph.upstream(part.tensor.name) for part in head.parts["distances"]))
    return (
        head.strides == _LEVELS_OF_FCOS
        or _is_called(head, _OF_MMDETECTION)
        or all(part.tensor.is_called("ctr", "center", "centre") for part in head.parts["centerness"])
        or bool(behind & {"Exp", "Relu"})
        or _has_one_layer(graph, head)
    )


def _has_one_layer(graph: Graph, head: DistanceHead) -> bool:
    """Tell whether one layer gives the distances of all levels, as FCOS's, where YOLOX has one a level."""
    names = [part.tensor.name for part in head.parts["distances"]]
    return len(names) > 1 and graph.links.have_one_layer(names)


def _of_fcos(observed: Observed, head: DistanceHead) -> Iterator[Claim]:
    kind = {Part.KIND: DISTANCES}
    if head.strides == _LEVELS_OF_FCOS:
        text = f"{head.text}: scores, distances and centredness on strides 8 to 128, as FCOS has them"
        yield Claim(Source.SHAPES, text, kind)
    if _has_one_layer(observed.graph, head):
        text = f"{head.text}: distances of all strides are from one layer, as FCOS has it, not YOLOX"
        yield Claim(Source.OPERATORS, text, kind)
    if _is_called(head, _OF_TORCHVISION):
        text = f"{head.text} have the names of torchvision's FCOS: cells are at their corner, distances in "
        text += "strides, and a score is the square root of its product with the centredness"
        says = {Part.CELL_OFFSET: _CORNER, Part.UNITS: "strides", Part.CONFIDENCE: "sqrt_product"}
        yield Claim(Source.NAMES, text, {**kind, Part.COLUMNS: _columns(head), **says})
    mmdetection = "MMDetection's FCOS: cells are at their middle, and scores are multiplied by centredness"
    says = {Part.CELL_OFFSET: _MIDDLE, Part.UNITS: "pixels", Part.CONFIDENCE: "product"}
    if _are_scaled(observed, head):
        text = f"{head.text}: distances times their strides, as those of {mmdetection}"
        yield Claim(Source.OPERATORS, text, {**kind, **says})
    if _is_called(head, _OF_MMDETECTION):
        text = f"{head.text} have the names of {mmdetection}, and distances are in pixels"
        yield Claim(Source.NAMES, text, {**kind, Part.COLUMNS: _columns(head), **says})


def _of_plain_distances(observed: Observed, head: DistanceHead) -> Family:
    """Tell heads of scores and distances alone, by what scales them, and by their order."""
    activations = observed.graph.activations
    own = tuple(_of_exporters(observed.graph, head))
    as_they_are = {Part.KIND: DISTANCES, Part.DISTANCES: "none"}
    if _are_scaled(observed, head):
        text = f"{head.text}: distances as a layer gives them, times their strides, as RTMDet has them, "
        text += "whose cells are at their corner"
        claim = Claim(Source.OPERATORS, text, {**as_they_are, Part.CELL_OFFSET: _CORNER})
        return Family("RTMDet", RTMDET, RTMDET_IMAGE, (*own, claim), _PLAIN)
    text = f"{head.text}: distances as a layer gives them, as YOLO26, YOLOv6 and MMYOLO's RTMDet have them"
    claims = [*own, Claim(Source.OPERATORS, text, {**as_they_are, Part.UNITS: "strides"})]
    network, decision, image = "YOLO26 or RTMDet without decoding", ULTRALYTICS, LETTERBOX
    if "Relu" in activations:
        network, decision = "YOLOv6 without decoding", YOLOV6
        text = f"layers have Relu, as YOLOv6's, whose cells are at their middle; {text}"
        claims.append(Claim(Source.OPERATORS, text, {Part.KIND: DISTANCES, Part.CELL_OFFSET: _MIDDLE}))
    elif head.packed == ("distances", "scores"):
        network = "YOLO26 without decoding"
        text = f"{head.text}: distances, then scores, as YOLO26 has them, whose cells are at their middle"
        claims.append(Claim(Source.SHAPES, text, {Part.KIND: DISTANCES, Part.CELL_OFFSET: _MIDDLE}))
    elif not head.packed:
        claims += _of_order(observed.graph, head)
    checks = (_ONE_TO_ONE,) if network.startswith("YOLO26") else ()
    return Family(network, decision, image, tuple(claims), _PLAIN, checks)


def _of_order(graph: Graph, head: DistanceHead) -> Iterator[Claim]:
    """Tell ultralytics and its forks, whose distances come before scores, from heads of the MMLab."""
    order = [graph.outputs.index(part.tensor) for part in (*head.parts["scores"], *head.parts["distances"])]
    levels = len(order) // 2
    by_level = [2 * row for row in range(levels)]
    if order == [row + 1 for row in by_level] + by_level:
        text = f"{head.text}: distances before scores, of each level, as ultralytics and its forks have them"
        yield Claim(Source.SHAPES, text, {Part.KIND: DISTANCES, Part.CELL_OFFSET: _MIDDLE})
    elif order == sorted(order) and levels > 1:
        text = f"{head.text}: scores of all levels, then distances, as MMYOLO's RTMDet puts them out"
        yield Claim(Source.SHAPES, text, {Part.KIND: DISTANCES, Part.CELL_OFFSET: _CORNER})


def _are_scaled(observed: Observed, head: DistanceHead) -> bool:
    """Tell whether the graph multiplies distances by the strides of their levels."""
    links = observed.graph.links
    return all(part.stride in links.factors(part.tensor.name) for part in head.parts["distances"])


def _columns(head: DistanceHead) -> str:
    return f"{head.columns}, {head.labels} label{'s' * (head.labels != 1)}"


def _is_called(head: DistanceHead, beginnings: Mapping[Holds, tuple[str, ...]]) -> bool:
    """Tell whether all that a head has is named as it is in a family."""
    return all(
        part.tensor.plain_name.startswith(beginnings.get(holds, ()))
        for holds, parts in head.parts.items()
        for part in parts
    )
