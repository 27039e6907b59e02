"""A network that takes images: its runner, and how images become its input."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from postproc.errors import RunnerError
from postproc.images import Preprocessor, default_preprocessing
from postproc.onnx_runner.fetching import fetch_network, fetch_preprocessing
from postproc.onnx_runner.runner import OnnxRunner
from postproc.onnx_runner.session import NUMPY_TYPES, TensorInfo, open_session, options_for
from postproc.pipeline import PostProcessor
from postproc.schema import Preprocessing
from postproc.stores import StoredPath, copied, is_url


def open_network(
    model: str | os.PathLike[str],
    post: PostProcessor,
    preprocessing: str | os.PathLike[str] | None = None,
    intra_op_threads: int | None = None,
    *,
    reduced_jpeg: bool = False,
) -> tuple[OnnxRunner, Preprocessor]:
    """Open a network, with the preprocessing of a file or else one that its input suggests.

    Either file may lie in a store.
    """
    with ExitStack() as stack:
        model = _here(model, fetch_network, stack)
        if preprocessing is not None:
            preprocessing = _here(preprocessing, fetch_preprocessing, stack)
        session = open_session(model, session_options=options_for(intra_op_threads))
        if preprocessing is not None:
            folder = Path(preprocessing).parent
            preprocessor = Preprocessor(preprocessing, folder, reduced_jpeg=reduced_jpeg)
        else:
            suggested = _suggested_preprocessing(model, session.get_inputs())
            preprocessor = Preprocessor(suggested, reduced_jpeg=reduced_jpeg)
        document = preprocessor.preprocessing
        batched = document.batched_output
        runner = OnnxRunner(session, post, batched=batched, batched_input=document.batched_input)
    return runner, preprocessor


def _here(
    path: str | os.PathLike[str], fetch: Callable[[StoredPath, Path], None], stack: ExitStack
) -> str | os.PathLike[str]:
    """Give the path of a file on this machine, of a copy if it lies in a store."""
    return stack.enter_context(copied(StoredPath(str(path)), fetch)) if is_url(path) else path


def _suggested_preprocessing(model: str | os.PathLike[str], inputs: Sequence[TensorInfo]) -> Preprocessing:
    if len(inputs) != 1:
        names = ", ".join(repr(info.name) for info in inputs) or "none"
        raise RunnerError(
            f"{model}: the network has the inputs {names}; say how images become them with --preprocessing"
        )
    (image,) = inputs
    dtype = NUMPY_TYPES.get(image.type, np.dtype(object))
    return default_preprocessing(image.name, image.shape, dtype)
