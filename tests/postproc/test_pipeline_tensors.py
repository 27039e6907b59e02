"""What a call takes: arrays of any layout, dtype and origin give the same result, and stay as they are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from numpy.typing import DTypeLike, NDArray

from tests.pipelines import KINDS, Tensors, assert_same, count, post_processor, tensors_of

Array = NDArray[Any]


class WithArray:
    """Like a CPU tensor of a framework that knows ``__array__``."""

    def __init__(self, array: Array) -> None:
        self._array = array

    def __array__(self, dtype: DTypeLike = None, copy: bool | None = None) -> Array:
        return self._array if dtype is None else self._array.astype(dtype)


class WithDlpack:
    """Like a CPU tensor of a framework that knows ``__dlpack__`` only."""

    def __init__(self, array: Array) -> None:
        self._array = array

    def __dlpack__(self, **options: Any) -> Any:
        return self._array.__dlpack__(**options)

    def __dlpack_device__(self) -> Any:
        return self._array.__dlpack_device__()


class Labelled(np.ndarray):
    """A subclass of arrays, as other libraries have."""


def reversed_in_memory(array: Array) -> Array:
    backwards: Array = np.ascontiguousarray(array[..., ::-1])[..., ::-1]
    return backwards


def every_second(array: Array) -> Array:
    spaced: Array = np.repeat(array, 2, axis=-1)[..., ::2]
    return spaced


def unaligned(array: Array) -> Array:
    buffer = np.empty(array.nbytes + 1, np.uint8)
    shifted: Array = buffer[1:].view(array.dtype).reshape(array.shape)
    shifted[...] = array
    return shifted


def read_only(array: Array) -> Array:
    frozen = array.copy()
    frozen.flags.writeable = False
    return frozen


def as_memory_map(array: Array, path: Path) -> Array:
    array.tofile(path)
    return np.memmap(path, array.dtype, "r", shape=array.shape)


FORMS: dict[str, Callable[[Array], Any]] = {
    "Fortran order": np.asfortranarray,
    "reversed": reversed_in_memory,
    "every second": every_second,
    "unaligned": unaligned,
    "read-only": read_only,
    "big-endian": lambda array: array.astype(array.dtype.newbyteorder(">")),
    "float64": lambda array: array.astype(np.float64) if array.dtype == np.float32 else array,
    "nested lists": lambda array: array.tolist(),
    "subclass": lambda array: array.view(Labelled),
    "masked": np.ma.masked_array,
    "__array__": WithArray,
    "__dlpack__": WithDlpack,
}


def changed(tensors: Tensors, form: Callable[[Array], Any]) -> dict[str, Any]:
    return {name: form(tensor) for name, tensor in tensors.items()}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", KINDS)
def test_call_arrays_of_another_form_give_the_same_result(kind: str, form: str) -> None:
    post, tensors = post_processor(kind), tensors_of(kind)
    expected = post(tensors)
    assert count(expected) > 0
    assert_same(post(changed(tensors, FORMS[form])), expected)


@pytest.mark.parametrize("kind", KINDS)
def test_call_memory_map_gives_the_same_result(kind: str, tmp_path: Path) -> None:
    post, tensors = post_processor(kind), tensors_of(kind)
    mapped = {name: as_memory_map(tensor, tmp_path / name) for name, tensor in tensors.items()}
    assert_same(post(mapped), post(tensors))


def test_call_saved_tensors_are_a_mapping(tmp_path: Path) -> None:
    post, tensors = post_processor("direct"), tensors_of("direct")
    np.savez(tmp_path / "tensors.npz", **tensors, unused=np.zeros(3))
    with np.load(tmp_path / "tensors.npz") as saved:
        assert_same(post(saved), post(tensors))


@pytest.mark.parametrize("dtype", ["<f2", ">f2", ml_dtypes.bfloat16, np.longdouble], ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_call_other_floats_give_what_their_float32_give(kind: str, dtype: DTypeLike) -> None:
    post = post_processor(kind)
    tensors = {
        name: tensor if name == "classes" else tensor.astype(dtype)
        for name, tensor in tensors_of(kind).items()
    }
    exact = {
        name: tensor if name == "classes" else tensor.astype(np.float32) for name, tensor in tensors.items()
    }
    assert_same(post(tensors), post(exact))
    assert_same(post(changed(tensors, np.asfortranarray)), post(exact))


def test_call_float64_beyond_float32_is_dropped_as_infinite() -> None:
    post, tensors = post_processor("direct"), tensors_of("direct", images=1)
    large = {**tensors, "boxes": tensors["boxes"].astype(np.float64), "scores": tensors["scores"] + 10.0}
    large["boxes"][0, 3] *= 1e300
    large["scores"] = large["scores"].astype(np.float64)
    large["scores"][0, 4] = 1e300
    found = post(large).outputs[0]
    assert count(post(large)) > 0
    assert not {3, 4} & set(found.regions.tolist())  # type: ignore[union-attr]


@pytest.mark.parametrize("kind", KINDS)
def test_call_repeated_image_without_memory_of_its_own(kind: str) -> None:
    post, tensors = post_processor(kind), tensors_of(kind, images=1)
    spread = changed(tensors, lambda tensor: np.broadcast_to(tensor, (4, *tensor.shape[1:])))
    copied = changed(tensors, lambda tensor: np.repeat(tensor, 4, axis=0))
    assert_same(post(spread), post(copied))


@pytest.mark.parametrize("kind", KINDS)
def test_call_without_batch_axis_is_a_batch_of_one(kind: str) -> None:
    post, tensors = post_processor(kind), tensors_of(kind, images=1)
    assert_same(post(changed(tensors, lambda tensor: tensor[0])), post(tensors))


def test_call_anchors_of_one_image_serve_all() -> None:
    post, tensors = post_processor("anchored"), tensors_of("anchored")
    shared = tensors["anchors"][:1]
    expected = post({**tensors, "anchors": np.repeat(shared, 3, axis=0)})
    assert_same(post({**tensors, "anchors": shared}), expected)
    assert_same(post({**tensors, "anchors": shared[0]}), expected)


@pytest.mark.parametrize("kind", KINDS)
def test_call_leaves_its_tensors_as_they_are(kind: str) -> None:
    post, tensors = post_processor(kind), tensors_of(kind)
    before = {name: (tensor.copy(), str(tensor.flags), tensor.shape) for name, tensor in tensors.items()}
    post(tensors, show_discarded=True)
    assert list(tensors) == list(before)
    for name, (copied, flags, shape) in before.items():
        assert tensors[name].tobytes() == copied.tobytes()
        assert (str(tensors[name].flags), tensors[name].shape) == (flags, shape)


@pytest.mark.parametrize("kind", KINDS)
def test_call_result_shares_no_memory_with_the_tensors(kind: str) -> None:
    """A runner overwrites its output buffers with the next batch."""
    post, tensors = post_processor(kind), tensors_of(kind)
    result, expected = post(tensors), post(changed(tensors, np.copy))
    for tensor in tensors.values():
        tensor[...] = 0
    assert_same(result, expected)


@pytest.mark.parametrize(
    "dtype",
    [np.int8, np.int32, np.uint8, np.uint64, np.float16, np.float32, ml_dtypes.bfloat16, ">i4"],
    ids=str,
)
def test_call_class_ids_of_any_number_type(dtype: DTypeLike) -> None:
    tensors = tensors_of("direct")
    known = np.isin(tensors["classes"], [7, 3])
    tensors["classes"] = np.where(known, tensors["classes"], 100)  # what every type can hold
    post = post_processor("direct")
    assert_same(post({**tensors, "classes": tensors["classes"].astype(dtype)}), post(tensors))


@pytest.mark.parametrize("dtype", [np.int64, np.uint64])
def test_call_large_class_ids_do_not_pass_through_floats(dtype: DTypeLike) -> None:
    post, tensors = post_processor("direct", nms_threshold=1.0), tensors_of("direct", images=1)
    tensors["scores"][:] = 0.9
    tensors["classes"][:] = 2**60
    tensors["classes"][0, 1::2] += 1  # the same number in float64
    found = post({**tensors, "classes": tensors["classes"].astype(dtype)}).outputs[0]
    assert set(found.label_ids.tolist()) == {2**60}
    assert len(found.labels) == 20


def test_call_unsigned_id_beyond_int64_is_no_label() -> None:
    post, tensors = post_processor("direct"), tensors_of("direct", images=1)
    assert count(post({**tensors, "classes": np.full((1, 40), 2**64 - 2**60, np.uint64)})) == 0
    assert count(post({**tensors, "classes": np.full((1, 40), 2.0**63)})) == 0
