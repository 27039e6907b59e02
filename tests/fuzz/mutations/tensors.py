"""Tensors that are missing, no arrays, of a dtype without numbers, or of numbers that mean nothing."""

from __future__ import annotations

from typing import Any

import numpy as np

from postproc import QuantizedTensor, TensorError
from tests.fuzz.mutations.documents import one_of
from tests.fuzz.mutations.registry import Broken, Registry, Rng
from tests.fuzz.mutations.rules import detections, outputs, to_one_of
from tests.kinds import KINDS, kinds_with

REGISTRY = Registry(TensorError)

NEED_A_SIZE = [name for name, kind in KINDS.items() if kind.output.needs_input_size]
NEED_A_SIZE_IF_NORMALIZED = [
    name
    for name in kinds_with("coordinates")
    if KINDS[name].output.model_copy(update={"coordinates": "normalized"}).needs_input_size
]
INTEGERS_TOO = ("classes", "count", "im_info")  # the tensors that may hold integers


class OnTheGpu:
    """Like a tensor of a framework that refuses to leave its device."""

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        raise RuntimeError("can't convert cuda:0 device type tensor to numpy")


class OnTheGpuByDlpack:
    """Like a tensor of a framework that exports for its device only."""

    def __dlpack__(self, **options: Any) -> Any:
        raise BufferError("not on the CPU")

    def __dlpack_device__(self) -> Any:
        return 2, 0


def any_tensor(broken: Broken, rng: Rng, but: tuple[str, ...] = ()) -> Any:
    """Choose the name of a tensor; None where there is none."""
    return one_of(rng, [name for name in broken.tensors if role(name) not in but])


def role(name: str) -> str:
    return name.partition("/")[2]


def replaced(broken: Broken, name: str | None, value: Any) -> Broken | None:
    """Give something else for a tensor, which the error must name."""
    if name is None:
        return None
    broken.tensors[name] = value
    return broken.names(repr(name))


@REGISTRY.add
def missing_tensor(broken: Broken, rng: Rng) -> Broken | None:
    name = any_tensor(broken, rng)
    del broken.tensors[name]
    if rng.random() < 0.3:
        broken.tensors[one_of(rng, [name.upper(), f"{name}:0", 0, None])] = np.zeros(3, np.float32)
    return broken.names(f"tensor {name!r} is missing")


@REGISTRY.add
def no_array(broken: Broken, rng: Rng) -> Broken | None:
    ragged = [[0.5, 0.5], [0.5]]
    values = [None, {}, "boxes.npy", b"abc", object(), ragged, OnTheGpu(), OnTheGpuByDlpack(), {1.0}, print]
    return replaced(broken, any_tensor(broken, rng), one_of(rng, values))


@REGISTRY.add
def scalar(broken: Broken, rng: Rng) -> Broken | None:
    value = one_of(rng, [0.5, np.float32(1), np.array(1.0), np.float64(2), True, 1, 10**30, 1j])
    return replaced(broken, any_tensor(broken, rng), value)


@REGISTRY.add
def dtype_without_numbers(broken: Broken, rng: Rng) -> Broken | None:
    name = any_tensor(broken, rng)
    shape = broken.tensors[name].shape
    dtypes = (bool, complex, np.complex64, object, "U3", "S3", "M8[s]", "m8[s]", [("x", np.float32)], "V4")
    return replaced(broken, name, np.zeros(shape, one_of(rng, dtypes)))


@REGISTRY.add
def integers_for_floats(broken: Broken, rng: Rng) -> Broken | None:
    name = any_tensor(broken, rng, INTEGERS_TOO)
    dtype = one_of(rng, [np.int8, np.uint8, np.int32, np.int64, np.uint64, ">i4"])
    return replaced(broken, name, np.zeros(broken.tensors[name].shape, dtype))


@REGISTRY.add
def lists_of_no_axis(broken: Broken, rng: Rng) -> Broken | None:
    """A quantised tensor has more scales than any axis is long."""
    name = any_tensor(broken, rng, INTEGERS_TOO)
    if name is None:
        return None
    shape = broken.tensors[name].shape
    scales = [1.0] * (max(shape, default=0) + 2)
    return replaced(broken, name, QuantizedTensor(np.zeros(shape, np.int8), scales))


@REGISTRY.add
def sizes_that_are_none(broken: Broken, rng: Rng) -> Broken | None:
    """The size of an image is zero, negative or not finite."""
    name = one_of(rng, [name for name in broken.tensors if role(name) == "im_info"])
    if name is None or broken.drawn.batch == 0:
        return None
    sizes = broken.tensors[name].astype(np.float64)
    row = sizes if sizes.ndim == 1 else sizes[rng.integers(len(sizes))]
    row[rng.integers(2)] = one_of(rng, [0, -0.0, -1, np.nan, np.inf, -np.inf])
    return replaced(broken, name, sizes.astype(one_of(rng, [np.float64, np.float32, ">f4"])))


