"""Classifiers: a score per label and image."""

from __future__ import annotations

from collections.abc import Iterator

from postproc.inspection.documents import classification
from postproc.inspection.graph import Graph, Tensor
from postproc.inspection.presets import IMAGENET_CROP, ULTRALYTICS_CLASSIFY
from postproc.inspection.proposal import Certainty, Proposal
from postproc.schema import Classification

_USUAL_SIZE = (224, 224)


def classifier(graph: Graph) -> Iterator[Proposal]:
    """Recognise (B, L) scores, one tensor or several; further axes of size 1 do not count."""
    outputs = graph.float_outputs
    if not outputs or len(outputs) != len(graph.outputs) or graph.image is None:
        return
    if not all(_labels(tensor) for tensor in outputs):
        return
    reasons, checks, described = [], [], []
    for tensor in outputs:
        count = _labels(tensor)
        activation, exclusive, reason = _activation(graph, tensor)
        reasons.append(f"{tensor.name} is {tensor.text}: a score for each of {count} labels; {reason}")
        if activation == "softmax":
            checks.append(
                f"{tensor.name}: softmax, if one label an image is right; for tags score_activation is "
                "sigmoid"
            )
        fields = {"output_tensor": tensor.name, "score_activation": activation}
        output = Classification.load(fields if activation != "none" else {"output_tensor": tensor.name})
        described.append((output, count, exclusive))
    reasons.append("thresholds left out: 0.025 where one label is right, 0.5 where several may be")
    embedded = graph.is_ultralytics and graph.task == "classify"
    if embedded:
        reasons.append("ultralytics exported it for classify")
    yield classification(
        graph,
        described,
        certainty=Certainty.CERTAIN if embedded else Certainty.LIKELY,
        image=ULTRALYTICS_CLASSIFY if embedded else IMAGENET_CROP,
        usual_size=_USUAL_SIZE,
        reasons=reasons,
        checks=checks,
    )


def _labels(tensor: Tensor) -> int:
    """Give the number of labels, 0 if the tensor is no vector per image."""
    trailing = () if tensor.shape is None else tensor.shape[2:]
    count = tensor.axis(1)
    is_vector = tensor.rank >= 2 and all(size == 1 for size in trailing)
    is_single = tensor.axis(0) in (1, None) or tensor.declared != tensor.shape
    return count if is_vector and count is not None and (count > 1 or is_single) else 0


def _activation(graph: Graph, tensor: Tensor) -> tuple[str, bool, str]:
    """Tell the function that scores still need, whether labels exclude each other, and why."""
    if graph.ends_in(tensor.name, "Softmax"):
        return "none", True, "they end in a Softmax, so that one label is right"
    if graph.ends_in(tensor.name, "Sigmoid"):
        return "none", False, "they end in a Sigmoid each, so that several labels may be right"
    if tensor.axis(1) == 1:
        return "sigmoid", False, "one logit is a yes or no"
    return "softmax", True, "no Softmax or Sigmoid ends them, so they are logits"
