"""Arrays of every odd form and type as tensors: the same result, or a `TensorError` that names the tensor."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from postproc import PostProcessor, Recognitions, TensorError
from postproc.schema import EndToEndOutput
from tests.array_forms import WithArray
from tests.pipelines import KINDS, LABELS, Tensors, assert_same, post_processor, tensors_of

Array = NDArray[Any]

TENSORS = [(kind, name) for kind in KINDS for name in tensors_of(kind)]


class Contrary(np.ndarray):
    """A subclass whose every hook says something else than the array."""

    def __array_finalize__(self, source: Any) -> None:
        self.unit = getattr(source, "unit", "px")

    def __getitem__(self, index: Any) -> Any:
        raise RuntimeError("not to be indexed")

    def __array_function__(self, *args: Any, **options: Any) -> Any:
        raise RuntimeError("not to be dispatched on")

    def __array_ufunc__(self, *args: Any, **options: Any) -> Any:
        raise RuntimeError("not to be computed with")

    def __len__(self) -> int:
        return 10**6

    @property
    def shape(self) -> Any:  # type: ignore[override]
        return (2**40,)


def mapped(mode: str) -> Callable[[Array, Path], Array]:
    def form(array: Array, path: Path) -> Array:
        array.tofile(path)
        return np.memmap(path, array.dtype, mode, shape=array.shape)  # type: ignore[call-overload]

    return form


def in_record(array: Array, path: Path) -> Array:
    """As a field of a structured array: strided, and not aligned."""
    records = np.zeros(array.shape, [("flag", "u1"), ("value", array.dtype)])
    records["value"] = array
    return records["value"]


def backwards(array: Array, path: Path) -> Array:
    everywhere = (slice(None, None, -1),) * array.ndim
    return np.ascontiguousarray(array[everywhere])[everywhere]


def unaligned_swapped(array: Array, path: Path) -> Array:
    swapped = array.dtype.newbyteorder(">")
    buffer = np.zeros(array.nbytes + 1, np.uint8)
    shifted: Array = buffer[1:].view(swapped).reshape(array.shape)
    shifted[...] = array
    return shifted


SAME: dict[str, Callable[[Array, Path], Any]] = {
    "backwards on every axis": backwards,
    "field of records": in_record,
    "unaligned and big-endian": unaligned_swapped,
    "contrary subclass": lambda array, path: array.view(Contrary),
    "nothing masked": lambda array, path: np.ma.masked_array(array, np.zeros(array.shape, bool)),
    "__array__ of a view": lambda array, path: WithArray(backwards(array, path)),
    "map, read only": mapped("r"),
    "map, written to": mapped("r+"),
    "map, copied on write": mapped("c"),
}


@pytest.mark.parametrize("form", SAME)
@pytest.mark.parametrize("kind", KINDS)
def test_call_odd_arrays_give_the_same_result_and_stay_as_they_are(
    kind: str, form: str, tmp_path: Path
) -> None:
    post, tensors = post_processor(kind), tensors_of(kind)
    odd = {name: SAME[form](tensor, tmp_path / name) for name, tensor in tensors.items()}
    bases = [bytes_around(value) for value in odd.values()]
    assert_same(post(odd), post(tensors))
    assert [bytes_around(value) for value in odd.values()] == bases


def bytes_around(value: Any) -> bytes:
    """Return all memory that an array is a view of."""
    array = value.__array__() if isinstance(value, WithArray) else value.view(np.ndarray)
    while isinstance(array.base, np.ndarray):
        array = array.base
    return np.ndarray.tobytes(array)


def test_call_matrix_is_an_array_of_two_axes() -> None:
    with pytest.warns(PendingDeprecationWarning):
        matrix = np.matrix([[0.9, 0.1, 0.5]], np.float32)
    post = post_processor("classification")
    assert_same(post({"scores": matrix}), post({"scores": np.asarray(matrix)}))


class Broken:
    """Has an ``__array__`` that does not do as it should."""

    def __init__(self, result: Any) -> None:
        self._result = result

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        if isinstance(self._result, Exception):
            raise self._result
        return self._result


class OnDevice:
    """Like a tensor in the memory of another device, which knows DLPack only."""

    def __dlpack__(self, **options: Any) -> Any:
        raise BufferError("the memory is of device cuda:0")

    def __dlpack_device__(self) -> tuple[int, int]:
        return (2, 0)


class Unreadable:
    """Something whose very attributes raise."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(f"no {name} for anyone")


