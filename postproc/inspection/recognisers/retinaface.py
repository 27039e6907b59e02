"""RetinaFace, whose priors its training code makes and no file holds."""

from __future__ import annotations

from collections.abc import Iterator

from postproc.inspection.evidence import Part, Source, speaks_for
from postproc.inspection.graph import Graph, Tensor, listed
from postproc.inspection.meanings import Detects
from postproc.inspection.observed import Columns, Observed
from postproc.inspection.presets import RETINAFACE, RETINAFACE_IMAGE
from postproc.inspection.readings import Reading
from postproc.inspection.recognisers.heads import is_undecoded
from postproc.inspection.roles import Scores
from postproc.schema import SsdOutput
from postproc.transforms import Size

_KEYPOINTS = 5
_SIZES = {8: (16, 32), 16: (64, 128), 32: (256, 512)}  # of priors, by stride
_NAMES = (("bbox", "loc", "box"), ("conf", "cls", "score"), ("landm", "ldm"))


def priors_of(size: Size) -> list[list[float]]:
    """Make Pytorch_Retinaface's priors (cx, cy, w, h) for an input of height and width, in [0, 1]."""
    height, width = size
    return [
        [(column + 0.5) * stride / width, (row + 0.5) * stride / height, side / width, side / height]
        for stride, sides in _SIZES.items()
        for row in range(-(-height // stride))
        for column in range(-(-width // stride))
        for side in sides
    ]


def tensors_of(graph: Graph) -> tuple[Tensor, Tensor, Tensor] | None:
    """Find the offsets, scores and landmarks of as many priors as RetinaFace has; None if there are none."""
    if graph.input_size is None:
        return None
    count = 2 * sum(-(-graph.input_size[0] // s) * -(-graph.input_size[1] // s) for s in _SIZES)
    found: dict[int, Tensor] = {}
    for tensor in graph.of_rank(3):
        # Where the file leaves the count free, a run tells it.
        if tensor.axis(1) in (count, None) and tensor.axis(2) in (4, 2, 2 * _KEYPOINTS):
            if tensor.axis(2) in found:
                return None
            found[tensor.axis(2) or 0] = tensor
    return (found[4], found[2], found[2 * _KEYPOINTS]) if len(found) == 3 else None


def retinaface(observed: Observed) -> Iterator[Reading]:
    """Recognise (B, N, 4), (B, N, 2) and (B, N, 10) of two priors a cell of strides 8, 16 and 32."""
    graph = observed.graph
    tensors = tensors_of(graph)
    if tensors is None or graph.input_size is None:
        return
    offsets, scores, landmarks = tensors
    if not all(is_undecoded(observed, Columns(tensor.name)) for tensor in (offsets, landmarks)):
        return
    priors = priors_of(graph.input_size)
    height, width = graph.input_size
    parts = (Part.KIND, Part.COLUMNS, Part.BOX_FORMAT, Part.UNITS, Part.FACTORS, Part.BACKGROUND)
    text = (
        f"{listed(tensors)}: a box, a face's score and {_KEYPOINTS} landmarks for each of the {len(priors)} "
        f"priors that RetinaFace has in an input of {height}x{width}"
    )
    raw = f"{offsets.name} and {landmarks.name} come from layers as they are, as offsets do"
    evidence = [
        speaks_for(Source.SHAPES, text, *parts),
        speaks_for(Source.OPERATORS, raw, *parts),
    ]
    if all(tensor.is_called(*names) for tensor, names in zip(tensors, _NAMES, strict=True)):
        text = f"{', '.join(tensor.name for tensor in tensors)} are named as RetinaFace's outputs are"
        evidence.append(speaks_for(Source.NAMES, text, *parts))
    for activation in ("none", "softmax"):
        output = SsdOutput.load(
            {
                "offsets_tensor": offsets.name,
                "scores_tensor": scores.name,
                "landmarks_tensor": landmarks.name,
                "keypoints": _KEYPOINTS,
                "priors": priors,
                "score_activation": activation,
            }
        )
        checks = ["the priors are not in the file: they are made as Pytorch_Retinaface makes them"]
        if graph.size_source == "assumed":
            checks.append(f"they are those of an input of {height}x{width}, and of no other size")
        yield Reading(
            "RetinaFace",
            Detects(output, 1, RETINAFACE, RETINAFACE_IMAGE, "offsets, scores and landmarks"),
            tuple(evidence),
            (Scores(Columns(scores.name), activation, "first"),),
            checks=tuple(checks),
        )
