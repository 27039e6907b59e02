"""Stand-ins that record what a runner asks of its pipeline and of its session."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from postproc.onnx_runner import OnnxRunner
from postproc.onnx_runner.session import CPU
from postproc.results import Classifications, Recognitions
from postproc.results.labels import LabelTable


class Info(NamedTuple):
    """An input or output of a graph, as onnxruntime.NodeArg tells it."""

    name: str
    type: str
    shape: Sequence[int | str | None]


class RecordingBinding:
    """An IO binding that writes down its calls into its session's list."""

    def __init__(self, session: RecordingSession) -> None:
        self._session = session
        self._inputs: dict[str, NDArray[Any]] = {}
        self._outputs: list[str] = []

    def bind_cpu_input(self, name: str, array: NDArray[Any]) -> None:
        self._session.calls.append(("bind_cpu_input", name, array.shape))
        self._inputs[name] = array

    def bind_output(self, name: str, device: str) -> None:
        self._session.calls.append(("bind_output", name, device))
        self._outputs.append(name)

    def synchronize_inputs(self) -> None:
        self._session.calls.append(("synchronize_inputs",))

    def synchronize_outputs(self) -> None:
        self._session.calls.append(("synchronize_outputs",))

    def compute(self) -> None:
        self._results = [self._inputs["data"] + 0 for _ in self._outputs]
        self._outputs = []

    def copy_outputs_to_cpu(self) -> list[NDArray[Any]]:
        self._session.calls.append(("copy_outputs_to_cpu",))
        return self._results


class RecordingSession:
    """A session on an accelerator that there is not; each output is a copy of the input ``data``."""

    def __init__(self, inputs: Sequence[Info], outputs: Sequence[Info], providers: Sequence[str]) -> None:
        self._inputs, self._outputs, self._providers = inputs, outputs, providers
        self.calls: list[tuple[object, ...]] = []

    def get_inputs(self) -> Sequence[Info]:
        return self._inputs

    def get_outputs(self) -> Sequence[Info]:
        return self._outputs

    def get_providers(self) -> Sequence[str]:
        return self._providers

    def run(self, output_names: Sequence[str], input_feed: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        self.calls.append(("run", tuple(output_names), tuple(sorted(input_feed))))
        return [input_feed["data"] for _ in output_names]

    def io_binding(self) -> RecordingBinding:
        self.calls.append(("io_binding",))
        return RecordingBinding(self)

    def run_with_iobinding(self, binding: RecordingBinding) -> None:
        self.calls.append(("run_with_iobinding",))
        binding.compute()


class RecordingPost:
    """A pipeline that keeps what it is called with; an image's score is its first tensor's first number."""

    def __init__(self, *tensor_names: str, uses_input_size: bool = False) -> None:
        self.tensor_names = tensor_names
        self.uses_input_size = uses_input_size
        self.tensors: list[dict[str, NDArray[Any]]] = []
        self.options: list[dict[str, Any]] = []

    def __call__(self, tensors: Mapping[str, NDArray[Any]], **options: Any) -> Recognitions:
        self.tensors.append(dict(tensors))
        self.options.append(options)
        first = tensors[self.tensor_names[0]]
        images = len(first)
        return Recognitions(
            (
                Classifications(
                    scores=first.reshape(images, -1)[:, 0].astype(np.float32),
                    labels=np.zeros(images, np.int64),
                    predicted=np.ones(images, np.bool_),
                    offsets=np.arange(images + 1),
                    table=LabelTable(np.zeros(1, np.int64), ("mark",), (0.0,)),
                    is_cut=np.zeros(images, np.bool_),
                ),
            )
        )


def marks(recognitions: Recognitions) -> list[float]:
    """The score of each image that a `RecordingPost` was given."""
    scores: list[float] = recognitions.outputs[0].scores.tolist()
    return scores


def runner(model: object, post: Any, providers: Any = (CPU,), **options: Any) -> OnnxRunner:
    """Build a runner around a stand-in of the pipeline."""
    return OnnxRunner(model, post, providers, **options)
