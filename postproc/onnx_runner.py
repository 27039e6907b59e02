"""Run an ONNX network and post-process what it puts out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from postproc.errors import RunnerError
from postproc.onnx_faults import advice_for, refuse_graph_capture
from postproc.onnx_inputs import (
    Feed,
    NetworkInputs,
    closest_name,
    describe,
    describe_all,
    match_name,
)
from postproc.onnx_runs import bound_runs, plain_runs
from postproc.onnx_session import CPU, NUMPY_TYPES, Provider, TensorInfo, open_session
from postproc.results import Recognitions
from postproc.transforms import ImageTransform

if TYPE_CHECKING:
    from postproc.pipeline import PostProcessor

# Providers whose sessions may not be run from several threads at once.
_SEQUENTIAL = frozenset({"DmlExecutionProvider"})


class OnnxRunner:
    """An ONNX network followed by its post-processing: images' tensors in, recognitions out.

    The session computes the tensors that `post` needs and no others. A needed tensor that is an
    input of the graph (``im_info``) is taken from the caller's inputs. Names are matched exactly,
    else with a trailing ``:0`` left out or added.

    Images run in batches as large as they are given. A network whose batch axis has a fixed length
    runs several times, its last batch filled up with copies of the last image, whose results are
    dropped. Each run is post-processed on its own, and the results are joined.

    The images are the input of the highest rank (the first of them); they set the number of images.
    Of the other inputs, one with as many rows as there are images goes along with them, row by row;
    any other is shared by all runs.

    A runner may be called from many threads at once, as ONNX Runtime's sessions may. On DirectML, whose
    sessions may not, their runs wait for each other.

    Parameters
    ----------
    model : path, bytes, onnx.ModelProto or onnxruntime.InferenceSession
        The network, whose inputs have their batch axis first. A session is used as it is.
    post : PostProcessor
        What turns the network's tensors into recognitions.
    providers : sequence of str or (str, options), optional
        ONNX Runtime's execution providers by precedence. All of them must load: there is no silent
        fall-back. By default CUDA where it works and the CPU otherwise.
    session_options : onnxruntime.SessionOptions, optional
        Handed to ONNX Runtime.
    batched : bool, keyword-only
        False for a network whose outputs have no batch axis (``batched_output: false`` in a
        preprocessing): it runs one image at a time.

    Attributes
    ----------
    session : onnxruntime.InferenceSession
        The session in use.
    post : PostProcessor
        As given.
    uses_io_binding : bool
        Whether runs go through IO binding: by default on an accelerator.

    Raises
    ------
    RunnerError
        If ONNX Runtime is missing, the model cannot be read, a provider does not load or captures graphs
        (``enable_cuda_graph``), or the model lacks a tensor that `post` needs.

    Notes
    -----
    On an accelerator (a session whose first provider is not the CPU's) tensors go through IO binding:
    an input that several runs share is copied to the device once. The tests do this on a session of
    the CPU and on a stand-in that records the calls; it has not been run on a GPU. ``postproc doctor
    --gpu`` does so.
    """

    def __init__(
        self,
        model: object,
        post: PostProcessor,
        providers: Sequence[Provider] | None = None,
        session_options: object | None = None,
        *,
        batched: bool = True,
    ) -> None:
        self.session = open_session(model, providers, session_options)
        refuse_graph_capture(getattr(self.session, "get_provider_options", dict)())
        self.post = post
        self._inputs = NetworkInputs(self.session.get_inputs(), batched)
        outputs = {info.name: info for info in self.session.get_outputs()}
        self._sources = {needed: self._find(needed, outputs) for needed in post.tensor_names}
        self._output_names = [
            name for name in dict.fromkeys(self._sources.values()) if name not in self._inputs.infos
        ]
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
        return self._inputs.images

    def __call__(
        self,
        inputs: Mapping[str, ArrayLike] | ArrayLike,
        show_discarded: bool = False,
        max_predictions: int = 100,
        transforms: Sequence[ImageTransform] | None = None,
    ) -> Recognitions:
        """Run the network on images and post-process its tensors.

        Parameters
        ----------
        inputs : mapping of str to array, or array
            The network's inputs by name, batch axis first, in the model's data types (nothing is
            converted); an array without a name where the model has one input.
        show_discarded : bool
            Also return candidates between the discard threshold and their label's.
        max_predictions : int
            Most results an image and output.
        transforms : sequence of ImageTransform, optional
            One an image: boxes come back relative to the original image. Without, and where boxes
            are in pixels, the size of the images fed is what they are divided by.

        Returns
        -------
        Recognitions
            Of all images, in their order.

        Raises
        ------
        RunnerError
            If an input's name, rank, shape or data type is not the model's, or the run fails.
        TensorError
            If the network's tensors do not fit the post-processing.
        """
        feed = self._inputs.check(inputs)
        image_tensor = feed[self._inputs.images.name]
        images = len(image_tensor)
        if transforms is not None and not (isinstance(transforms, Sequence) and len(transforms) == images):
            given = len(transforms) if isinstance(transforms, Sequence) else type(transforms).__name__
            raise RunnerError(f"transforms: expected a list of {images}, one for each image; got {given}")
        along = self._inputs.along_images(feed)
        if images == 0:
            # Not every network bears an empty batch, and only its tensors tell what results there are
            # none of: one blank image stands in, and its results are dropped.
            blank = {name: np.zeros((1, *feed[name].shape[1:]), feed[name].dtype) for name in along}
            return self({**feed, **blank}, show_discarded, max_predictions)[:0]

        input_size = None
        if self.post.uses_input_size and transforms is None:
            input_size = _image_size(image_tensor.shape)
        run = self._prepare_runs({name: array for name, array in feed.items() if name not in along})
        length = self._inputs.run_length or images
        parts = []
        for start in range(0, images, length):
            rows = [min(row, images - 1) for row in range(start, start + length)]
            part = self.post(
                run({name: _take_rows(feed[name], rows) for name in along}),
                show_discarded=show_discarded,
                max_predictions=max_predictions,
                input_size=input_size,
                transforms=None if transforms is None else [transforms[row] for row in rows],
            )
            if len(part) != length:
                raise RunnerError(
                    f"the network ran on {length} images, and its tensors hold {len(part)}; one whose "
                    "outputs have no batch axis needs OnnxRunner(..., batched=False)"
                )
            parts.append(part[: images - start])
        return parts[0] if len(parts) == 1 else Recognitions.concatenate(parts)

    def warmup(self, shapes: Mapping[str, Sequence[int]] | None = None) -> None:
        """Compile or load the kernels, and run the network once on blank inputs.

        The first run of a shape takes longer: cuDNN looks for its fastest algorithms for seconds, TensorRT
        builds an engine for minutes.

        Parameters
        ----------
        shapes : mapping of str to shape, optional
            Of inputs whose axes the model leaves open. An open batch axis is 1 where no shape says more.

        Raises
        ------
        RunnerError
            If an axis is open and `shapes` does not give it, or the run fails.
        """
        self.post.warmup()
        feed = self._inputs.check(self._inputs.blank(shapes or {}))
        along = self._inputs.along_images(feed)
        length = self._inputs.run_length or len(feed[self._inputs.images.name])
        run = self._prepare_runs({name: array for name, array in feed.items() if name not in along})
        run({name: feed[name][:length] for name in along})

    def _find(self, needed: str, outputs: Mapping[str, TensorInfo]) -> str:
        """Find a tensor that the pipeline needs among the graph's outputs and inputs."""
        known = {**outputs, **self._inputs.infos}
        name = match_name(needed, known)
        if name is None:
            raise RunnerError(
                f"the post-processing needs the tensor {needed!r}, which the model does not have (closest "
                f"match: {closest_name(needed, known)!r}); its outputs are {describe_all(outputs.values())}, "
                f"its inputs {describe_all(self._inputs.infos.values())}"
            )
        if known[name].type not in NUMPY_TYPES:
            raise RunnerError(
                f"the post-processing needs {describe(known[name])}, of a type that ONNX Runtime cannot hand "
                "over as a NumPy array; end the network with a Cast to float"
            )
        return name

    def _prepare_runs(self, shared: Feed) -> Callable[[Feed], Feed]:
        """Give the function from a run's own inputs to the tensors that the pipeline needs."""
        prepare = bound_runs if self.uses_io_binding else plain_runs
        with _explained(shared):
            run_graph = prepare(self.session, self._output_names, shared)

        def run(inputs: Feed) -> Feed:
            known = {**shared, **inputs}
            if self._output_names:  # else all that is needed are inputs
                with _explained(known), self._one_run_at_a_time:
                    known.update(zip(self._output_names, run_graph(inputs), strict=True))
            return {needed: known[name] for needed, name in self._sources.items()}

        return run


@contextmanager
def _explained(feed: Feed) -> Iterator[None]:
    """Turn what ONNX Runtime raises into a RunnerError that tells what it was given."""
    try:
        yield
    except Exception as error:  # ONNX Runtime's exceptions have no base class of their own
        fed = ", ".join(f"{name!r} {array.dtype} {array.shape}" for name, array in feed.items())
        raise RunnerError(
            f"ONNX Runtime failed on the inputs {fed}: {str(error) or type(error).__name__}"
            f"{advice_for(error)}"
        ) from error


def _take_rows(array: NDArray[Any], rows: Sequence[int]) -> NDArray[Any]:
    """Take rows of an array, without a copy where they are all its rows."""
    return array if len(rows) == len(array) else array[rows]


def _image_size(shape: tuple[int, ...]) -> tuple[int, int] | None:
    """Give the height and width of a tensor of images, by where its 1, 3 or 4 channels are."""
    if len(shape) == 4 and shape[1] in (1, 3, 4):
        return shape[2], shape[3]
    if len(shape) == 4 and shape[3] in (1, 3, 4):
        return shape[1], shape[2]
    return None
