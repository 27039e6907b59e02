"""Run an ONNX network and post-process what it puts out."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from numpy.typing import ArrayLike

from postproc.call_options import CallOptions
from postproc.errors import BatchSizeError, FusingError, RunnerError
from postproc.graph_shapes import image_axes
from postproc.onnx_runner.dequantizing import Dequantizing, with_integers
from postproc.onnx_runner.device_graphs import DeviceGraphs, checked_fuse, graphs_for, open_shapes
from postproc.onnx_runner.inputs import first_axis, match_name
from postproc.onnx_runner.network import OnnxNetwork
from postproc.onnx_runner.session import Provider, Session, TensorInfo
from postproc.pipeline import PostProcessor
from postproc.quantization import DTYPES
from postproc.results import Recognitions
from postproc.transforms import ImageTransform

logger = logging.getLogger("postproc.onnx_runner")


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
    model : path, bytes, onnx.ModelProto, onnxruntime.InferenceSession or OnnxNetwork
        The network. A session or an open network, which several runners may share, is used as it is.
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
    batched_input : bool, keyword-only
        False for a network whose inputs have no batch axis, as torchvision's detectors (``batched_input:
        false``): it runs one image at a time, on one row of each input.
    quantized : bool, keyword-only
        True to take the integers of outputs whose last node is a DequantizeLinear, which is left out: the
        post-processor gets them as `postproc.QuantizedTensor`, with the same results. An output stays as it
        is where that node's scales are computed or of blocks, or its integers have 4 bits. The graph is
        written anew in memory, with the weights of files beside it; that needs the extra ``inspect``.
    fuse : "auto" or bool, keyword-only
        Whether the post-processing runs on the network's device, as a graph of its own, so that only rows
        come to the host. By default on a GPU whose memory other sessions share, where `post` can be written
        into a graph; results are the same. It needs the extra ``onnx``.

    Attributes
    ----------
    network : OnnxNetwork
        The network alone.
    session : onnxruntime.InferenceSession
        The session in use.
    post : PostProcessor
        As given.

    Raises
    ------
    RunnerError
        If ONNX Runtime is missing, the model cannot be read, a provider does not load or captures graphs
        (``enable_cuda_graph``), the model lacks a tensor that `post` needs, or `quantized` is asked for
        where none of those ends with a DequantizeLinear that can be left out, or `fuse` is true and `post`
        cannot be written into a graph, or is neither true, false nor "auto".

    Notes
    -----
    On an accelerator (a session whose first provider is not the CPU's) tensors go through IO binding:
    an input that several runs share is copied to the device once. The tests do this on a session of
    the CPU and on a stand-in that records the calls; it has not been run on a GPU. ``postproc doctor
    --gpu`` does so.

    Where it is fused, the network's tensors stay on the device as long as its graph finishes all images of a
    run. They come to the host, for the kernels, where it cannot be sure of having compared all candidates;
    in calls with `show_discarded` or a larger `max_predictions`; after another `post` has been set; and in
    the first call, in which the kernels look for signs of a wrong reading. Under "auto", a graph that cannot
    be opened or run is logged once, and left out from then on.
    """

    def __init__(
        self,
        model: object,
        post: PostProcessor,
        providers: Sequence[Provider] | None = None,
        session_options: object | None = None,
        *,
        batched: bool = True,
        batched_input: bool = True,
        quantized: bool = False,
        fuse: Literal["auto"] | bool = "auto",
    ) -> None:
        fuse = checked_fuse(fuse)
        if not hasattr(post, "tensor_names"):
            raise RunnerError(
                f"post: expected a PostProcessor, got {type(post).__name__}; OnnxNetwork runs a network alone"
            )
        dequantizing: dict[str, Dequantizing] = {}
        if quantized and not isinstance(model, (OnnxNetwork, Session)):
            model, dequantizing = with_integers(model)
        elif quantized:
            raise RunnerError(
                "quantized belongs to a model to be opened: give a path, bytes or onnx.ModelProto"
            )
        if isinstance(model, OnnxNetwork):
            if providers is not None or session_options is not None or not (batched and batched_input):
                raise RunnerError(
                    "providers, session_options, batched and batched_input belong to a model to be opened"
                )
            self.network = model
        else:
            self.network = OnnxNetwork(
                model, providers, session_options, batched=batched, batched_input=batched_input
            )
        self.post = post
        known = {*dequantizing, *self.network.outputs, *self.network.inputs.infos}
        names = {needed: match_name(needed, known) for needed in post.tensor_names}
        self._dequantizing = {
            needed: dequantizing[name] for needed, name in names.items() if name in dequantizing
        }
        if quantized and not self._dequantizing:
            raise RunnerError(
                f"quantized: none of the tensors {', '.join(map(repr, post.tensor_names))} is an output that "
                "ends with a DequantizeLinear of constant float32 scales, by tensor or by channel, and of "
                "integers of 8 or 16 bits; leave quantized out"
            )
        self._sources = {
            needed: self._dequantizing[needed].source
            if needed in self._dequantizing
            else self.network.find(needed, "the post-processing")
            for needed in post.tensor_names
        }
        self._is_optional = fuse == "auto"
        self._graphs = graphs_for(self.network.session, post, fuse, bool(dequantizing))
        self._has_looked = False
        self._per_image = set() if self._graphs is None else self._named_per_image()

    def _named_per_image(self) -> set[str]:
        """Name the tensors whose first axis is that of the images, by what the model declares."""
        infos = {**self.network.inputs.infos, **self.network.outputs}
        of_images = first_axis(self.image_input)
        if not self.network.batched or of_images is None:
            return set()
        return {needed for needed, name in self._sources.items() if first_axis(infos[name]) == of_images}

    @property
    def is_fused(self) -> bool:
        """Whether the post-processing runs on the network's device."""
        return self._graphs is not None

    @property
    def session(self) -> Session:
        """The session in use."""
        return self.network.session

    @property
    def providers(self) -> tuple[str, ...]:
        """The execution providers that loaded, by precedence."""
        return self.network.providers

    @property
    def image_input(self) -> TensorInfo:
        """The input that holds the images: its ``name``, ``type`` and ``shape``."""
        return self.network.image_input

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
            The network's inputs by name, a row an image, in the model's data types (nothing is
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
            If the network's tensors do not fit the post-processing, or an option is out of range.
        """
        feed = self.network.inputs.check(inputs)
        image_tensor = feed[self.image_input.name]
        images = len(image_tensor)
        if transforms is not None and not (isinstance(transforms, Sequence) and len(transforms) == images):
            given = len(transforms) if isinstance(transforms, Sequence) else type(transforms).__name__
            raise RunnerError(f"transforms: expected a list of {images}, one for each image; got {given}")
        checked = CallOptions.checked(show_discarded, max_predictions, None, transforms)
        show_discarded, max_predictions = checked.show_discarded, checked.max_predictions
        if images == 0:  # one blank image stands in, and its results are dropped
            return self(self.network.with_blank(feed), show_discarded, max_predictions)[:0]

        input_size = None
        if self.post.uses_input_size and transforms is None:
            input_size = _image_size(image_tensor.shape)
        graphs = self._graphs_of_call(show_discarded, max_predictions)
        parts = []
        for rows, tensors in self.network.runs(
            feed, self._sources, None if graphs is None else graphs.device
        ):
            options: dict[str, Any] = {
                "show_discarded": show_discarded,
                "max_predictions": max_predictions,
                "input_size": input_size,
                "transforms": None if transforms is None else [transforms[row] for row in rows],
                "batch_size": len(rows),  # the last images may have no row in a tensor that names them
            }
            try:
                if graphs is None:
                    quantized = {name: one.tensor(tensors[name]) for name, one in self._dequantizing.items()}
                    part = self.post({**tensors, **quantized}, **options)
                else:
                    part = self._on_device(graphs, tensors, options)
            except BatchSizeError as error:
                message = f"the network ran on {len(rows)} images, but {error}"
                if self.network.batched:
                    message += "; one whose outputs have no batch axis needs OnnxRunner(..., batched=False)"
                raise RunnerError(message) from error
            parts.append(part[: images - rows[0]])
        self._has_looked = True
        return parts[0] if len(parts) == 1 else Recognitions.concatenate(parts)

    def _graphs_of_call(self, show_discarded: bool, max_predictions: int) -> DeviceGraphs | None:
        """Give what post-processes a call on the device; None where the kernels do."""
        graphs = self._graphs
        if graphs is None or not self._has_looked or self.post is not graphs.post:
            return None
        return graphs if graphs.serve(show_discarded, max_predictions) else None

    def _on_device(
        self, graphs: DeviceGraphs, tensors: Mapping[str, Any], arguments: Mapping[str, Any]
    ) -> Recognitions:
        options = CallOptions.checked(**arguments, size_is_for_all=not graphs.post.uses_input_size)
        images = arguments["batch_size"]
        try:
            return graphs(tensors, open_shapes(tensors, images, self._per_image), images, options)
        except (FusingError, RunnerError) as error:
            if not self._is_optional:
                raise RunnerError(f"fuse: {error}") from error
            self._graphs = None
            logger.warning(
                "post-processing does not run on %s, so that tensors are copied to the host from now on: %s",
                graphs.device,
                error,
            )
            return graphs.by_kernels(tensors, options)

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
        inputs = self.network.inputs
        feed = inputs.check(inputs.blank(shapes or {}))
        rows, tensors = next(self.network.runs(feed, self._sources))
        narrow = {array.dtype.name for array in tensors.values() if array.dtype.itemsize < 4}
        if dtypes := narrow.intersection(("float16", "bfloat16", *DTYPES)):
            self.post.warmup(sorted(dtypes))
        if self._graphs is not None:
            size = _image_size(feed[self.image_input.name].shape) if self.post.uses_input_size else None
            _, tensors = next(self.network.runs(feed, self._sources, self._graphs.device))
            self._on_device(
                self._graphs,
                tensors,
                {
                    "show_discarded": False,
                    "max_predictions": 1,
                    "input_size": size,
                    "transforms": None,
                    "batch_size": len(rows),
                },
            )


def _image_size(shape: tuple[int, ...]) -> tuple[int, int] | None:
    """Give the height and width of a tensor of images."""
    axes = image_axes(shape)
    return None if axes is None else (shape[axes[0]], shape[axes[1]])
