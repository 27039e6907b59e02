"""What a network call gives for each of the requests that share it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from numpy.typing import NDArray

from postproc.errors import PostprocError
from postproc.onnx_runner import OnnxRunner
from postproc.onnx_runner.network import OnnxNetwork
from postproc.pipeline import PostProcessor
from postproc.service.engine.networks.calls import NetworkCall
from postproc.service.engine.result_text import recognitions_text, tensors_text
from postproc.service.work import FAILED

_LONGEST_ERROR = 1000
_FOLDERS = re.compile(r"(?<![\w:])/(?:[^\s/:'\"]+/)+")


class NotTogetherError(Exception):
    """The requests of a batch have to run one by one."""


def compute(
    network: OnnxNetwork, post: PostProcessor | None, call: NetworkCall, max_bytes: int
) -> Iterator[str | PostprocError]:
    """Run a network once on the inputs of several requests, and give the result of each, one after the other.

    A text is made when it is asked for, so that there need not be those of all requests at once. Making one
    takes twice its size at most, and one that gets too large is given up at the limit.

    Parameters
    ----------
    network : OnnxNetwork
        Of the call.
    post : PostProcessor or None
        Of the call.
    call : NetworkCall
        The inputs and options of the requests.
    max_bytes : int
        Most bytes of a result.

    Returns
    -------
    iterator of str or PostprocError
        Results as JSON text of ASCII characters: v0.7's ``{"outputs": [...]}`` of an image; without
        post-processing ``{"tensors": [{"name", "shape", "data"}]}``, the batch axis first where the network
        has one, with null for what is not finite. An error stands for a result that cannot be written:
        `TooLargeError`, or one that says that it has numbers that are not finite.

    Raises
    ------
    NotTogetherError
        If it cannot be told which rows of a tensor belong to which request.
    PostprocError
        If the run or the post-processing fails.
    """
    if post is None:
        rows = _rows(network, call)
        return _texts(lambda row: tensors_text(rows[row], max_bytes), len(call))
    # Not fused: requests bring thresholds of their own, and a graph would be opened for each of them.
    recognitions = OnnxRunner(network, post, fuse=False)(
        call.tensors,
        show_discarded=call.show_discarded,
        max_predictions=call.max_predictions,
        transforms=call.transforms,
    )
    return _texts(lambda row: recognitions_text(recognitions, row, max_bytes), len(call))


def error_text(error: Exception) -> str:
    """Tell the person who sent a task what went wrong, without the service's own paths."""
    if not isinstance(error, PostprocError):
        return FAILED
    return without_folders(str(error))[:_LONGEST_ERROR]


def without_folders(text: str) -> str:
    """Leave out the folders of paths, ``/data/networks/8f1c/model.onnx``."""
    return _FOLDERS.sub("", text)


def _rows(network: OnnxNetwork, call: NetworkCall) -> list[Mapping[str, NDArray[Any]]]:
    """Return the outputs of each request."""
    if len(call) > 1 and not all(map(network.is_per_image, network.outputs)):
        raise NotTogetherError
    outputs = network(call.tensors)
    if len(call) == 1:
        return [outputs]
    return [{name: array[row : row + 1] for name, array in outputs.items()} for row in range(len(call))]


def _texts(write: Callable[[int], str], count: int) -> Iterator[str | PostprocError]:
    for row in range(count):
        text: str | PostprocError
        try:
            text = write(row)
        except PostprocError as error:
            text = error
        yield text
        del text  # else it would live on while the next one is made
