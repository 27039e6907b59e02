"""The two ways to run a session: plainly, and through IO binding."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from numpy.typing import NDArray

from postproc.onnx_runner.inputs import Feed
from postproc.onnx_runner.session import Session

Run = Callable[[Feed], Sequence[NDArray[Any]]]


def plain_runs(session: Session, output_names: Sequence[str], shared: Feed) -> Run:
    """Give a function from a run's own inputs to the outputs of `output_names`; all runs share `shared`."""
    return lambda inputs: session.run(output_names, {**shared, **inputs})


def bound_runs(session: Session, output_names: Sequence[str], shared: Feed) -> Run:
    """Give what `plain_runs` gives, through IO binding: shared inputs go to the device once.

    The binding belongs to one call and thread: nothing of it is shared.
    """
    binding = session.io_binding()
    for name, array in shared.items():
        binding.bind_cpu_input(name, array)

    def run(inputs: Feed) -> Sequence[NDArray[Any]]:
        for name, array in inputs.items():
            binding.bind_cpu_input(name, array)
        # Bound anew for each run, since a bound output keeps its last buffer and thereby its shape.
        for name in output_names:
            binding.bind_output(name, "cpu")
        # A run on bound memory neither waits for copies to the device nor, on every provider, for those back.
        binding.synchronize_inputs()
        session.run_with_iobinding(binding)
        binding.synchronize_outputs()
        arrays: Sequence[NDArray[Any]] = binding.copy_outputs_to_cpu()
        return arrays

    return run
