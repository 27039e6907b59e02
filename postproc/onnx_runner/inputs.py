"""Check what a caller gives a network: names, data types, shapes and the number of images."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from postproc.errors import RunnerError, TensorError
from postproc.onnx_runner.session import NUMPY_TYPES, TensorInfo
from postproc.schema.preprocessing import IMAGE_AXES
from postproc.tensors import as_array

Feed = dict[str, NDArray[Any]]

_SAY_SO = (
    '; if its images have no batch axis, say so: "batched_input": false in the preprocessing, or '
    "batched_input=False for OnnxRunner"
)


class NetworkInputs:
    """The inputs of a graph, and which of them holds the images.

    Parameters
    ----------
    infos : iterable of TensorInfo
        The graph's inputs. The images are the one of the highest rank, the first of several.
    batched : bool
        False where the network has to run one image at a time.
    batched_input : bool
        False where no input has a batch axis. Callers still give a row an image; each row is fed alone.

    Attributes
    ----------
    images : TensorInfo
        The input that holds the images.
    run_length : int or None
        Images a run takes; None for as many as there are.
    batched_input : bool
        As given.

    Raises
    ------
    RunnerError
        If there are no inputs, or `batched` is false and a run takes more than one image.
    """

    def __init__(self, infos: Iterable[TensorInfo], batched: bool, batched_input: bool = True) -> None:
        self.infos = {info.name: info for info in infos}
        if not self.infos:
            raise RunnerError("the model has no inputs, so there is nothing to run it on")
        self.images = max(self.infos.values(), key=lambda info: len(info.shape))
        fixed = first_axis(self.images)
        self.run_length = fixed if isinstance(fixed, int) and fixed > 0 else None
        self.batched_input = batched_input
        if not batched_input:
            self.run_length = 1
        elif not batched:
            if self.run_length not in (None, 1):
                raise RunnerError(
                    "batched=False runs one image at a time, but the model has the input "
                    f"{describe(self.images)}, whose first axis is no batch axis of one"
                    + ("" if self._has_batch_axis else _SAY_SO)
                )
            self.run_length = 1

    @property
    def _has_batch_axis(self) -> bool:
        """Whether the images have more axes than one image."""
        return len(self.images.shape) > IMAGE_AXES

    def check(self, inputs: Mapping[str, ArrayLike] | ArrayLike) -> Feed:
        """Give every input by the graph's own name, as a C-contiguous array that fits it.

        Only the number of images is free: it may exceed a fixed batch axis, or be 0.

        Raises
        ------
        RunnerError
            If a name is unknown, missing or given twice, or an array has the wrong rank, data type or
            shape.
        """
        expected = f"the model takes {describe_all(self.infos.values())}"
        if not isinstance(inputs, Mapping):
            if len(self.infos) != 1:
                raise RunnerError(f"inputs: an array without its name needs a model of one input; {expected}")
            inputs = dict.fromkeys(self.infos, inputs)
        feed: Feed = {}
        for given, values in inputs.items():
            name = match_name(given, self.infos)
            if name is None:
                raise RunnerError(
                    f"inputs: {given!r} is no input of the model (closest match: "
                    f"{closest_name(given, self.infos)!r}); {expected}"
                )
            if name in feed:
                raise RunnerError(f"inputs: {name!r} is given twice, with ':0' at its end and without")
            feed[name] = self._as_input(values, self.infos[name])
        missing = [name for name in self.infos if name not in feed]
        if missing:
            raise RunnerError(f"inputs: {', '.join(map(repr, missing))} missing; {expected}")
        if feed[self.images.name].ndim == 0:
            raise RunnerError(f"inputs: {self.images.name!r} is one number, without a batch axis; {expected}")
        images = len(feed[self.images.name])
        for name, array in feed.items():
            self._check_rows(self.infos[name], array, images)
        return feed

    def blank(self, shapes: Mapping[str, Sequence[int]]) -> Feed:
        """Make inputs filled with ones, of the shapes given and else of the model's.

        Raises
        ------
        RunnerError
            If the model leaves an axis open that no shape gives, or the name of a shape is unknown.
        """
        named: dict[str, Sequence[int | str | None]] = {}
        for given, axes in shapes.items():
            name = match_name(given, self.infos)
            if name is None:
                closest = closest_name(given, self.infos)
                raise RunnerError(f"shapes: {given!r} is no input of the model (closest match: {closest!r})")
            named[name] = tuple(axes)
        feed: Feed = {}
        for name, info in self.infos.items():
            batch = self.run_length or 1
            shape = list(info.shape)
            if not self.batched_input:
                shape.insert(0, 1)
            elif shape and not isinstance(shape[0], int):
                shape[0] = batch
            shape = list(named.get(name, shape))
            sizes = [axis for axis in shape if isinstance(axis, int) and axis > 0]
            if len(sizes) < len(shape):
                raise RunnerError(
                    f"the model takes {describe(info)}: give its shape, as in "
                    f"warmup({{{name!r}: (1, 3, 480, 640)}})"
                )
            # Ones, since an input may hold sizes, which are never 0.
            feed[name] = np.ones(sizes, NUMPY_TYPES.get(info.type, np.dtype(np.float32)))
        return feed

    def as_integers(self, tensors: Feed) -> Feed:
        """Give constants, which a preprocessing holds as float32, as integers to inputs of integers."""
        types = {name: NUMPY_TYPES.get(info.type) for name, info in self.infos.items()}
        return {
            name: array.astype(dtype)
            if array.dtype.kind == "f"
            and (dtype := types.get(name)) is not None
            and dtype.kind in "iu"
            and (array == np.floor(array)).all()
            else array
            for name, array in tensors.items()
        }

    def along_images(self, feed: Feed) -> list[str]:
        """Name the inputs that have a row an image; the others serve all images alike.

        An input whose first axis the model fixes at another length than the images' is of the others,
        though it may happen to have as many rows.
        """
        images = len(feed[self.images.name])
        return [name for name, array in feed.items() if array.shape[:1] == (images,) and self._is_free(name)]

    def take(self, array: NDArray[Any], rows: Sequence[int]) -> NDArray[Any]:
        """Take a run's rows of an input that goes along with the images, without a copy where it can."""
        if not self.batched_input:
            return array[rows[0], ...]
        return array if len(rows) == len(array) else array[rows]

    def _is_free(self, name: str) -> bool:
        """Tell whether the first axis may follow the number of images."""
        axis = first_axis(self.infos[name])
        return not (self.batched_input and isinstance(axis, int)) or axis == first_axis(self.images)

    def _check_rows(self, info: TensorInfo, array: NDArray[Any], images: int) -> None:
        if not self.batched_input:
            if array.shape[:1] != (images,):
                raise RunnerError(
                    f"input {info.name!r} has shape {array.shape}, and {self.images.name!r} has {images} "
                    f"images; batched_input is false, so expected {images} rows, each for a run of its own"
                )
            return
        axis = first_axis(info)
        if axis is None or info is self.images:
            return
        allowed = {axis} if isinstance(axis, int) else set()
        if axis == first_axis(self.images):  # the batch axis: a row an image, or a run's rows for all runs
            allowed |= {images} if self.run_length is None else {images, self.run_length}
        if allowed and len(array) not in allowed:
            raise RunnerError(
                f"input {info.name!r} has shape {array.shape}, and {self.images.name!r} has {images} images; "
                f"the model takes {describe(info)}, so expected {' or '.join(map(str, sorted(allowed)))} rows"
            )

    def _as_input(self, values: ArrayLike, info: TensorInfo) -> NDArray[Any]:
        try:
            array = as_array(info.name, values)
        except TensorError as error:
            raise RunnerError(f"inputs: {error}") from error
        expected = f"the model takes {describe(info)}"
        dtype = NUMPY_TYPES.get(info.type, array.dtype)
        if array.dtype.newbyteorder("=") != dtype:
            raise RunnerError(
                f"input {info.name!r} is {array.dtype}; {expected}: convert it with "
                f".astype(np.{dtype.type.__name__})"
            )
        shape = info.shape if self.batched_input else (None, *info.shape)
        # An empty shape also stands for an unknown rank: then ONNX Runtime judges.
        if info.shape and array.ndim != len(shape):
            raise RunnerError(
                f"input {info.name!r} has {array.ndim} axes, shape {array.shape}; {expected}"
                f"{self._advice(len(info.shape) - array.ndim)}"
            )
        wrong = [
            axis
            for axis, (size, model) in enumerate(zip(array.shape, shape, strict=False))
            if axis > 0 and isinstance(model, int) and size != model
        ]
        if wrong:
            raise RunnerError(
                f"input {info.name!r} has shape {array.shape}, wrong on axis {wrong[0]}; {expected}"
            )
        # ONNX Runtime reads the bytes of the other byte order as if they were native: it must not see them.
        return np.asarray(array, dtype, order="C")

    def _advice(self, missing: int) -> str:
        """Say what to do about an array that lacks so many axes of the model's."""
        if self.batched_input:
            return "" if missing != -1 or self._has_batch_axis else _SAY_SO
        if self._has_batch_axis:
            return (
                f", and {self.images.name!r} has {len(self.images.shape)} axes, the first of them the batch: "
                "leave batched_input out, which is false here"
            )
        return "; batched_input is false: expected one axis more, the first, a row an image"


def first_axis(info: TensorInfo) -> int | str | None:
    """Give the first axis: a length, a symbol, or None where the model tells neither."""
    return info.shape[0] if info.shape else None


def match_name(name: str, known: Collection[str]) -> str | None:
    """Find a tensor's name as it is, else without a trailing ``:0``, else with one."""
    for candidate in (name, str(name).removesuffix(":0"), f"{name}:0"):
        if candidate in known:
            return candidate
    return None


def closest_name(name: str, known: Collection[str]) -> str:
    """Find the most similar of some names."""
    return difflib.get_close_matches(str(name), known, n=1, cutoff=0)[0]


def describe_all(infos: Iterable[TensorInfo]) -> str:
    """Write down several tensors for a message."""
    return ", ".join(map(describe, infos))


def describe(info: TensorInfo) -> str:
    """Write down a tensor for a message, as in ``'data' float32 [N, 3, 224, ?]``."""
    kind = NUMPY_TYPES.get(info.type, info.type)
    return f"{info.name!r} {kind} [{', '.join('?' if axis is None else str(axis) for axis in info.shape)}]"
