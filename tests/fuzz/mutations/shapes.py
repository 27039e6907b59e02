"""Tensors of other shapes: refused where they fit no layout, else read as the reference reads them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from postproc import TensorError
from tests.fuzz.mutations.documents import one_of
from tests.fuzz.mutations.registry import Broken, Registry, Rng
from tests.fuzz.mutations.rules import outputs, to_one_of
from tests.fuzz.mutations.tensors import any_tensor, role
from tests.random_cases.numbers import Tensors

REGISTRY = Registry(TensorError)

# Sides that no layout has: labels are at most 40, anchors 3, further columns 15.
ODD_SIDES = (2, 43, 53, 61)
WITHOUT_IMAGES = (("prototypes", 3), ("offsets", 2))  # whose first axis may be as long by chance
FURTHER_ROWS = 97


def names_output(broken: Broken, name: str) -> Broken:
    """Expect an error that names a tensor of the same output: it is two shapes that do not agree."""
    return broken.names(name.partition("/")[0] + "/")


def is_list_of_counts(broken: Broken, name: str) -> bool:
    """Say whether the number of counts is that of the images, whatever it is."""
    return (
        role(name) == "count"
        and broken.tensors.get(name.replace("count", "rows"), np.empty((0, 0, 0))).ndim < 3
    )


@REGISTRY.add
def rank_too_large(broken: Broken, rng: Rng) -> Broken | None:
    name = any_tensor(broken, rng)
    tensor = broken.tensors[name]
    further = [2] * int(one_of(rng, [3, 4]))
    broken.tensors[name] = np.broadcast_to(
        tensor[(..., *[np.newaxis] * len(further))], (*tensor.shape, *further)
    )
    return broken.names(repr(name))


@REGISTRY.add
def odd_sides(broken: Broken, rng: Rng) -> Broken | None:
    name = any_tensor(broken, rng)
    if is_list_of_counts(broken, name) or (role(name) == "im_info" and broken.drawn.batch == 0):
        return None
    tensor = broken.tensors[name]
    has_images = tensor.ndim > 1 and len(tensor) == broken.drawn.batch
    kept = tensor.shape[:1] if has_images and (role(name), tensor.ndim) not in WITHOUT_IMAGES else ()
    shape = (*kept, *ODD_SIDES[len(ODD_SIDES) - tensor.ndim + len(kept) :])
    broken.tensors[name] = np.zeros(shape, tensor.dtype)
    return names_output(broken, name)


@REGISTRY.add
@to_one_of(outputs, "anchored", "direct", "standard", "ssd", "end_to_end")
def further_rows(broken: Broken, rng: Rng, path: str, output: Any) -> Broken | None:
    """One tensor of an output has more boxes than the others."""
    names = [output.get(f"{part}_tensor") for part in ("anchors", "offsets", "boxes", "priors")]
    name = one_of(rng, [name for name in names if name is not None])
    if name is None:
        return None
    tensor = broken.tensors[name]
    if tensor.shape[-1] != 4 and role(name) not in ("offsets", "anchors"):
        return None  # priors as Caffe has them
    axis = 0 if tensor.ndim == 2 else 1
    broken.tensors[name] = np.concatenate([tensor, _more(tensor, axis, FURTHER_ROWS)], axis)
    return names_output(broken, name)


@REGISTRY.add
def further_image(broken: Broken, rng: Rng) -> Broken | None:
    """One tensor has an image more than the others."""
    batch = broken.drawn.batch
    names = [name for name, tensor in broken.tensors.items() if _has_images(broken, name, tensor)]
    if batch < 2 or len(names) < 2:
        return None
    name = one_of(rng, names)
    tensor = broken.tensors[name]
    broken.tensors[name] = np.concatenate([tensor, tensor[:1]])
    return broken.names(*(other.partition("/")[0] + "/" for other in names))


def _has_images(broken: Broken, name: str, tensor: NDArray[np.generic]) -> bool:
    """Say whether the first axis of a tensor of two or more images is that of the images."""
    if role(name) == "rows" and tensor.ndim != 3:
        return False
    if role(name) == "keypoints" and tensor.ndim != 4:
        return False
    if role(name) in ("rows", "count", "classes", "keypoints") and (
        is_list_of_counts(broken, name) or _in_lists(broken)
    ):
        return False
    if role(name) in ("anchors", "priors") and tensor.ndim != 3:
        return False
    return (tensor.ndim > 1 or role(name) == "count") and len(tensor) == broken.drawn.batch


def _in_lists(broken: Broken) -> bool:
    return any("image" in output.get("columns", ()) for _, output in outputs(broken, "end_to_end"))


@REGISTRY.may_be_valid()
def other_length(broken: Broken, rng: Rng) -> Broken | None:
    """An axis is one longer or shorter."""
    name = any_tensor(broken, rng)
    tensor = broken.tensors[name]
    axis = int(rng.integers(tensor.ndim))
    if rng.random() < 0.5 and tensor.shape[axis]:
        tensor = np.delete(tensor, -1, axis)
    else:
        tensor = np.concatenate([tensor, _more(tensor, axis, 1)], axis)
    broken.tensors[name] = tensor
    return all_named(broken)


@REGISTRY.may_be_valid()
def dropped_axis(broken: Broken, rng: Rng) -> Broken | None:
    name = any_tensor(broken, rng)
    tensor = broken.tensors[name]
    axis = int(rng.integers(tensor.ndim))
    if tensor.shape[axis] == 0:
        return None
    broken.tensors[name] = tensor.take(0, axis)
    return all_named(broken)


@REGISTRY.may_be_valid()
def further_axis(broken: Broken, rng: Rng) -> Broken | None:
    name = any_tensor(broken, rng)
    tensor = broken.tensors[name]
    broken.tensors[name] = np.expand_dims(tensor, int(rng.integers(tensor.ndim + 1)))
    return all_named(broken)


@REGISTRY.may_be_valid()
def swapped_axes(broken: Broken, rng: Rng) -> Broken | None:
    name = any_tensor(broken, rng)
    tensor = broken.tensors[name]
    if tensor.ndim < 2:
        return None
    broken.tensors[name] = tensor.transpose(rng.permutation(tensor.ndim))
    return all_named(broken)


@REGISTRY.may_be_valid()
def no_batch_axis_anywhere(broken: Broken, rng: Rng) -> Broken | None:
    if any(len(tensor) != 1 for tensor in broken.tensors.values()):
        return None
    broken.tensors = {name: tensor[0] for name, tensor in broken.tensors.items()}
    return all_named(broken)


@REGISTRY.may_be_valid()
def swapped_tensors(broken: Broken, rng: Rng) -> Broken | None:
    """Two tensors change names."""
    if len(broken.tensors) < 2:
        return None
    tensors: Tensors = broken.tensors
    one, other = rng.choice(list(tensors), 2, replace=False)
    tensors[one], tensors[other] = tensors[other], tensors[one]
    return all_named(broken)


def all_named(broken: Broken) -> Broken:
    """Expect an error that names any tensor: the one that changed may be the one that others do not fit."""
    return broken.names(*map(repr, broken.tensors))


def _more(tensor: NDArray[np.generic], axis: int, count: int) -> NDArray[np.generic]:
    shape = list(tensor.shape)
    shape[axis] = count
    return np.zeros(shape, tensor.dtype)
