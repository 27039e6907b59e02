"""The tensors of a case in half precision, or as quantised integers, and the float32 that they stand for."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from postproc import Classification, Detection, QuantizedTensor
from postproc.schema.quantization import FromTensors
from tests import reference
from tests.random_cases.builder import Case
from tests.random_cases.numbers import Json
from tests.strategies import uses_softmax

Array = NDArray[Any]
Rng = np.random.Generator

HALVES = {"float16": np.dtype(np.float16), "bfloat16": np.dtype(ml_dtypes.bfloat16)}
INTEGERS = tuple(map(np.dtype, ("int8", "uint8", "int16", "uint16")))
WIDE = np.dtype(np.int16)
SORTS = ("quantised", *HALVES, "mixed")
_OF_INTEGERS = ("classes_tensor", "count_tensor")


@dataclass(frozen=True, eq=False)
class Narrow:
    """A case whose tensors are of fewer bits.

    Parameters
    ----------
    version : dict
        Of the `case`, with what a document says of integers.
    tensors : dict
        What is passed.
    case : Case
        The case of the float32 tensors that these stand for.
    """

    version: Json
    tensors: dict[str, Any]
    case: Case


def narrow(case: Case, rng: Rng, sort: str, thresholds: bool = True) -> Narrow:
    """Make the tensors of floats of one of `SORTS`; those of classes, counts and sizes stay as they are.

    Half of the cases have scores that come of these for ``thresholds``, if it is asked for.
    """
    version = copy.deepcopy(case.version)
    given, floats = dict(case.tensors), dict(case.tensors)
    dtype = INTEGERS[rng.integers(len(INTEGERS))]
    for post in version["post_processings"]:
        document, output = _output_of(post)
        described: Json = {}
        for (field, *_), name in output.tensor_fields():
            tensor = case.tensors[name]
            if field in _OF_INTEGERS or tensor.dtype.kind != "f":
                continue
            chosen = str(rng.choice(SORTS[:-1])) if sort == "mixed" else sort
            if chosen != "quantised":
                with np.errstate(all="ignore"):
                    given[name] = tensor.astype(HALVES[chosen])
                floats[name] = given[name].astype(np.float32)
                continue
            whole = field == "output_tensor" and bool({"image", "class"} & {*getattr(output, "columns", ())})
            if whole and "image" in getattr(output, "columns", ()) and not _is_small(tensor):
                continue
            if rng.random() < 0.2:
                dtype = INTEGERS[rng.integers(len(INTEGERS))]
            axes = output.channel_axes(str(field), tensor.ndim)
            lengths = [tensor.shape[axis] for axis in axes]
            axis = None
            if axes and not whole and rng.random() < 0.4:
                axis = axes[rng.integers(len(axes))]
                if tensor.shape[axis] < 2 or lengths.count(tensor.shape[axis]) > 1:
                    axis = None
            integers, scale, zero_point = quantised(tensor, WIDE if whole else dtype, rng, axis, whole)
            floats[name] = dequantised(integers, scale, zero_point, axis)
            way = rng.choice(["document", "tensor", "both"])
            if way != "tensor":
                wrong = way == "both"  # since the tensor's own take its place
                scales, zero_points = (np.float32(77), np.int64(5)) if wrong else (scale, zero_point)
                described[name] = {"scale": scales.tolist(), "zero_point": zero_points.tolist()}
            if way == "document":
                given[name] = integers
            else:
                told = axis if rng.random() < 0.5 else None
                given[name] = QuantizedTensor(integers, scale, zero_point, told)
        if described:
            document["quantization"] = described
    made = replace(case, tensors=floats, version=copy.deepcopy(case.version))
    if thresholds and rng.random() < 0.5:
        for row, chosen_ones in enumerate(_thresholds(made, rng)):
            for changed in (version, made.version) if chosen_ones else ():
                (task,) = changed["post_processings"][row].values()
                task["thresholds"] = chosen_ones
    return Narrow(version, given, made)


def _is_small(tensor: Array) -> bool:
    """Say whether the numbers of an image column stay whole beside the other columns."""
    return bool((np.abs(tensor[np.isfinite(tensor)]) < 1000).all())


def quantised(
    tensor: Array, dtype: Any, rng: Rng, axis: int | None, whole: bool = False
) -> tuple[Array, Any, Any]:
    """Return integers, scales and zero points, some of which cut off what is far from the others.

    Where it is asked for, ``whole`` numbers stay what they are.
    """
    bounds = np.iinfo(dtype)
    with np.errstate(all="ignore"):
        values = tensor.astype(np.float64)
    finite = np.where(np.isfinite(values), values, 0.0)
    others = None if axis is None else tuple(set(range(tensor.ndim)) - {axis})
    if tensor.size:
        low, high = finite.min(axis=others), finite.max(axis=others)
    else:
        low = high = np.zeros(() if axis is None else tensor.shape[axis])
    scale = (
        np.maximum(high - low, 1e-3) / (bounds.max - bounds.min) * (1.0 if whole else rng.uniform(0.7, 1.5))
    )
    if whole or rng.random() < 0.5:
        scale = 2.0 ** np.ceil(np.log2(scale))  # ties stay ties
    scale = scale.astype(np.float32)
    zero_point = np.clip(np.round(bounds.min - low / scale), bounds.min, bounds.max).astype(np.int64)
    steps, zero = _along(scale, axis, tensor.ndim), _along(zero_point, axis, tensor.ndim)
    with np.errstate(all="ignore"):
        numbers = np.nan_to_num(np.round(values / steps), nan=0.0, posinf=1e6, neginf=-1e6) + zero
    return np.clip(numbers, bounds.min, bounds.max).astype(dtype), scale, zero_point


def dequantised(integers: Array, scale: Any, zero_point: Any, axis: int | None) -> Array:
    """Return what the integers stand for, step by step."""
    zero = _along(np.asarray(zero_point), axis, integers.ndim)
    steps = _along(np.asarray(scale, np.float32), axis, integers.ndim)
    floats: Array = (integers.astype(np.int32) - zero.astype(np.int32)).astype(np.float32) * steps
    return floats


def _along(numbers: Array, axis: int | None, ndim: int) -> Array:
    if axis is None:
        return numbers
    return numbers.reshape([-1 if one == axis else 1 for one in range(ndim)])


def _output_of(post: Json) -> tuple[Json, FromTensors]:
    """Return the document of an output, and what it says."""
    if "classification" in post:
        return post["classification"], Classification.load(post["classification"])
    detection = Detection.load(post["detection"])
    return post["detection"][detection.kind], detection.output


def _thresholds(case: Case, rng: Rng) -> list[list[float] | None]:
    """Return thresholds that are scores of the case, of each output; None where rounding would decide."""
    options = {name: case.options.get(name) for name in ("input_size", "transforms", "batch_size")}
    decoded = reference.hypotheses(case.spec, case.version, case.tensors, **options)
    chosen: list[list[float] | None] = []
    for output, post, images in zip(
        case.spec["outputs"], case.version["post_processings"], decoded, strict=True
    ):
        scores = np.array([one.score for found in images for one in found], np.float64)
        scores = scores[(scores >= 0) & (scores <= 1)]
        labels = len(output["labels"]["labels"])
        usable = len(scores) and not uses_softmax(post)
        chosen.append(rng.choice(scores, labels).tolist() if usable else None)
    return chosen