def deep(rank: int) -> Callable[[Array], Any]:
    return lambda array: np.zeros((1,) * (rank - 1) + (2,), array.dtype)


def retyped(dtype: Any) -> Callable[[Array], Any]:
    return lambda array: np.zeros(array.shape, dtype)


def vast(*shape: int) -> Callable[[Array], Any]:
    return lambda array: np.broadcast_to(np.zeros((), array.dtype), shape)


def masked(array: Array) -> Any:
    mask = np.zeros(array.shape, bool)
    mask.flat[0] = True
    return np.ma.masked_array(array, mask)


REFUSED: dict[str, Callable[[Array], Any]] = {
    **{
        str(dtype): retyped(dtype)
        for dtype in ("bool", "complex64", "U3", "S3", "O", "V4", "datetime64[s]", "timedelta64[s]")
    },
    "records": retyped([("a", "f4"), ("b", "f4")]),
    "big-endian text": retyped(">U3"),
    "objects of numbers": lambda array: array.astype(object),
    "vast objects": lambda array: np.broadcast_to(np.array(None, object), (1, 2**40, 4)),
    "vast": vast(1, 2**40, 4),
    "vast batch": vast(2**40, 40, 4),
    "vast line": vast(2**50),
    "vast, empty": lambda array: np.zeros((2**50, 0, 4), array.dtype),
    "vast half": lambda array: np.broadcast_to(np.float16(0), (1, 2**40, 4)),
    "vast swapped": lambda array: np.broadcast_to(np.zeros((), array.dtype.newbyteorder(">")), (2**40, 4)),
    "32 axes": deep(32),
    "most axes": deep(64 if np.lib.NumpyVersion(np.__version__) >= "2.0.0" else 32),
    "scalar": lambda array: array.dtype.type(1),
    "number": lambda array: 1.0,
    "0-d": lambda array: np.zeros((), array.dtype),
    "masked": masked,
    "raising": lambda array: Broken(ZeroDivisionError("no data")),
    "None": lambda array: None,
    "None made": lambda array: Broken(None),
    "number made": lambda array: Broken(5),
    "device": lambda array: OnDevice(),
    "unreadable": lambda array: Unreadable(),
    "generator": lambda array: (number for number in [1.0]),
    "class": lambda array: np.ndarray,
    "ragged": lambda array: [[1.0], [1.0, 2.0]],
    "empty list": lambda array: [],
}


def outcome(post: PostProcessor, tensors: Mapping[str, Any]) -> Recognitions | TensorError:
    try:
        return post(tensors)
    except TensorError as error:
        return error


def taken(post: PostProcessor, tensors: Tensors, name: str, says: str) -> dict[str, Any]:
    """Return what comes of forms of a tensor that are not refused with an error that says so."""
    outcomes = {
        form: outcome(post, {**tensors, name: change(tensors[name])}) for form, change in REFUSED.items()
    }
    return {
        form: found
        for form, found in outcomes.items()
        if not (isinstance(found, TensorError) and re.search(says, str(found)))
    }


@pytest.mark.parametrize(("kind", "name"), TENSORS)
def test_call_what_is_no_such_tensor_is_an_error_that_names_it(kind: str, name: str) -> None:
    says = f"^tensor '{name}'|as of the scores '{name}'"
    assert taken(post_processor(kind), tensors_of(kind), name, says) == {}


@pytest.mark.parametrize("dtype", [np.int64, np.uint8])
@pytest.mark.parametrize(("kind", "name"), [pair for pair in TENSORS if pair[1] not in ("classes", "rows")])
def test_call_integers_for_floats_are_an_error_that_names_the_tensor(
    kind: str, name: str, dtype: Any
) -> None:
    tensors = tensors_of(kind)
    with pytest.raises(TensorError, match=f"tensor '{name}' must be of float32"):
        post_processor(kind)({**tensors, name: tensors[name].astype(dtype)})


