"""Run an ONNX network: its input tensors in, its output tensors out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from postproc.errors import RunnerError
from postproc.onnx_runner.device_tensors import Device
from postproc.onnx_runner.faults import advice_for_type, refuse_graph_capture
from postproc.onnx_runner.inputs import (
    Feed,
    NetworkInputs,
    closest_name,
    describe,
    describe_all,
    first_axis,
    match_name,
)
from postproc.onnx_runner.runs import bound_runs, explained, plain_runs
from postproc.onnx_runner.session import CPU, NUMPY_TYPES, Provider, TensorInfo, open_session

# Providers whose sessions may not be run from several threads at once.
_SEQUENTIAL = frozenset({"DmlExecutionProvider"})


class OnnxNetwork:
    """An ONNX network without post-processing: images' tensors in, tensors out.

    `postproc.onnx_runner.OnnxRunner` tells how batches run, and which input holds the images. A network
    may be called from many threads at once, as ONNX Runtime's sessions may. On DirectML, whose sessions may
    not, their runs wait for each other.

    Parameters
    ----------
    model, providers, session_options, batched, batched_input
        As of `postproc.onnx_runner.OnnxRunner`.

    Attributes
    ----------
    session : onnxruntime.InferenceSession
        The session in use.
    inputs : NetworkInputs
        The graph's inputs.
    outputs : dict of str to TensorInfo
        The graph's outputs by name.
    batched : bool
        Whether outputs have a batch axis, and runs may take several images.
    uses_io_binding : bool
        Whether runs go through IO binding: by default on an accelerator.

    Raises
    ------
    RunnerError
        If ONNX Runtime is missing, the model cannot be read, or a provider does not load or captures graphs
        (``enable_cuda_graph``).
    """

    def __init__(
        self,
        model: object,
        providers: Sequence[Provider] | None = None,
        session_options: object | None = None,
        *,
        batched: bool = True,
        batched_input: bool = True,
    ) -> None:
        self.session = open_session(model, providers, session_options)
        refuse_graph_capture(getattr(self.session, "get_provider_options", dict)())
        self.inputs = NetworkInputs(self.session.get_inputs(), batched, batched_input)
        self.outputs = {info.name: info for info in self.session.get_outputs()}
        self.batched = batched and batched_input
        self.uses_io_binding = next(iter(self.providers), CPU) != CPU
        is_concurrent = _SEQUENTIAL.isdisjoint(self.providers)
        self._one_run_at_a_time: AbstractContextManager[Any] = nullcontext() if is_concurrent else Lock()

    @property
    def providers(self) -> tuple[str, ...]:
        """The execution providers that loaded, by precedence."""
        return tuple(self.session.get_providers())

    @property
    def image_input(self) -> TensorInfo:
        """The input that holds the images: its ``name``, ``type`` and ``shape``."""
        return self.inputs.images

    def __call__(
        self, inputs: Mapping[str, ArrayLike] | ArrayLike, names: Iterable[str] | None = None
    ) -> dict[str, NDArray[Any]]:
        """Run the network.

        Parameters
        ----------
        inputs : mapping of str to array, or array
            The network's inputs by name, a row an image, in the model's data types (nothing is
            converted); an array without a name where the model has one input.
        names : iterable of str, optional
            Tensors to return: outputs, or inputs, which come back as they went in. All outputs by default.

        Returns
        -------
        dict of str to ndarray
            By the names asked for. Where the images take several runs, an output that has a row an image
            in each is joined, without the rows of padding; one whose first axis the model fixes at
            another length is the first run's.

        Raises
        ------
        RunnerError
            If there is no such tensor, an input's name, rank, shape or data type is not the model's, the
            run fails, or the outputs of several runs cannot be joined: one has no row an image, or
            `batched` or `batched_input` is false. `runs` gives them one by one.
        """
        sources = {name: self.find(name) for name in (self.outputs if names is None else names)}
        feed = self.inputs.check(inputs)
        images = len(feed[self.inputs.images.name])
        if images == 0:
            empty = self.inputs.along_images(feed)
            joined = self(self.with_blank(feed), names)
            cut = {name for name, source in sources.items() if source in empty or self.is_per_image(source)}
            return {name: array[:0] if name in cut else array for name, array in joined.items()}
        if images > 1 and not self.batched:
            raise RunnerError(
                "the network runs on one image at a time, and its outputs have no batch axis to join those "
                f"of {images} images on; give it one image at a time"
            )
        parts = [tensors for _, tensors in self.runs(feed, sources)]
        length = self.inputs.run_length or images
        return {
            name: feed[source]
            if source in self.inputs.infos
            else self._joined(source, [part[name] for part in parts], length, images)
            for name, source in sources.items()
        }

    def is_per_image(self, name: str) -> bool:
        """Tell whether the model declares that an output's first axis is that of the images."""
        axis = first_axis(self.outputs[name]) if name in self.outputs else None
        return self.batched and axis is not None and axis == first_axis(self.inputs.images)

    def find(self, needed: str, asker: str = "the caller") -> str:
        """Find a tensor among the graph's outputs and inputs: as it is, else without or with ``:0``.

        Raises
        ------
        RunnerError
            If there is none, or NumPy cannot hold it; says that `asker` needs it.
        """
        known = {**self.outputs, **self.inputs.infos}
        name = match_name(needed, known)
        if name is None:
            outputs, inputs = describe_all(self.outputs.values()), describe_all(self.inputs.infos.values())
            raise RunnerError(
                f"{asker} needs the tensor {needed!r}, which the model does not have (closest "
                f"match: {closest_name(needed, known)!r}); its outputs are {outputs}, its inputs {inputs}"
            )
        if known[name].type not in NUMPY_TYPES:
            raise RunnerError(
                f"{asker} needs {describe(known[name])}, of a type that ONNX Runtime cannot hand "
                f"over as a NumPy array; {advice_for_type(known[name].type)}"
            )
        return name

    def with_blank(self, feed: Feed) -> Feed:
        """Put one blank image into the place of none.

        Not every network bears an empty batch, and only its tensors tell what results there are none of.
        """
        along = self.inputs.along_images(feed)
        blank = {name: np.zeros((1, *feed[name].shape[1:]), feed[name].dtype) for name in along}
        return {**feed, **blank}

    def runs(
        self, feed: Feed, sources: Mapping[str, str], device: Device | None = None
    ) -> Iterator[tuple[list[int], dict[str, Any]]]:
        """Run the images, as many at a time as the network takes.

        Parameters
        ----------
        feed : dict of str to ndarray
            What `inputs.check` returned, of at least one image.
        sources : mapping of str to str
            Name to return a tensor by, and the graph's own as `find` gives it.
        device : Device, optional
            Where the session runs: outputs stay there, as `OrtTensor`.

        Yields
        ------
        rows, tensors
            The images of a run, the last of them repeated to fill a fixed batch axis, and its tensors.
        """
        images = len(feed[self.inputs.images.name])
        along = self.inputs.along_images(feed)
        shared = {name: array for name, array in feed.items() if name not in along}
        run = self._prepare_runs(shared, sources, device)
        length = self.inputs.run_length or images
        for start in range(0, images, length):
            rows = [min(row, images - 1) for row in range(start, start + length)]
            yield rows, run({name: self.inputs.take(feed[name], rows) for name in along})

    def _joined(self, source: str, parts: Sequence[NDArray[Any]], length: int, images: int) -> NDArray[Any]:
        """Join an output of several runs of `length` images, and leave out the padding."""
        if len(parts) == 1 and length == images:
            return parts[0]
        axis = first_axis(self.outputs[source])
        if isinstance(axis, int) and axis != length:
            return parts[0]
        if any(part.shape[:1] != (length,) for part in parts):
            shapes = ", ".join(str(part.shape) for part in parts)
            raise RunnerError(
                f"the network takes {length} images a run, and its output {describe(self.outputs[source])} "
                f"came with {shapes}, not with {length} rows, so that it cannot be told which are those of "
                f"the {images} given"
            )
        return np.concatenate(parts)[:images]

    def _prepare_runs(
        self, shared: Feed, sources: Mapping[str, str], device: Device | None
    ) -> Callable[[Feed], dict[str, Any]]:
        """Give the function from a run's own inputs to the tensors of `sources`."""
        output_names = [name for name in dict.fromkeys(sources.values()) if name not in self.inputs.infos]
        prepare = bound_runs if self.uses_io_binding else plain_runs
        if device is not None:
            prepare = partial(bound_runs, device=device)
        with explained(shared):
            run_graph = prepare(self.session, output_names, shared)

        def run(inputs: Feed) -> dict[str, Any]:
            known: dict[str, Any] = {**shared, **inputs}
            if output_names:  # else all that is needed are inputs
                with explained(known), self._one_run_at_a_time:
                    known.update(zip(output_names, run_graph(inputs), strict=True))
            return {needed: known[name] for needed, name in sources.items()}

        return run
