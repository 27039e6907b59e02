"""What a call takes: arrays of any layout, dtype and origin give the same result, and stay as they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from numpy.typing import DTypeLike

from postproc import PostProcessor
from postproc.schema import EndToEndOutput
from tests.array_forms import FORMS, Array, changed
from tests.pipelines import KINDS, assert_same, count, post_processor, tensors_of


def as_memory_map(array: Array, path: Path) -> Array:
    array.tofile(path)
    return np.memmap(path, array.dtype, "r", shape=array.shape)


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
    arrays: dict[str, Any] = {**tensors, "unused": np.zeros(3)}
    np.savez(tmp_path / "tensors.npz", **arrays)
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


def test_call_rows_behind_the_first_that_names_no_image_are_none() -> None:
    columns = ("image", "box", "class", "score")
    post = PostProcessor.for_detection(["a"], EndToEndOutput(output_tensor="rows", columns=columns))
    box = [0.0, 0.0, 1.0, 1.0]
    rows = np.array(
        [[0, *box, 0, 0.9], [-1, *box, 0, 0.95], [0, *box, 0, 0.85], [7, *box, 0, 0.8], [-1, *box, 0, 0.95]],
        np.float32,
    )
    found = post({"rows": rows}).outputs[0]
    assert found.scores.tolist() == rows[:1, 6].tolist()
    assert found.offsets.tolist() == [0, 1]
