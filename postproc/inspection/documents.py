"""From a reading to its documents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from postproc.inspection.graph import Graph
from postproc.inspection.image_inputs import preprocessing_for
from postproc.inspection.meanings import Classifies, Detects
from postproc.inspection.proposal import Proposal
from postproc.inspection.readings import Reading
from postproc.schema import Detection, Preprocessing, RecognitionSpec, RecognitionVersion, check_pair
from postproc.schema.limits import LONGEST_NAME
from postproc.transforms import Size

# COCO's ids, and its 80 labels in a row, are all among the classes up to it.
_HIGHEST_ASSUMED = 90


def proposal_of(graph: Graph, reading: Reading) -> Proposal:
    """Write the documents of a reading that a kind of output expresses."""
    meaning = reading.meaning
    assert meaning is not None
    documents = (
        _detection(graph, meaning) if isinstance(meaning, Detects) else _classification(graph, meaning)
    )
    spec = RecognitionSpec.load(
        {
            "name": graph.name[:LONGEST_NAME],
            "description": f"Proposed by postproc inspect: {reading.network}.",
            "outputs": documents.spec_outputs,
        }
    )
    version = RecognitionVersion.load({"post_processings": documents.post_processings})
    check_pair(spec, version)
    checks = dict.fromkeys((*reading.checks, *documents.checks))
    return Proposal(reading, tuple(checks), spec, version, documents.preprocessing)


@dataclass
class _Documents:
    """The parts of the documents, and what of them has to be checked."""

    spec_outputs: list[dict[str, Any]]
    post_processings: list[dict[str, Any]]
    preprocessing: Preprocessing | None
    checks: list[str]


def _detection(graph: Graph, meaning: Detects) -> _Documents:
    output, decision = meaning.output, meaning.decision
    size = _size(graph, meaning.usual_size)
    named, checks = _labels(graph, meaning.labels, meaning.first_id)
    fields: dict[str, Any] = {
        Detection.kind_of(output): output.dump(),
        "thresholds": [decision.threshold] * len(named),
        "nms_threshold": decision.nms_threshold,
    }
    if not decision.multi_label:
        fields["multi_label"] = False
    for name in ("iou", "suppression"):
        if getattr(decision, name) != Detection.model_fields[name].default:
            fields[name] = getattr(decision, name)
    if meaning.size_tensor:
        fields["normalize_wrt_tensor"] = meaning.size_tensor
    elif meaning.in_pixels or output.boxes_are_in_pixels or output.needs_input_size:
        if size is not None:
            fields["input_size"] = list(size)
        else:
            checks.append("boxes are in pixels of an input whose size is unknown: add input_size")
    prepared, image_checks = preprocessing_for(graph, meaning.image, size, batched=meaning.batched)
    return _Documents(
        [_spec_output(named, exclusive=True, roi="BBOX")],
        [{"detection": fields}],
        prepared,
        [*checks, *image_checks],
    )


def _classification(graph: Graph, meaning: Classifies) -> _Documents:
    size = _size(graph, meaning.usual_size)
    spec_outputs: list[dict[str, Any]] = []
    checks: list[str] = []
    for _, count, exclusive in meaning.outputs:
        named, more = _labels(graph, count, 0)
        spec_outputs.append(_spec_output(named, exclusive=exclusive, roi="NONE"))
        checks += more
    prepared, image_checks = preprocessing_for(graph, meaning.image, size)
    outputs = [{"classification": output.dump()} for output, _, _ in meaning.outputs]
    return _Documents(spec_outputs, outputs, prepared, [*checks, *image_checks])


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
        count = _HIGHEST_ASSUMED + 1 - first_id
        checks.append(
            f"the outputs do not tell how many labels there are: classes up to {_HIGHEST_ASSUMED} are called "
            "by their numbers, and higher ones are left out; give the names with --labels"
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