@REGISTRY.add
def sizes_of_wrong_shape(broken: Broken, rng: Rng) -> Broken | None:
    name = one_of(rng, [name for name in broken.tensors if role(name) == "im_info"])
    batch = broken.drawn.batch
    shapes = ((), (1,), (0,), (1, 1), (batch + 2, 2), (batch, 2, 1), (batch, 1), (1, batch, 2))
    return replaced(broken, name, np.ones(one_of(rng, shapes), np.float32))


@REGISTRY.add
def no_size(broken: Broken, rng: Rng) -> Broken | None:
    """Nothing says what boxes are in pixels of, that cannot be decoded without."""
    kinds = [path for path, _ in outputs(broken, *NEED_A_SIZE)]
    for path, output in outputs(broken, *NEED_A_SIZE_IF_NORMALIZED):
        output["coordinates"] = "normalized"
        kinds.append(path)
    sized = [task for path, task in detections(broken) if any(kind.startswith(f"{path}.") for kind in kinds)]
    if not sized:
        return None
    for task in sized:
        task.pop("input_size", None)
        task.pop("normalize_wrt_tensor", None)
    broken.options |= {"input_size": None, "transforms": None}
    return broken.names("input_size")


@REGISTRY.add
@to_one_of(outputs, *kinds_with("strides"))
def cells_of_another_size(broken: Broken, rng: Rng, path: str, output: Any) -> Broken | None:
    if broken.drawn.batch == 0:
        return None
    stride = int(one_of(rng, [1, 2, 3]))
    if "output_tensor" in output:
        output["strides"] = [stride, 5]
        return broken.names(repr(output["output_tensor"]))
    output["strides"] = [stride for _ in output.get("strides", (8, 16, 32))]
    return broken.names("check input_size")


@REGISTRY.add
def counts_that_are_none(broken: Broken, rng: Rng) -> Broken | None:
    name = one_of(rng, [name for name in broken.tensors if role(name) == "count"])
    if name is None or broken.tensors[name].size == 0:
        return None
    counts = broken.tensors[name].astype(np.float64)
    counts.flat[rng.integers(counts.size)] = one_of(rng, [-1, 0.5, np.nan, np.inf, -np.inf, 1e300, 10_000])
    with np.errstate(all="ignore"):
        return replaced(broken, name, counts.astype(one_of(rng, [np.float64, ">f8"])))


@REGISTRY.add
def counts_of_wrong_shape(broken: Broken, rng: Rng) -> Broken | None:
    name = one_of(rng, [name for name in broken.tensors if role(name) == "count"])
    batch = broken.drawn.batch
    shapes = ((), (batch, 2), (batch, 1, 1), (batch, 0))
    return replaced(broken, name, np.zeros(one_of(rng, shapes), np.int64))


@REGISTRY.add
def images_that_are_none(broken: Broken, rng: Rng) -> Broken | None:
    """A row of a list names an image that is no number of one."""
    found = one_of(
        rng, [one for _, one in outputs(broken, "end_to_end") if "image" in one.get("columns", ())]
    )
    if found is None:
        return None
    name, columns = found["output_tensor"], found["columns"]
    rows = broken.tensors[name].astype(np.float64)
    flat = rows.reshape(-1, rows.shape[-1])
    before = columns[: columns.index("image")]
    widths = {"box": 4, "keypoints": found.get("keypoints", 0) * found.get("dimensions", 3)}
    if found.get("prototypes_tensor"):
        prototypes = broken.tensors[found["prototypes_tensor"]]
        widths["coefficients"] = prototypes.shape[prototypes.ndim - 3]
    place = sum(widths.get(column, 1) for column in before)
    ends = np.flatnonzero(flat[:, place] == -1)
    last = int(ends[0]) if len(ends) else len(flat)
    if last == 0:
        return None
    flat[rng.integers(last), place] = one_of(rng, [-2, 0.5, np.nan, np.inf, -np.inf, 65536, 1e300])
    return replaced(broken, name, flat.reshape(rows.shape))


@REGISTRY.add
def mask_without_cells(broken: Broken, rng: Rng) -> Broken | None:
    name = one_of(rng, [name for name in broken.tensors if role(name) == "prototypes"])
    if name is None:
        return None
    batch = broken.drawn.batch
    shape = one_of(rng, [(batch, 2, 0, 3), (batch, 2, 3, 0), (batch, 0, 3, 3), (3, 3), (batch,)])
    return replaced(broken, name, np.zeros(shape, np.float32))
