"""What would keep a network from running, as far as its file tells."""

from __future__ import annotations

from postproc.file_kinds import file_mistaken_for
from postproc.inspection.graph import UNDEFINED, Graph
from postproc.onnx_runner.faults import advice_for_type

_MOST_NAMES = 3


def faults_of(graph: Graph) -> list[str]:
    """Say which files of weights are missing, and which outputs are no arrays of numbers."""
    return [*filter(None, [weight_fault(graph)]), *output_faults(graph)]


def weight_fault(graph: Graph) -> str:
    """Say which files of weights are missing, or are something else; nothing where all is well."""
    missing = [repr(str(path)) for path in graph.weights if not path.is_file()]
    if missing:
        more = f" and {len(missing) - _MOST_NAMES} more" if len(missing) > _MOST_NAMES else ""
        return (
            f"files of its weights are missing: {', '.join(missing[:_MOST_NAMES])}{more}; put them there, "
            "under the names that they were exported with"
        )
    kinds = {path: file_mistaken_for(path) for path in graph.weights}
    return next(
        (f"its weights lie in {str(path)!r}, which is {kind}" for path, kind in kinds.items() if kind), ""
    )


def output_faults(graph: Graph) -> list[str]:
    """Say which outputs are no arrays of numbers."""
    return [
        f"its output {tensor.name} is {tensor.type}, which ONNX Runtime cannot hand over as a NumPy array; "
        f"{advice_for_type(tensor.type)}"
        for tensor in graph.outputs
        if not tensor.is_array and tensor.type != UNDEFINED
    ]
