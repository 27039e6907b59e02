"""What ``postproc inspect`` found, as JSON."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from postproc.inspection import Inspection, Reading, Tensor
from postproc.inspection.evidence import Evidence, Part


def inspection_json(inspection: Inspection) -> dict[str, Any]:
    """Give all that was found as a JSON-ready dict."""
    graph = inspection.graph
    return {
        "name": graph.name,
        "producer": graph.producer,
        "inputs": [_tensor_json(tensor) for tensor in graph.inputs],
        "outputs": [_tensor_json(tensor) for tensor in graph.outputs],
        "metadata": dict(graph.metadata),
        "fused": None
        if inspection.fused is None
        else {
            "options": dict(inspection.fused.options),
            "spec": inspection.fused.spec.dump(),
            "version": inspection.fused.version.dump(),
        },
        "input_size": None if graph.input_size is None else list(graph.input_size),
        "input_size_source": graph.size_source,
        "was_run": inspection.was_run,
        "faults": list(inspection.faults),
        "notes": list(graph.notes),
        "unsupported": list(inspection.unsupported),
        "named": [
            {"network": reading.network, "text": reading.advice, "evidence": _evidence_json(reading.evidence)}
            for reading in inspection.named
        ],
        "decided": inspection.decided is not None,
        "proposals": [
            {
                "kind": proposal.kind,
                "network": proposal.network,
                "certainty": proposal.certainty.name.lower(),
                "parts": [_part_json(proposal.reading, part) for part in proposal.reading.values],
                "checks": list(proposal.checks),
                **{
                    name.removesuffix(".json"): document.dump()
                    for name, document in proposal.documents.items()
                },
            }
            for proposal in inspection.proposals
        ],
        "beaten": [_reading_json(reading) for reading in inspection.beaten],
        "refuted": [_reading_json(reading) for reading in inspection.refuted],
    }


def _part_json(reading: Reading, part: Part) -> dict[str, Any]:
    return {
        "part": part.value,
        "value": reading.values[part],
        "certainty": reading.certainty_of(part).name.lower(),
        "evidence": _evidence_json(reading.evidence_for(part)),
    }


def _evidence_json(items: Iterable[Evidence]) -> list[dict[str, str]]:
    return [{"source": item.source.value, "text": item.text} for item in items]


def _reading_json(reading: Reading) -> dict[str, Any]:
    return {
        "network": reading.network,
        "certainty": reading.certainty.name.lower(),
        "parts": {part.value: value for part, value in reading.values.items()},
        "against": [item.text for item in reading.contradictions],
    }


def _tensor_json(tensor: Tensor) -> dict[str, Any]:
    return {
        "name": tensor.name,
        "type": tensor.type,
        "shape": None if tensor.declared is None else list(tensor.declared),
        "inferred_shape": None if tensor.shape is None else list(tensor.shape),
    }
