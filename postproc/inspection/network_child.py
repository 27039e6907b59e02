"""The process in which `postproc.inspection.network_run` runs a network."""

from __future__ import annotations

from typing import Any

import numpy as np

from postproc.errors import RunnerError
from postproc.inspection.generated_inputs import GeneratedInput
from postproc.isolation import answer, limit_memory
from postproc.onnx_runner.faults import is_out_of_memory
from postproc.onnx_runner.inputs import Feed
from postproc.onnx_runner.network import OnnxNetwork
from postproc.onnx_runner.session import CPU, NUMPY_TYPES, options_for

_THREADS = 2
_GIB = 1 << 30
_MOST_BYTES = _GIB // 4  # of all outputs


def main(order: dict[str, Any]) -> dict[str, Any]:
    """Run a network on the first of several inputs that it takes, and save its outputs.

    Parameters
    ----------
    order : dict
        ``model``, the file; ``bytes`` of it and its weights; ``trials``, each the fields of every
        `GeneratedInput` by name; ``outputs``, the ``.npz`` file to write.

    Returns
    -------
    dict
        ``trial``, the row of what it was run on, and ``names`` of the arrays in the file; or ``fault``.
    """
    limit = 8 * (_GIB + order["bytes"])
    limit_memory(limit)
    try:
        trial, outputs = _first_run(order["model"], order["trials"])
    except (MemoryError, RunnerError) as error:
        if is_out_of_memory(error.__cause__ or error):
            return {"fault": f"it takes more than the {limit / _GIB:.1f} GiB of memory that a run is given"}
        return {"fault": str(error).removeprefix("model: ")}
    size = sum(array.nbytes for array in outputs.values())
    if size > _MOST_BYTES:
        return {"fault": f"its outputs take {size:,} bytes, and at most {_MOST_BYTES:,} are looked at"}
    try:
        np.savez(order["outputs"], *outputs.values())
    except OSError as error:
        return {"fault": f"its outputs cannot be saved to be looked at: {error}"}
    return {"trial": trial, "names": list(outputs)}


def _first_run(model: str, trials: list[dict[str, dict[str, Any]]]) -> tuple[int, Feed]:
    options = options_for(_THREADS)
    options.log_severity_level = 4
    network = OnnxNetwork(model, [CPU], options)
    # Where the file did not tell that no output is an array, OnnxNetwork does.
    names = [name for name, info in network.outputs.items() if info.type in NUMPY_TYPES] or network.outputs
    faults: list[RunnerError] = []
    for row, trial in enumerate(trials):
        inputs = {name: GeneratedInput(**fields).array() for name, fields in trial.items()}
        try:
            return row, network(inputs, names)
        except RunnerError as error:
            faults.append(error)
    if len(faults) == 1:
        raise faults[0]
    raise RunnerError(
        f"{faults[0]}; its input's size is free, and it does not run on the other {len(faults) - 1} usual "
        "sizes that were tried: give its own with --size"
    ) from faults[0].__cause__


if __name__ == "__main__":
    answer(main)
