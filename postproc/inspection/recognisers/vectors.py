"""Numbers of an image that are no scores: embeddings, measurements, and the heads of small cascades."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from postproc.inspection.evidence import Evidence, Part, Source, speaks_against, speaks_for
from postproc.inspection.graph import Tensor, listed
from postproc.inspection.nodes import is_raw
from postproc.inspection.observed import Columns, Observed
from postproc.inspection.readings import Reading
from postproc.inspection.recognisers.classifiers import labels_of
from postproc.inspection.recognisers.heads import heads_of

_OF_EMBEDDINGS = ("embed", "feat", "pooler", "descriptor", "hidden_state", "representation")
_OF_MEASUREMENTS = (
    *("landmark", "keypoint", "kpt", "point", "bbox", "boxes", "pose", "angle", "yaw", "age", "depth"),
    *("quality", "regression", "offset", "coord", "gaze", "params"),
)
_USUAL_WIDTHS = {128, 192, 256, 320, 384, 512, 576, 768, 960, 1024, 1280, 1408, 1536, 1792, 2048, 4096}
_FEWEST = 16
_NORMS = {"ReduceL2", "LpNormalization"}
_UNIT = 1e-2
_CASCADE = ({4, 2}, {4, 2, 10})  # channels: offsets of a box, face or not, places of five landmarks


@dataclass(frozen=True)
class Direction:
    """A vector an image of which the direction matters: scaled to length 1."""

    columns: Columns

    def examined(self, observed: Observed) -> Iterator[Evidence]:
        """Yield what the operators and the run say for it."""
        name = self.columns.tensor
        if observed.sources(self.columns) <= _NORMS | {"Div"} and observed.graph.upstream(name) & _NORMS:
            text = f"{name} is divided by its length, as embeddings are"
            yield speaks_for(Source.OPERATORS, text, Part.KIND)
        rows = observed.rows(self.columns)
        if rows is None or not rows.size or not np.isfinite(rows).all():
            return
        lengths = np.linalg.norm(rows, axis=1)
        if rows.min() < 0 and (np.abs(lengths - 1) < _UNIT).all():
            yield speaks_for(Source.RUN, f"{name} has length 1 in a run, as embeddings have", Part.KIND)


def vectors(observed: Observed) -> Iterator[Reading]:
    """Name embeddings and measurements, which no kind of output expresses."""
    graph = observed.graph
    outputs = [tensor for tensor in graph.float_outputs if labels_of(graph, tensor)]
    if graph.image is None or graph.task or not outputs or len(outputs) != len(graph.outputs):
        return
    for tensor in outputs:
        text = str(tensor)
        yield Reading(
            "an embedding",
            None,
            tuple(_of_embedding(tensor, text)),
            (Direction(Columns(tensor.name, 1)),) if tensor.rank == 2 else (),
            advice=f"{text} may be an embedding: numbers to compare images by, and no scores of labels; "
            "no kind of output describes it; of a network with a classifying layer export its output",
        )
        if tensor.is_called(*_OF_MEASUREMENTS) and not graph.ends_in(tensor.name, "Softmax"):
            found = f"{tensor.name} is named as measurements are"
            yield Reading(
                "measurements",
                None,
                (speaks_for(Source.NAMES, found, Part.KIND),),
                advice=f"{text} are, by its name, measurements of an image, such as places or angles: no "
                "scores of labels, and no kind of output describes them",
            )


def _of_embedding(tensor: Tensor, text: str) -> Iterator[Evidence]:
    if tensor.is_called(*_OF_EMBEDDINGS):
        yield speaks_for(Source.NAMES, f"{tensor.name} is named as embeddings are", Part.KIND)
    if tensor.axis(1) in _USUAL_WIDTHS:
        yield speaks_for(Source.SHAPES, f"{text}: as wide as embeddings usually are", Part.KIND)
    elif (tensor.axis(1) or 0) < _FEWEST:
        yield speaks_against(Source.SHAPES, f"{text}: embeddings have more numbers", Part.KIND)


def cascades(observed: Observed) -> Iterator[Reading]:
    """Name the networks of MTCNN, which give offsets of a box, whether it is a face, and landmarks."""
    graph = observed.graph
    outputs = graph.outputs
    channels = {tensor.axis(1) for tensor in outputs}
    if channels not in _CASCADE or len(channels) != len(outputs) or graph.task:
        return
    if len({(tensor.rank, (tensor.shape or ())[2:]) for tensor in outputs}) != 1:
        return
    texts = listed(outputs)
    text = f"{texts}: offsets of a box, face or not{', five landmarks' * (10 in channels)}"
    evidence = [speaks_for(Source.SHAPES, text, Part.KIND)]
    (face,) = (tensor for tensor in outputs if tensor.axis(1) == 2)
    others = [tensor for tensor in outputs if tensor is not face]
    raw = all(is_raw(graph.sources(tensor.name)) for tensor in others)
    if graph.ends_in(face.name, "Softmax") and raw:
        found = f"of {texts} only {face.name} ends in a Softmax"
        evidence.append(speaks_for(Source.OPERATORS, found, Part.KIND))
    yield Reading(
        "a network of MTCNN",
        None,
        tuple(evidence),
        advice=f"{text}, as a network of the cascade MTCNN has them. No kind of output describes a cascade: "
        "use a face detector of one network, or the cascade's own code",
    )


def hidden_states(observed: Observed) -> Iterator[Reading]:
    """Name the hidden states of a transformer: a vector for each patch, and one for the image beside them."""
    graph = observed.graph
    states = [tensor for tensor in graph.of_rank(3) if tensor.is_called("hidden_state")]
    if not states and len(graph.of_rank(3)) == 1 and len(graph.float_outputs) == 2:
        (one,) = graph.of_rank(3)
        states = [one] if any(one.axis(2) == two.axis(1) for two in graph.of_rank(2)) else []
    if len(states) != 1 or graph.task or heads_of(graph):  # beside boxes they are no answer
        return
    text = str(states[0])
    evidence = [speaks_for(Source.SHAPES, f"{text}: a vector for each patch", Part.KIND)]
    if states[0].is_called(*_OF_EMBEDDINGS):
        evidence.append(
            speaks_for(Source.NAMES, f"{states[0].name} is named as hidden states are", Part.KIND)
        )
    yield Reading(
        "hidden states of a transformer",
        None,
        tuple(evidence),
        advice=f"{text}: hidden states, an embedding for each patch of the image, without a head that scores "
        "labels: export the network with its head",
    )
