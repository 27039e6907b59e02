"""Boxes with scores that are but a part of the answer: for texts, with masks or with keypoints."""

from __future__ import annotations

from collections.abc import Iterator

from postproc.inspection.evidence import Part, Source, speaks_for
from postproc.inspection.observed import Observed
from postproc.inspection.readings import Reading
from postproc.inspection.recognisers.heads import Head
from postproc.inspection.recognisers.queries import is_rfdetr

_TEXTS = ("input_ids", "attention_mask", "text_token_mask")
_NUMBERS = (2, 3, 8)  # of a keypoint: x, y, whether it is seen; RF-DETR's say how sure they are besides
_FEWEST_KEYPOINTS = 3
_CUT = "For boxes alone cut that output off (onnx.utils.extract_model) and inspect the file that is left"


def beyond_boxes(observed: Observed, heads: list[Head]) -> Iterator[Reading]:
    """Name networks whose boxes are but a part of their answer."""
    for sources, network, text in (*_asked(observed), *_beside(observed, heads)):
        evidence = [speaks_for(each, text, Part.KIND) for each in sources]
        yield Reading(network, None, tuple(evidence), advice=text)
        return


def _asked(observed: Observed) -> Iterator[tuple[tuple[Source, ...], str, str]]:
    graph = observed.graph
    boxes = graph.find("pred_boxes")
    asked = [item.name for item in graph.inputs if item.name in _TEXTS and not item.is_float]
    if boxes is not None and asked:
        network = "OWL-ViT or Grounding DINO"
        yield (
            (Source.NAMES, Source.SHAPES),
            network,
            f"{boxes} with the inputs {', '.join(asked)}: boxes for the texts of a call, "
            f"as {network} gives them. No kind of output has labels that differ from call to call: export "
            "the network with the embeddings of fixed texts as constants, and without these inputs",
        )


def _beside(observed: Observed, heads: list[Head]) -> Iterator[tuple[tuple[Source, ...], str, str]]:
    if not heads:
        return
    graph, head = observed.graph, heads[0]
    masks = graph.find("pred_masks", "masks")
    # RF-DETR's masks belong to its boxes; those of panoptic queries are their answer.
    if masks is not None and not any(is_rfdetr(graph, head) for head in heads):
        network = "a DETR of panoptic segmentation"
        yield (
            (Source.NAMES, Source.SHAPES),
            network,
            f"{masks} beside {head.text}: masks of queries, as {network} gives them, which "
            f"no kind of output reads. {_CUT}",
        )
    for tensor in graph.of_rank(4):
        _, count, keypoints, numbers = tensor.shape or (None,) * 4
        if count == head.count and numbers in _NUMBERS and (keypoints or 0) >= _FEWEST_KEYPOINTS:
            yield (
                (Source.SHAPES,),
                "boxes, scores and keypoints in tensors of their own: YOLO-NAS-pose, RF-DETR's keypoints",
                f"{tensor} beside {head.text}: {keypoints} keypoints for each box, which "
                f"no kind of output reads from a tensor of their own. {_CUT}",
            )
