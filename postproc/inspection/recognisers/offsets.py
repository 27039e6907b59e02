"""Offsets with what they refer to: SSD's priors, the anchors or proposals of v0.7, MediaPipe's priors."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from postproc.inspection.claims import Claim, with_claims
from postproc.inspection.evidence import Evidence, Part, Source, speaks_for
from postproc.inspection.graph import Tensor, listed
from postproc.inspection.meanings import Detects
from postproc.inspection.observed import Columns, Observed
from postproc.inspection.presets import CAFFE, FASTER_RCNN, SQUASH, SSD, SSD_IMAGE
from postproc.inspection.readings import Reading, Role
from postproc.inspection.recognisers.heads import heads_of, is_undecoded
from postproc.inspection.recognisers.retinaface import tensors_of
from postproc.inspection.roles import Boxes, LabelCount, Scores
from postproc.schema import AnchoredOutput, DetectionOutput, SsdOutput
from postproc.schema.outputs import Background, BoxFormat, Coordinates, ScoreActivation

_PRIORS = ("prior", "default_boxes", "dboxes")
_VARIANCES = (0.1, 0.1, 0.2, 0.2)
_SCALES = (_VARIANCES, (1.0, 1.0, 1.0, 1.0))
_FORMATS: tuple[BoxFormat, ...] = ("xyxy", "cxcywh", "yxyx")
_UNITS: tuple[Coordinates, ...] = ("normalized", "pixels")
_ACTIVATIONS: tuple[tuple[ScoreActivation, Background], ...] = (
    ("none", "first"),
    ("none", "last"),
    ("none", "none"),
    ("softmax", "first"),
    ("softmax", "last"),
    ("sigmoid", "none"),
)
_MOST_TENSORS = 5
_FEWEST_PRIORS = 100


@dataclass(frozen=True, slots=True)
class Offsets:
    """Offsets, scores, and the boxes that the offsets refer to.

    Parameters
    ----------
    references, offsets, scores : Tensor
        Boxes (B, N, 4), (B, N, 5) or Caffe's priors (1, 2, N*4); (B, N, 4) or (B, N, 4*C); (B, N, C). The
        batch axis may be missing.
    columns : int
        C.
    """

    references: Tensor
    offsets: Tensor
    scores: Tensor
    columns: int

    @property
    def text(self) -> str:
        """The tensors and their shapes."""
        return listed((self.references, self.offsets, self.scores))

    @property
    def is_caffe(self) -> bool:
        """Whether the references are Caffe's priors, with their variances in a second row."""
        return self.references.axis(-1) not in (4, 5)

    @property
    def is_shared(self) -> bool:
        """Whether all labels have the same offsets."""
        return self.offsets.axis(-1) == 4

    @property
    def reference_columns(self) -> Columns:
        """The four numbers of each reference."""
        return Columns(self.references.name, -1, 1 if self.references.axis(-1) == 5 else 0, 4)