@pytest.mark.parametrize("multi_label", [True, False])
@pytest.mark.parametrize(("kind", "name"), TENSORS)
def test_call_axis_of_no_length_is_no_crash(kind: str, name: str, multi_label: bool) -> None:
    """Of one of several tensors it does not fit the others; of the only one it may say: nothing found."""
    post = post_processor(kind, multi_label=multi_label)
    tensors = tensors_of(kind)
    for axis in range(tensors[name].ndim):
        shape = tuple(0 if index == axis else side for index, side in enumerate(tensors[name].shape))
        empty = {**tensors, name: np.zeros(shape, tensors[name].dtype)}
        result = outcome(post, empty)
        if isinstance(result, TensorError):
            assert any(f"tensor {other!r}" in str(result) for other in tensors)
        else:  # a YOLOv3 may still find something in its other grid
            assert kind == "yolov3" or not any(len(found.labels) for found in result.outputs)


@pytest.mark.parametrize("multi_label", [True, False])
@pytest.mark.parametrize("activation", ["none", "sigmoid", "softmax"])
@pytest.mark.parametrize("boxes", [(3, 40, 4), (3, 40, 0, 4)], ids=str)
def test_call_direct_output_without_columns_finds_nothing(
    boxes: tuple[int, ...], activation: str, multi_label: bool
) -> None:
    output = {"boxes_tensor": "boxes", "scores_tensor": "scores", "classes_tensor": "classes"}
    version = {
        "direct_output": {**output, "score_activation": activation},
        "multi_label": multi_label,
        "thresholds": [0.0],
    }
    spec = {"name": "", "outputs": [{"labels": {"labels": [{"id": 1, "name": "a"}], "exclusive": True}}]}
    spec["outputs"][0]["labels"]["roi"] = "BBOX"  # type: ignore[index]
    post = PostProcessor(spec, {"post_processings": [{"detection": version}]})
    nothing = {
        "boxes": np.zeros(boxes, np.float32),
        "scores": np.zeros((3, 40, 0), np.float32),
        "classes": np.zeros((3, 40, 0), np.int64),
    }
    assert post(nothing).outputs[0].offsets.tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("yolov3", "yolox", "distance")])
@pytest.mark.parametrize("batch", [0, 3])
def test_call_no_boxes_or_no_images_find_nothing(kind: str, batch: int) -> None:
    tensors = tensors_of(kind)
    for name, tensor in tensors.items():
        if batch == 0:
            tensors[name] = tensor[:0]
        elif 40 in tensor.shape:
            tensors[name] = np.take(tensor, [], tensor.shape.index(40))
    if kind == "yolo" and batch:
        tensors["grid"] = tensors["grid"][:, :0]
    found = post_processor(kind)(tensors, show_discarded=True).outputs[0]
    assert len(found) == batch
    if kind != "classification" or not batch:
        assert found.offsets.tolist() == [0] * (batch + 1)


ROWS: dict[str, dict[str, Any]] = {
    "packed": {"output_tensor": "rows"},
    "images": {"output_tensor": "rows", "columns": ("image", "box", "class", "score")},
    "counted": {"output_tensor": "rows", "count_tensor": "counts"},
    "separate": {"boxes_tensor": "boxes", "scores_tensor": "scores", "classes_tensor": "classes"},
}
ROWS["separate, counted"] = {**ROWS["separate"], "count_tensor": "counts"}


def end_to_end(form: str) -> tuple[PostProcessor, Tensors]:
    post = PostProcessor.for_detection(LABELS, EndToEndOutput(**ROWS[form]), thresholds=0.4)
    rows = tensors_of("end_to_end")["rows"]
    if form == "images":
        images = np.repeat(np.arange(3, dtype=np.float32), 40)[:, np.newaxis]
        flat = rows.reshape(-1, 6)
        return post, {"rows": np.concatenate([images, flat[:, :4], flat[:, 5:], flat[:, 4:5]], axis=1)}
    tensors: Tensors = {"counts": np.array([40, 0, 17])}
    if "separate" in form:
        tensors |= {"boxes": rows[..., :4], "scores": rows[..., 4], "classes": rows[..., 5].astype(np.int64)}
    else:
        tensors["rows"] = rows
    return post, {name: tensor for name, tensor in tensors.items() if name in post.tensor_names}


END_TO_END = [(form, name) for form in ROWS for name in end_to_end(form)[1]]


