"""Post-processing of tensors on a GPU, where they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from postproc.call_options import CallOptions
from postproc.errors import TensorError
from postproc.onnx_runner.device_graphs import DeviceGraphs
from postproc.onnx_runner.device_tensors import Bindable, Device, as_bindable
from postproc.pipeline import PostProcessor
from postproc.results import Recognitions
from postproc.tensors import find
from postproc.transforms import ImageTransform


class DevicePostProcessor:
    """Post-process tensors on the device where they lie: only the rows of results come to the host.

    The post-processing is a graph of ONNX's operators that ONNX Runtime runs there
    (`PostProcessor.to_onnx`). Images in which it cannot be sure of having compared all candidates, calls with
    `show_discarded` and those with more than 100 predictions go through the kernels: then their tensors come
    to the host. Results are those of `PostProcessor`; where a network's scores or boxes take a sigmoid, an
    exponential or a softmax, last bits may differ.

    It may be called from many threads at once.

    Parameters
    ----------
    post : PostProcessor
        Of detections that a graph can express.
    shapes : mapping of str to sequence of int or str
        Of each tensor of `post.tensor_names`; the first axis may be free, ``("batch", 84, 8400)``.
    device : str
        ``"cuda"``, ``"cuda:1"``, ``"rocm"``, ``"migraphx"``, or ``"cpu"``.
    dtypes : mapping of str to dtype, optional
        Of the tensors that are not float32.
    candidates : int
        The best of an image that are compared with each other; more take more time, and finish more images.

    Raises
    ------
    FusingError
        If `post` cannot be written into a graph of such tensors.
    RunnerError
        If ONNX Runtime is missing, or has no such device.

    Examples
    --------
    >>> import numpy as np
    >>> from postproc import PostProcessor, Yolov8Output
    >>> from postproc.onnx_runner import DevicePostProcessor
    >>> output = Yolov8Output(output_tensor="output0")
    >>> post = PostProcessor.for_detection(["cat", "dog"], output, thresholds=0.5, input_size=[64, 64])
    >>> on_device = DevicePostProcessor(post, {"output0": ("batch", 6, 84)}, "cpu")
    >>> table = np.zeros((1, 6, 84), np.float32)
    >>> table[0, :, 7] = [32, 16, 64, 32, 0.75, 0]  # on a GPU, a tensor of PyTorch or CuPy
    >>> found = on_device({"output0": table}).outputs[0]
    >>> found.label_names, found.boxes.tolist()
    (['cat'], [[0.0, 0.0, 1.0, 0.5]])
    """

    def __init__(
        self,
        post: PostProcessor,
        shapes: Mapping[str, Sequence[int | str]],
        device: str = "cuda",
        *,
        dtypes: Mapping[str, DTypeLike] | None = None,
        candidates: int = 1024,
    ) -> None:
        for argument, given in (("shapes", shapes), ("dtypes", {} if dtypes is None else dtypes)):
            if not isinstance(given, Mapping):
                raise TensorError(
                    f"{argument}: expected a mapping of tensors' names to {argument}, got {given!r}"
                )
        self.post = post
        self._graphs = DeviceGraphs(post, Device.named(device), candidates)
        self._shapes = {name: _shape(name, find(shapes, name)) for name in post.tensor_names}
        self._dtypes = {name: _dtype(name, (dtypes or {}).get(name, np.float32)) for name in self._shapes}
        graph = self._graphs.graph_of(self._shapes, self._dtypes, None)
        self._batch = "" if graph is None else graph.batch

    @property
    def device(self) -> str:
        """Where it runs, as in ``"cuda:0"``."""
        return str(self._graphs.device)

    def __call__(
        self,
        tensors: Mapping[str, Any],
        show_discarded: bool = False,
        max_predictions: int = 100,
        input_size: Sequence[int] | None = None,
        transforms: Sequence[ImageTransform] | None = None,
    ) -> Recognitions:
        """Post-process a batch.

        Parameters
        ----------
        tensors : mapping of str to tensor
            On the device, contiguous: anything with ``__dlpack__`` or ``__cuda_array_interface__``, of which
            nothing is copied. Tensors on the host are copied to the device.
        show_discarded, max_predictions, input_size, transforms
            As of `PostProcessor`.

        Raises
        ------
        TensorError
            If a tensor is missing, lies on another device, or has another shape or dtype than declared.
        RunnerError
            If the run fails.
        """
        if not isinstance(tensors, Mapping):
            raise TensorError(f"tensors must be a mapping of names to tensors; got {type(tensors).__name__}")
        given = {
            name: as_bindable(name, find(tensors, name), self._graphs.device)
            for name in self.post.tensor_names
        }
        for name, tensor in given.items():
            self._check(name, tensor)
        options = CallOptions.checked(
            show_discarded, max_predictions, input_size, transforms, None, not self.post.uses_input_size
        )
        return self._graphs(given, self._shapes, self._batch_of(given), options)

    def _check(self, name: str, tensor: Bindable) -> None:
        shape, dtype = self._shapes[name], self._dtypes[name]
        fits = len(shape) == len(tensor.shape) and all(
            isinstance(size, str) or size == found for size, found in zip(shape, tensor.shape, strict=True)
        )
        if not fits or tensor.dtype != dtype:
            raise TensorError(
                f"tensor {name!r} is {tensor.dtype} of shape {tensor.shape}; DevicePostProcessor was made "
                f"for {dtype} of shape ({', '.join(map(str, shape))}): make another one for such tensors"
            )

    def _batch_of(self, tensors: Mapping[str, Bindable]) -> int:
        free = {tensors[name].shape[0] for name, shape in self._shapes.items() if isinstance(shape[0], str)}
        if len(free) > 1:
            counts = ", ".join(f"{name!r} {tensor.shape}" for name, tensor in tensors.items())
            raise TensorError(f"tensors disagree on the number of images: {counts}")
        return free.pop() if isinstance(self._batch, str) else self._batch


def _shape(name: str, shape: Any) -> tuple[int | str, ...]:
    if not isinstance(shape, Sequence) or isinstance(shape, str):
        raise TensorError(f'shapes: expected sizes of {name!r}, as ("batch", 84, 8400), got {shape!r}')
    return tuple(shape)


def _dtype(name: str, dtype: DTypeLike) -> np.dtype[Any]:
    try:
        return np.dtype(dtype)
    except TypeError as error:
        raise TensorError(f"dtypes: expected a data type of NumPy for {name!r}, got {dtype!r}") from error