def offsets_of(observed: Observed) -> Iterator[Offsets]:
    """Find outputs of N rows each: boxes, offsets as a layer gives them, and scores."""
    tensors = observed.graph.of_rank(2, 3)
    if not 3 <= len(tensors) <= _MOST_TENSORS:
        return
    for references, offsets, scores in itertools.permutations(tensors, 3):
        columns, numbers = scores.axis(-1), offsets.axis(-1)
        numbers_of = references.axis(2) or 0
        is_caffe = references.rank == 3 and references.axis(1) == 2 and numbers_of > 8 and numbers_of % 4 == 0
        if columns is None or numbers is None or not (is_caffe or references.axis(-1) in (4, 5)):
            continue
        if is_undecoded(observed, Columns(references.name)) or not is_undecoded(
            observed, Columns(offsets.name)
        ):
            continue
        rows = {tensor.axis(-2) for tensor in (offsets, scores)}
        rows.add(numbers_of // 4 if is_caffe else references.axis(-2))
        if len(rows - {None}) < 2 and numbers in (4, 4 * columns, 4 * (columns - 1)) and scores.rank > 1:
            yield Offsets(references, offsets, scores, columns)


def offsets(observed: Observed) -> Iterator[Reading]:
    """Recognise offsets and scores with priors, anchors or proposals as a further output."""
    for found in offsets_of(observed):
        is_fixed = observed.graph.is_constant(found.references.name)
        evidence = [*_of_tensors(observed, found, is_fixed)]
        claims = [*_claims(found)]
        read = _with_priors if is_fixed and found.is_shared else _with_proposals
        for reading in read(observed, found):
            yield with_claims(reading.with_evidence(evidence), claims)


def _of_tensors(observed: Observed, found: Offsets, is_fixed: bool) -> Iterator[Evidence]:
    shared = "shared by all labels" if found.is_shared else "per label"
    text = f"{found.text}: boxes, offsets from them {shared}, and {found.columns} scores"
    yield speaks_for(Source.SHAPES, text, Part.KIND, Part.COLUMNS)
    text = f"{found.offsets.name} comes from a layer as it is, as offsets do"
    if is_fixed:
        text += f", and {found.references.name} is the same for every image, as priors are"
    yield speaks_for(Source.OPERATORS, text, Part.KIND, Part.COLUMNS)


def _claims(found: Offsets) -> Iterator[Claim]:
    names = found.references.name, found.offsets.name, found.scores.name
    if names == ("rois", "bbox_pred", "cls_prob"):
        text = (
            "rois, bbox_pred and cls_prob are Caffe's Faster R-CNN: corners in pixels, the background first"
        )
        yield Claim(
            Source.NAMES,
            text,
            {Part.BOX_FORMAT: "xyxy", Part.UNITS: "pixels", Part.BACKGROUND: "first"},
        )
    if found.references.is_called(*_PRIORS):
        text = f"{found.references.name} is named as SSD's priors, whose softmax has its background first"
        yield Claim(Source.NAMES, text, {Part.ACTIVATION: "softmax", Part.BACKGROUND: "first"})
    if found.is_caffe:
        text = f"{found.references} holds priors and their variances, as Caffe's"
        yield Claim(
            Source.SHAPES,
            text,
            {Part.BOX_FORMAT: "xyxy", Part.UNITS: "normalized", Part.BACKGROUND: "first"},
        )


def _with_priors(observed: Observed, found: Offsets) -> Iterator[Reading]:
    """Read offsets shared by all labels from boxes that never change: SSD, and RetinaNet's anchors."""
    for scale, box_format, units, (activation, background) in itertools.product(
        _SCALES, _FORMATS, _UNITS, _ACTIVATIONS
    ):
        fields = {
            "priors_tensor": found.references.name,
            "priors_format": box_format,
            "offsets_scale": list(scale),
            "offsets_order": "yxhw" if box_format == "yxyx" else "xywh",
            "background": background,
        }
        if not found.is_caffe or box_format == "xyxy":
            yield from _reading(observed, found, SsdOutput, fields, units, activation)


def _with_proposals(observed: Observed, found: Offsets) -> Iterator[Reading]:
    """Read offsets from proposals, or offsets per label: Faster R-CNN."""
    for scale, box_format, units, (activation, background) in itertools.product(
        _SCALES, _FORMATS, _UNITS, _ACTIVATIONS
    ):
        numbers = found.offsets.axis(-1) or 0
        per_label = numbers // 4 if not found.is_shared else None
        labels = found.columns - (background != "none")
        if per_label not in (None, labels, found.columns) or found.is_caffe:
            continue
        if per_label == labels < found.columns and background == "first":
            continue  # the kind's own order has the background's offsets first
        fields = {
            "anchors_tensor": found.references.name,
            "anchors_format": box_format,
            "offsets_scale": list(scale),
            "background": background,
        }
        yield from _reading(observed, found, AnchoredOutput, fields, units, activation)


def _reading(
    observed: Observed,
    found: Offsets,
    kind: type[DetectionOutput],
    fields: dict[str, Any],
    units: Coordinates,
    activation: ScoreActivation,
) -> Iterator[Reading]:
    """Give a reading, unless the background leaves no label."""
    background, scale = fields["background"], tuple(fields["offsets_scale"])
    labels = found.columns - (background != "none")
    if labels < 1:
        return
    written = {
        "offsets_tensor": found.offsets.name,
        "scores_tensor": found.scores.name,
        "score_activation": activation,
        **fields,
    }
    defaults = {name: field.default for name, field in kind.model_fields.items()}
    plain = {
        name: value
        for name, value in written.items()
        if (tuple(value) if isinstance(value, list) else value) != defaults[name]
    }
    output = kind.load(plain)
    is_ssd = kind is SsdOutput
    size_tensor = "im_info" if any(item.name == "im_info" for item in observed.graph.inputs) else ""
    meaning = Detects(
        output,
        labels,
        SSD if is_ssd else FASTER_RCNN,
        SSD_IMAGE if is_ssd else CAFFE if size_tensor else SQUASH,
        "offsets, scores",
        in_pixels=units == "pixels" and not size_tensor,
        size_tensor=size_tensor if units == "pixels" else "",
        batched=found.scores.rank == 3,
    )
    box_format = fields.get("priors_format") or fields["anchors_format"]
    roles: list[Role] = [
        Scores(Columns(found.scores.name), activation, background),
        LabelCount(labels, background),
    ]
    if not found.is_caffe:
        roles.append(Boxes(found.reference_columns, box_format, units))
    evidence = tuple(_of_scale(observed, found, scale))
    yield Reading("SSD" if is_ssd else "Faster R-CNN", meaning, evidence, tuple(roles))


def _of_scale(observed: Observed, found: Offsets, scale: tuple[float, ...]) -> Iterator[Evidence]:
    """Tell what speaks for the factors of offsets, which the graph does not apply."""
    if found.references.is_called(*_PRIORS) and scale == _VARIANCES:
        text = f"{found.references.name} is named as priors, whose usual variances are 0.1, 0.1, 0.2, 0.2"
        yield speaks_for(Source.NAMES, text, Part.FACTORS)
    if (found.references.name, found.offsets.name) == ("rois", "bbox_pred") and scale == _SCALES[1]:
        text = "bbox_pred of Caffe's Faster R-CNN is to be taken as it is"
        yield speaks_for(Source.NAMES, text, Part.FACTORS)
    values = observed.outputs.get(found.references.name)
    if found.is_caffe and values is not None and np.allclose(values[0, 1].reshape(-1, 4), scale):
        text = f"{found.references.name}: its second row holds these factors"
        yield speaks_for(Source.RUN, text, Part.FACTORS)


def without_priors(observed: Observed) -> Iterator[Reading]:
    """Recognise offsets and scores whose priors are not in the file: SSD, EfficientDet, RetinaFace's kin."""
    graph = observed.graph
    if any(True for _ in offsets_of(observed)) or tensors_of(graph) is not None:
        return
    for head in heads_of(graph):
        count = head.count
        if head.boxes.rank != 3 or not is_undecoded(observed, head.box_columns):
            continue
        if count is not None and count < _FEWEST_PRIORS:
            continue
        marks = [tensor for tensor in graph.of_rank(3) if tensor.axis(1) == count and tensor.axis(2) == 10]
        if head.scores in marks:
            continue
        network = "RetinaFace" if marks else "SSD, EfficientDet or RetinaNet"
        text = (
            f"{head.text} are offsets and scores as {network} gives them, from layers as they are. Their "
            f"{'' if count is None else f'{count} '}priors (anchors) are not in the file"
        )
        yield Reading(
            f"{network} without its priors",
            None,
            (
                speaks_for(Source.OPERATORS, text, Part.KIND),
                speaks_for(Source.SHAPES, text, Part.KIND),
            ),
            advice=f"{text}: export the network with its decoding, or describe it by hand as ssd_output, "
            "with the priors of the training code in its field priors",
        )
