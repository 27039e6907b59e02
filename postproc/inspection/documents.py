"""From what a recogniser found to the documents of a proposal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from postproc.inspection.graph import Graph, Size
from postproc.inspection.image_inputs import preprocessing_for
from postproc.inspection.presets import Decision, ImageStyle
from postproc.inspection.proposal import Certainty, Proposal
from postproc.schema import (
    Classification,
    Detection,
    DetectionOutput,
    RecognitionSpec,
    RecognitionVersion,
    check_pair,
)
from postproc.schema.limits import LONGEST_NAME

# Of COCO: 80 labels in a row, or ids from 1 to 90, of which ten are not used.
ASSUMED_LABELS, ASSUMED_IDS = 80, 90


def detection(
    graph: Graph,
    output: DetectionOutput,
    *,
    network: str,
    certainty: Certainty,
    labels: int | None,
    decision: Decision,
    image: ImageStyle,
    reasons: Iterable[str],
    checks: Iterable[str] = (),
    first_id: int = 0,
    in_pixels: bool = False,
    size_tensor: str = "",
    usual_size: Size | None = None,
    batched: bool = True,
) -> Proposal:
    """Make the proposal of a detection.

    Parameters
    ----------
    graph : Graph
        The network.
    output : DetectionOutput
        What describes its tensors.
    network, certainty, reasons, checks
        As in `Proposal`.
    labels : int or None
        How many labels the shapes show; None where they do not.
    decision, image : Decision, ImageStyle
        What users of such networks expect.
    first_id : int
        Id of the first label where no file gives ids.
    in_pixels : bool
        Whether boxes are in pixels of the network's input.
    size_tensor : str
        The tensor that holds the input's size, instead of its number in the document.
    usual_size : (int, int), optional
        Height and width that such networks usually have, taken where the file leaves them free.
    batched : bool
        False where the outputs have no batch axis.
    """
    size = _size(graph, usual_size)
    named, label_checks = _labels(graph, labels, first_id)
    fields: dict[str, Any] = {
        Detection.kind_of(output): output.dump(),
        "thresholds": [decision.threshold] * len(named),
        "nms_threshold": decision.nms_threshold,
    }
    if not decision.multi_label:
        fields["multi_label"] = False
    if decision.class_agnostic:
        fields["class_agnostic"] = True
    if size_tensor:
        fields["normalize_wrt_tensor"] = size_tensor
    elif in_pixels or output.boxes_are_in_pixels or output.needs_input_size:
        if size is not None:
            fields["input_size"] = list(size)
        else:
            label_checks.append("boxes are in pixels of an input whose size is unknown: add input_size")
    prepared, image_checks = preprocessing_for(graph, image, size, batched=batched)
    return _proposal(
        graph,
        network,
        certainty,
        (*reasons, decision.reason),
        (*checks, *label_checks, *image_checks),
        [_spec_output(named, exclusive=True, roi="BBOX")],
        [{"detection": fields}],
        prepared,
    )


def classification(
    graph: Graph,
    outputs: Sequence[tuple[Classification, int, bool]],
    *,
    certainty: Certainty,
    image: ImageStyle,
    usual_size: Size,
    reasons: Iterable[str],
    checks: Iterable[str] = (),
) -> Proposal:
    """Make the proposal of classifiers: of each output its count of labels and if they exclude each other."""
    size = _size(graph, usual_size)
    spec_outputs: list[dict[str, Any]] = []
    label_checks: list[str] = []
    for _, count, exclusive in outputs:
        named, more = _labels(graph, count, 0)
        spec_outputs.append(_spec_output(named, exclusive=exclusive, roi="NONE"))
        label_checks += [text for text in more if text not in label_checks]
    prepared, image_checks = preprocessing_for(graph, image, size)
    return _proposal(
        graph,
        "an image classifier",
        certainty,
        tuple(reasons),
        (*checks, *label_checks, *image_checks),
        spec_outputs,
        [{"classification": output.dump()} for output, _, _ in outputs],
        prepared,
    )


def _proposal(
    graph: Graph,
    network: str,
    certainty: Certainty,
    reasons: tuple[str, ...],
    checks: tuple[str, ...],
    spec_outputs: list[dict[str, Any]],
    post_processings: list[dict[str, Any]],
    preprocessing: Any,
) -> Proposal:
    spec = RecognitionSpec.load(
        {
            "name": graph.name[:LONGEST_NAME],
            "description": f"Proposed by postproc inspect: {network}.",
            "outputs": spec_outputs,
        }
    )
    version = RecognitionVersion.load({"post_processings": post_processings})
    check_pair(spec, version)
    return Proposal(network, certainty, reasons, checks, spec, version, preprocessing)


def _spec_output(labels: list[dict[str, Any]], *, exclusive: bool, roi: str) -> dict[str, Any]:
    return {"labels": {"labels": labels, "exclusive": exclusive, "roi": roi}}


def _size(graph: Graph, usual: Size | None) -> Size | None:
    return usual if graph.size_source == "assumed" and usual is not None else graph.input_size


def _labels(graph: Graph, count: int | None, first_id: int) -> tuple[list[dict[str, Any]], list[str]]:
    """Name the labels of an output, and say what has to be checked about them."""
    known = graph.labels
    if known is not None and count is not None:
        known = known.without_background(count)
    if known is not None and count in (None, len(known)):
        ids = known.ids or range(first_id, first_id + len(known))
        return [{"id": row, "name": name} for row, name in zip(ids, known.names, strict=True)], []
    checks = []
    if count is None:
        count = ASSUMED_IDS if first_id else ASSUMED_LABELS
        checks.append(
            f"the shapes do not tell how many labels there are: {count} assumed; give their names with "
            "--labels"
        )
    elif known is not None:
        checks.append(
            f"{known.source} names {len(known)} labels where the shapes say {count}, so the names are not "
            "used"
        )
    else:
        checks.append(
            f'no names of labels in the file: "label {first_id}" to "label {first_id + count - 1}" for now; '
            "give them with --labels"
        )
    return [{"id": row, "name": f"label {row}"} for row in range(first_id, first_id + count)], checks
