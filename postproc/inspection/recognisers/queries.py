"""Queries: what networks of the DETR kind are known by, each of whose objects is one box without NMS."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping

from postproc.inspection.claims import Claim
from postproc.inspection.evidence import Part, Source
from postproc.inspection.graph import Graph
from postproc.inspection.observed import Observed
from postproc.inspection.presets import DETR, DETR_SOFTMAX, IMAGENET, SQUASH, DetectionStyle, ImageStyle
from postproc.inspection.recognisers.heads import QUERIES, Head, has_moved_centres
from postproc.schema.outputs import Background, ScoreActivation

_CENTRES: Mapping[Part, str] = {
    Part.KIND: QUERIES,
    Part.BOX_FORMAT: "cxcywh",
    Part.UNITS: "normalized",
}
_SIGMOID: Mapping[Part, str] = {Part.ACTIVATION: "sigmoid", Part.BACKGROUND: "none"}
_SOFTMAX: Mapping[Part, str] = {Part.ACTIVATION: "softmax", Part.BACKGROUND: "last"}

# transformers' model_type, and what its post_process_object_detection does with the logits.
_OF_MODEL_TYPES: Mapping[str, Mapping[Part, str]] = {
    **dict.fromkeys(("detr", "yolos", "table-transformer"), _SOFTMAX),
    **dict.fromkeys(("conditional_detr", "dab-detr", "deformable_detr", "deta", "lw_detr"), _SIGMOID),
    **dict.fromkeys(("rt_detr", "rt_detr_v2", "d_fine", "deimv2", "rf_detr"), _SIGMOID),
}
_BOX = 4  # numbers of the bias of the layer that gives boxes
_COCO_IDS = 91  # columns of RF-DETR's own weights: ids from 1 to 90, and 0, which is not used


def scores_of_queries(graph: Graph) -> list[tuple[ScoreActivation, Background]]:
    """Give the ways in which the scores of queries are meant."""
    ways: list[tuple[ScoreActivation, Background]] = [
        ("none", "none"),
        ("none", "last"),
        ("sigmoid", "none"),
        ("softmax", "last"),
    ]
    # RF-DETR has a column more than labels, and a sigmoid still; no network without sampling has.
    return [*ways, ("sigmoid", "last")] if graph.is_deformable else ways


def style_of(
    graph: Graph, head: Head, activation: ScoreActivation, background: Background
) -> tuple[str, DetectionStyle, ImageStyle]:
    """Give the networks that have such queries, and what their users expect."""
    if is_rfdetr(graph, head) or (activation, background) == ("sigmoid", "last"):
        return "RF-DETR", DETR, IMAGENET
    if activation == "softmax":
        return "DETR, YOLOS, Table Transformer", DETR_SOFTMAX, IMAGENET
    if graph.is_deformable:
        return "RT-DETR, D-FINE, Deformable DETR", DETR, SQUASH
    return "Conditional DETR, DAB-DETR", DETR, IMAGENET


def is_rfdetr(graph: Graph, head: Head) -> bool:
    """Tell whether the names are those of RF-DETR's export, which samples."""
    return graph.is_deformable and (head.boxes.name, head.scores.name) == ("dets", "labels")


def query_claims(observed: Observed, head: Head) -> Iterator[Claim]:
    """Claim what names, operators and a config.json tell of queries."""
    graph = observed.graph
    is_rf = is_rfdetr(graph, head)
    is_own = head.boxes.is_called("pred_boxes") and head.scores.is_called("logits")
    if is_own:
        text = f"{head.boxes.name} and {head.scores.name} are what transformers and DETR's own code call them"
        yield Claim(Source.NAMES, text, _CENTRES)
    if is_rf:
        text = "dets and labels are what RF-DETR calls them, whose scores are sigmoids"
        # One column more than labels, which is never trained; its own weights have COCO's ids instead.
        background = "none" if head.columns == _COCO_IDS else "last"
        says = {**_CENTRES, Part.ACTIVATION: "sigmoid", Part.BACKGROUND: background}
        yield Claim(Source.NAMES, text, says)
    if graph.is_deformable:
        text = "it attends by GridSample (deformable attention), as RT-DETR, D-FINE and RF-DETR do"
        yield Claim(Source.OPERATORS, text, {Part.KIND: QUERIES})
        if is_own or not (is_rf or has_moved_centres(observed, head)):  # RF-DETR's boxes, names aside
            text = f"{text}: their labels have a score each"
            yield Claim(Source.OPERATORS, text, {Part.BACKGROUND: "none"})
    begins = _begins_with_places(graph, head.boxes.name)
    if begins:
        text = f"{head.boxes.name} is a Sigmoid of places that queries begin with, moved by a layer"
        text += ", as Conditional DETR, DAB-DETR and RT-DETR have it: their labels have a score each"
        yield Claim(Source.OPERATORS, text, {Part.BACKGROUND: "none"})
    elif begins is False and is_own:
        text = f"{head.boxes.name} is a Sigmoid of a layer, without places that queries begin with, as DETR, "
        text += "YOLOS and Table Transformer have it: a softmax goes over their scores, the background last"
        yield Claim(Source.OPERATORS, text, _SOFTMAX)
    said = _of_config(graph)
    if said:
        text = f"config.json beside the network says that it is a {graph.config['model_type']}"
        yield Claim(Source.CONFIG, text, {**_CENTRES, **said})


def _begins_with_places(graph: Graph, boxes: str) -> bool | None:
    """Tell whether boxes are a Sigmoid of what a layer adds to the places that queries begin with."""
    links = graph.links
    squashed = list(links.path(boxes))
    if not squashed or squashed[-1].operator != "Sigmoid":
        return None
    if "Log" in graph.upstream(boxes):  # of places in [0, 1], before they are moved
        return True
    (last,) = deque(links.path(squashed[-1].inputs[0]), maxlen=1) or (None,)
    if last is None or last.operator not in ("Add", "Gemm"):
        return None
    numbers = max((links.constants[name].size for name in last.inputs if name in links.constants), default=0)
    if last.operator == "Add" and numbers > _BOX:
        return True
    is_layer = last.operator == "Gemm" or any("MatMul" in links.sources(name) for name in last.inputs)
    return False if is_layer and (last.operator == "Gemm" or numbers == _BOX) else None


def _of_config(graph: Graph) -> Mapping[Part, str]:
    model_type = graph.config.get("model_type")
    said = _OF_MODEL_TYPES.get(model_type, {}) if isinstance(model_type, str) else {}
    return _SOFTMAX if said and graph.config.get("use_focal_loss") is False else said
