"""Classifiers: a score per label and image."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from postproc.inspection.evidence import PARTS_OF_ANSWERS, Evidence, Part, Source, speaks_against, speaks_for
from postproc.inspection.graph import Graph, Tensor, image_axes
from postproc.inspection.meanings import Classifies
from postproc.inspection.observed import Columns, Observed
from postproc.inspection.presets import IMAGENET_CROP, ULTRALYTICS_CLASSIFY
from postproc.inspection.readings import Reading, Role
from postproc.inspection.roles import Exclusion, LabelCount, Scores
from postproc.schema import Classification
from postproc.schema.outputs import ScoreActivation

_USUAL_SIZE = (224, 224)
_TAGS = "multi_label_classification"  # as transformers calls the problem
_OF_TAGS = ("tag", "multilabel", "multi_label", "attribute")
_OF_SCORES = ("logit", "prob", "softmax", "class", "score", "label", "predictions", *_OF_TAGS)
_IMAGENET = {1000, 1001, 21841, 21843}
_MOST_HEADS = 4

ScoreForm = tuple[
    ScoreActivation, bool
]  # what the scores still need, and whether the labels exclude each other


def classifiers(observed: Observed) -> Iterator[Reading]:
    """Recognise (B, L) scores, one tensor or several; further axes of size 1 do not count."""
    graph = observed.graph
    images = [tensor for tensor in graph.inputs if image_axes(tensor.declared) is not None]
    if len(images) != 1 or graph.task not in ("", "classify"):
        return
    vectors = [tensor for tensor in graph.float_outputs if labels_of(graph, tensor)]
    named = [tensor for tensor in vectors if tensor.is_called(*_OF_SCORES)]
    heads = vectors if len(vectors) == len(graph.outputs) else named
    if not 0 < len(heads) <= _MOST_HEADS:
        return
    for forms in itertools.product(*(_forms(graph, tensor) for tensor in heads)):
        yield _reading(graph, heads, forms)


def _forms(graph: Graph, tensor: Tensor) -> tuple[ScoreForm, ...]:
    """Give the ways in which scores may be meant; as logits of tags only where something says so."""
    may_be_tags = (
        tensor.axis(1) == 1 or tensor.is_called(*_OF_TAGS) or graph.config.get("problem_type") == _TAGS
    )
    tags: tuple[ScoreForm, ...] = (("sigmoid", False),) if may_be_tags else ()
    return (("none", True), ("none", False), ("softmax", True), *tags)


def labels_of(graph: Graph, tensor: Tensor) -> int:
    """Give the numbers of each image in a tensor, 0 if it holds no vector an image."""
    if tensor.rank not in (2, 4) or any(size != 1 for size in (tensor.shape or ())[2:]):
        return 0
    count, images = tensor.axis(1), tensor.axis(0)
    batch = None if graph.image is None else graph.image.axis(0)
    is_batch = images in (None, batch, 1) and not graph.suppressor
    return count if count is not None and is_batch else 0


def _reading(graph: Graph, heads: Sequence[Tensor], forms: Sequence[ScoreForm]) -> Reading:
    is_told = graph.is_ultralytics and graph.task == "classify"
    outputs: list[tuple[Classification, int, bool]] = []
    roles: list[Role] = []
    evidence: list[Evidence] = []
    for tensor, (activation, is_exclusive) in zip(heads, forms, strict=True):
        count = tensor.axis(1) or 0
        output = Classification(output_tensor=tensor.name, score_activation=activation)
        outputs.append((output, count, is_exclusive))
        columns = Columns(tensor.name, 1, 0, count)
        roles += [
            Scores(columns, activation, in_boxes=False),
            Exclusion(columns, activation, is_exclusive),
        ]
        if len(heads) == 1:
            roles.append(LabelCount(count))
        evidence += _of_head(graph, tensor, count, is_exclusive)
    evidence += _of_config(graph, forms)
    if all(_ends_in_choice(graph, tensor) for tensor in heads):
        names = ", ".join(tensor.name for tensor in heads)
        text = f"{names}: a Softmax ends the graph, or a Sigmoid of one number"
        evidence.append(speaks_for(Source.OPERATORS, text, Part.KIND))
    if is_told:
        text = "ultralytics exported it for the task classify, whose networks end in a Softmax"
        evidence.append(speaks_for(Source.METADATA, text, *PARTS_OF_ANSWERS))
        if forms[0] != ("none", True):
            evidence.append(speaks_against(Source.METADATA, text, Part.ACTIVATION))
    return Reading(
        "classifier",
        Classifies(tuple(outputs), ULTRALYTICS_CLASSIFY if is_told else IMAGENET_CROP, _USUAL_SIZE),
        tuple(evidence),
        tuple(roles),
        checks=tuple(_checks(heads, forms)),
    )


def _checks(heads: Sequence[Tensor], forms: Sequence[ScoreForm]) -> Iterator[str]:
    for tensor, (activation, _) in zip(heads, forms, strict=True):
        if activation == "softmax":
            yield (
                f"{tensor.name}: softmax, if one label an image is right; for tags score_activation is "
                "sigmoid"
            )


def _of_config(graph: Graph, forms: Sequence[ScoreForm]) -> Iterator[Evidence]:
    """Use what transformers writes beside a classifier: its kind, and whether several labels may be right."""
    architectures = graph.config.get("architectures")
    if not architectures or not str(architectures[0]).endswith("ForImageClassification"):
        return
    text = f"config.json says that it is a {architectures[0]}"
    yield speaks_for(Source.CONFIG, text, Part.KIND, Part.COLUMNS)
    problem = graph.config.get("problem_type")
    expected = "sigmoid" if problem == _TAGS else "softmax"
    if all(activation == expected for activation, _ in forms):
        yield speaks_for(Source.CONFIG, f"{text}, whose logits take a {expected}", Part.ACTIVATION)
    elif problem:
        yield speaks_against(Source.CONFIG, f"{text} of the problem type {problem}", Part.ACTIVATION)


def _ends_in_choice(graph: Graph, tensor: Tensor) -> bool:
    sources = graph.sources(tensor.name)
    return sources in ({"Softmax"}, {"LogSoftmax"}) or (tensor.axis(1) == 1 and sources == {"Sigmoid"})


def _of_head(graph: Graph, tensor: Tensor, count: int, is_exclusive: bool) -> Iterator[Evidence]:
    text = str(tensor)
    yield speaks_for(Source.SHAPES, f"{text}: {count} numbers an image", Part.COLUMNS)
    if tensor.is_called(*_OF_SCORES):
        yield speaks_for(Source.NAMES, f"{tensor.name} is named as scores are", Part.KIND)
    named = None if graph.labels is None else len(graph.labels.without_background(count))
    if named == count and graph.labels is not None:
        found = f"{graph.labels.source} names {count} labels, as many as {text} has numbers"
        yield speaks_for(Source.LABELS, found, Part.KIND)
    elif count in _IMAGENET:
        found = f"{text} has as many numbers as ImageNet has labels"
        parts = (Part.KIND, Part.COLUMNS, *((Part.ACTIVATION,) if is_exclusive else ()))
        yield speaks_for(Source.LABELS, f"{found}, of which one is right", *parts)
