"""The two ways to run a session: plainly, and through IO binding."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from postproc.errors import RunnerError
from postproc.onnx_runner.device_tensors import Bindable, Device, OrtTensor
from postproc.onnx_runner.faults import advice_for
from postproc.onnx_runner.inputs import Feed
from postproc.onnx_runner.session import Session

Run = Callable[[Mapping[str, Any]], Sequence[Any]]


def plain_runs(session: Session, output_names: Sequence[str], shared: Feed) -> Run:
    """Give a function from a run's own inputs to the outputs of `output_names`; all runs share `shared`."""
    return lambda inputs: session.run(output_names, {**shared, **inputs})


def bound_runs(
    session: Session,
    output_names: Sequence[str],
    shared: Mapping[str, Bindable],
    device: Device | None = None,
) -> Run:
    """Give what `plain_runs` gives, through IO binding: shared inputs go to the device once.

    The binding belongs to one call and thread: nothing of it is shared. With a `device`, outputs stay there,
    as `OrtTensor`.
    """
    binding = session.io_binding()
    for name, tensor in shared.items():
        _bind(binding, name, tensor)
    place = ("cpu",) if device is None else device.memory

    def run(inputs: Mapping[str, Bindable]) -> Sequence[NDArray[Any]] | Sequence[OrtTensor]:
        for name, tensor in inputs.items():
            _bind(binding, name, tensor)
        # Bound anew for each run, since a bound output keeps its last buffer and thereby its shape.
        for name in output_names:
            binding.bind_output(name, *place)
        # A run on bound memory neither waits for copies to the device nor, on every provider, for those back.
        binding.synchronize_inputs()
        session.run_with_iobinding(binding)
        binding.synchronize_outputs()
        if device is not None:
            return [OrtTensor(value) for value in binding.get_outputs()]
        arrays: Sequence[NDArray[Any]] = binding.copy_outputs_to_cpu()
        return arrays

    return run


def _bind(binding: Any, name: str, tensor: Bindable) -> None:
    if isinstance(tensor, np.ndarray):
        binding.bind_cpu_input(name, tensor)
    else:
        tensor.bind(binding, name)


@contextmanager
def explained(feed: Mapping[str, Bindable]) -> Iterator[None]:
    """Turn what ONNX Runtime raises into a RunnerError that tells what it was given."""
    try:
        yield
    except Exception as error:  # ONNX Runtime's exceptions have no base class of their own
        fed = ", ".join(f"{name!r} {tensor.dtype} {tensor.shape}" for name, tensor in feed.items())
        raise RunnerError(
            f"ONNX Runtime failed on the inputs {fed}: {str(error) or type(error).__name__}"
            f"{advice_for(error)}"
        ) from error