@pytest.mark.parametrize(("form", "name"), END_TO_END)
def test_call_end_to_end_what_is_no_such_tensor_is_an_error(form: str, name: str) -> None:
    post, tensors = end_to_end(form)
    assert sum(len(found.labels) for found in post(tensors).outputs)
    assert taken(post, tensors, name, f"tensor '{name}'") == {}


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -1.0, 41.0, 0.5, 1e30, 2.0**63])
@pytest.mark.parametrize("form", ["counted", "separate, counted"])
def test_call_end_to_end_count_that_is_none_is_an_error(form: str, value: float) -> None:
    post, tensors = end_to_end(form)
    with pytest.raises(TensorError, match="tensor 'counts'"):
        post({**tensors, "counts": np.array([1.0, value, 2.0])})


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -2.0, 3.0, 0.5, 1e30, 2.0**63])
def test_call_end_to_end_image_that_is_none_is_an_error(value: float) -> None:
    post, tensors = end_to_end("images")
    tensors["rows"][5, 0] = value
    with pytest.raises(TensorError, match="tensor 'rows', row 5: its image is"):
        post(tensors, batch_size=3)


class Moody(Mapping[str, Any]):
    """A mapping that computes: here, something else each time, or an error."""

    def __init__(self, answers: dict[str, Any], listed: Any = ()) -> None:
        self._answers = answers
        self._listed = listed

    def __getitem__(self, name: str) -> Any:
        answer = self._answers[name]
        if isinstance(answer, Exception):
            raise answer
        return answer.pop() if isinstance(answer, list) else answer

    def __iter__(self) -> Iterator[str]:
        if isinstance(self._listed, Exception):
            raise self._listed
        return iter(self._listed)

    def __len__(self) -> int:
        return 1


class MoodyDict(dict[str, Any]):
    def __getitem__(self, name: str) -> Any:
        raise OSError("the file is gone")


@pytest.mark.parametrize(
    "tensors", [Moody({"scores": OSError("the file is gone")}), MoodyDict(scores=1)], ids=["mapping", "dict"]
)
def test_call_mapping_that_raises_is_an_error_that_names_the_tensor(tensors: Any) -> None:
    with pytest.raises(TensorError, match=r"tensor 'scores' cannot be had .*the file is gone"):
        post_processor("classification")(tensors)


def test_call_mapping_that_cannot_be_listed_still_says_what_is_missing() -> None:
    with pytest.raises(TensorError, match=r"tensor 'scores' is missing; .* unknown \(OSError"):
        post_processor("classification")(Moody({}, OSError("gone")))


def test_call_mapping_of_another_answer_each_time_is_asked_once() -> None:
    """A YOLOX needs the size for its cells and for its boxes: of one answer, whatever a second would be."""
    post = post_processor("yolox", normalize_wrt_tensor="im", input_size=None)
    tensors = tensors_of("yolox")
    good, bad = np.array([20, 32]), np.array([20.0, np.nan])
    expected = post({**tensors, "im": good})
    assert len(expected.outputs[0].labels)
    assert_same(post(Moody({**tensors, "im": [bad, good]})), expected)
    for wrong in (bad, np.array(["a", "b"]), np.zeros((0, 2))):
        assert "tensor 'im'" in str(outcome(post, Moody({**tensors, "im": [good, wrong]})))


@pytest.mark.parametrize("size", [[1e30, 1e30], [2**40, 2**40], [5e-324, 5e-324], [1, 1e308]], ids=str)
def test_call_yolox_of_an_input_beyond_all_measure_is_an_error(size: Any) -> None:
    with pytest.raises(TensorError, match="tensor 'table' has 40 boxes an image"):
        post_processor("yolox")(tensors_of("yolox"), input_size=size)


@pytest.mark.parametrize("size", [[10**400, 5], [[1, 2], [3]], ["a", "b"]], ids=["vast", "ragged", "text"])
def test_call_input_size_that_is_none_is_an_error(size: Any) -> None:
    with pytest.raises(TensorError, match="input_size must be"):
        post_processor("direct")(tensors_of("direct"), input_size=size)


def test_call_flag_that_is_neither_true_nor_false_is_an_error() -> None:
    with pytest.raises(TensorError, match="show_discarded must be true or false"):
        post_processor("direct")(tensors_of("direct"), show_discarded=np.ones(2))  # type: ignore[arg-type]
