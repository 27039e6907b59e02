"""What a network call gives for each of the requests that share it."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from postproc.errors import PostprocError
from postproc.onnx_network import OnnxNetwork
from postproc.onnx_runner import OnnxRunner
from postproc.pipeline import PostProcessor
from postproc.results import Recognitions
from postproc.service.inputs import PreparedInputs
from postproc.service.metrics import Metrics
from postproc.service.work import FAILED, Work

MAX_NUMBERS = 2_000_000  # of all tensors of an answer, about 20 bytes each as JSON

_LONGEST_ERROR = 1000
_FOLDERS = re.compile(r"(?<![\w:])/(?:[^\s/:'\"]+/)+")


class NotTogetherError(Exception):
    """The requests of a batch have to run one by one."""


class TooLargeError(PostprocError):
    """An answer is too large to be kept."""


def compute(network: OnnxNetwork, works: Sequence[Work], metrics: Metrics) -> list[dict[str, Any]]:
    """Run a network once on the inputs of several requests, and return the data of each task.

    Parameters
    ----------
    network : OnnxNetwork
        Of all requests.
    works : sequence of Work
        Of the same network, version and options, with inputs of the same shapes.
    metrics : Metrics
        Measures the stages ``network`` and ``post``.

    Returns
    -------
    list of dict
        v0.7's ``{"outputs": [...]}`` of an image; without post-processing ``{"tensors": [{"name", "shape",
        "data"}]}``, the batch axis first where the network has one, with null for what is not finite.

    Raises
    ------
    NotTogetherError
        If it cannot be told which rows of a tensor belong to which request.
    PostprocError
        If the run or the post-processing fails, or an answer is too large.
    """
    inputs = [cast(PreparedInputs, work.inputs) for work in works]
    tensors = {
        name: array if len(inputs) == 1 else np.concatenate([item.tensors[name] for item in inputs])
        for name, array in inputs[0].tensors.items()
    }
    if works[0].post is None:
        return _raw(network, tensors, len(works), metrics)
    post = _TimedPost(works[0].post)
    runner = OnnxRunner(network, cast(PostProcessor, post))
    started = time.perf_counter()
    recognitions = runner(
        tensors,
        show_discarded=works[0].show_discarded,
        max_predictions=works[0].max_predictions,
        transforms=[item.transform for item in inputs],
    )
    ran = time.perf_counter()
    data = recognitions.to_dicts()
    metrics.took("network", ran - started - post.seconds)
    metrics.took("post", post.seconds + time.perf_counter() - ran)
    return data


def error_text(error: Exception) -> str:
    """Tell the person who sent a task what went wrong, without the service's own paths."""
    if not isinstance(error, PostprocError):
        return FAILED
    return without_folders(str(error))[:_LONGEST_ERROR]


def without_folders(text: str) -> str:
    """Leave out the folders of paths, ``/data/networks/8f1c/model.onnx``."""
    return _FOLDERS.sub("", text)


def _raw(
    network: OnnxNetwork, tensors: Mapping[str, NDArray[Any]], count: int, metrics: Metrics
) -> list[dict[str, Any]]:
    if count > 1 and not all(map(network.is_per_image, network.outputs)):
        raise NotTogetherError
    with metrics.stage("network"):
        outputs = network(tensors)
    with metrics.stage("post"):
        size = sum(array.size for array in outputs.values()) // count
        if size > MAX_NUMBERS:
            raise TooLargeError(
                f"the network's outputs hold {size:,} numbers, and at most {MAX_NUMBERS:,} are returned; "
                "use a version with post-processing"
            )
        return [
            {
                "tensors": [
                    _tensor(name, array if count == 1 else array[row : row + 1])
                    for name, array in outputs.items()
                ]
            }
            for row in range(count)
        ]


def _tensor(name: str, array: NDArray[Any]) -> dict[str, Any]:
    values = array
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        values = array.astype(object)
        values[~np.isfinite(array)] = None  # JSON knows neither NaN nor infinity
    return {"name": name, "shape": list(array.shape), "data": values.tolist()}


class _TimedPost:
    """A post-processor that measures its calls."""

    def __init__(self, post: PostProcessor) -> None:
        self._post = post
        self.tensor_names = post.tensor_names
        self.uses_input_size = post.uses_input_size
        self.seconds = 0.0

    def __call__(self, tensors: Mapping[str, Any], **options: Any) -> Recognitions:
        started = time.perf_counter()
        recognitions = self._post(tensors, **options)
        self.seconds += time.perf_counter() - started
        return recognitions
