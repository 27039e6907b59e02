"""OnnxRunner: which model it takes, which tensors it asks for, what it hands to the pipeline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import helper

from postproc.errors import RunnerError
from postproc.onnx_runner import OnnxRunner
from postproc.onnx_runner.session import CPU
from postproc.transforms import ImageTransform
from tests.models import copying, network, numbered, passthrough, with_sizes
from tests.stand_ins import RecordingPost, marks, runner

# --- the model


def test_model_given_as_path_bytes_proto_or_session_runs(tmp_path: Path) -> None:
    content = copying()
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    forms = [path, str(path), content, bytearray(content), onnx.load_from_string(content)]
    for form in forms:
        assert marks(runner(form, RecordingPost("out"))(numbered(2, 3, 2, 2))) == [1, 2]
    session = onnxruntime.InferenceSession(content, providers=[CPU])
    assert runner(session, RecordingPost("out"), providers=None).session is session


@pytest.mark.parametrize(
    ("make", "message"),
    [
        pytest.param(lambda folder: folder / "no.onnx", r"no\.onnx' does not exist", id="no file"),
        pytest.param(lambda folder: folder, "is a folder", id="folder"),
        pytest.param(lambda folder: b"not a model", "given as 11 bytes", id="bytes"),
        pytest.param(lambda folder: 3, "expected a path, bytes, .*; got int", id="number"),
    ],
)
def test_model_that_cannot_be_read_raises_runner_error(make: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(RunnerError, match=message):
        runner(make(tmp_path), RecordingPost("out"))


def test_no_post_processor_raises_runner_error() -> None:
    with pytest.raises(RunnerError, match="post: expected a PostProcessor, got NoneType; OnnxNetwork"):
        OnnxRunner(copying(), None)  # type: ignore[arg-type]


def test_model_file_that_is_broken_is_named(tmp_path: Path) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(b"not a model")
    with pytest.raises(RunnerError, match=r"cannot open '.*broken\.onnx' on CPUExecutionProvider") as raised:
        runner(path, RecordingPost("out"))
    assert raised.value.__cause__ is not None


def test_model_without_inputs_raises_runner_error() -> None:
    constant = helper.make_node("Constant", [], ["out"], value_floats=[1.0])
    with pytest.raises(RunnerError, match="the model has no inputs"):
        runner(network([constant], {}, {"out": (np.float32, [1])}), RecordingPost("out"))


@pytest.mark.parametrize(
    ("providers", "session_options"),
    [
        pytest.param([CPU], None, id="providers"),
        pytest.param(None, onnxruntime.SessionOptions(), id="session_options"),
    ],
)
def test_session_given_with_options_for_another_raises_runner_error(
    providers: Any, session_options: Any
) -> None:
    session = onnxruntime.InferenceSession(copying(), providers=[CPU])
    with pytest.raises(RunnerError, match="belong to a session that is still to be opened"):
        runner(session, RecordingPost("out"), providers, session_options=session_options)


def test_session_options_reach_the_session() -> None:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session: Any = runner(copying(), RecordingPost("out"), session_options=options).session
    assert session.get_session_options().intra_op_num_threads == 1


# --- the tensors that the pipeline needs


def test_session_is_asked_only_for_needed_tensors(monkeypatch: pytest.MonkeyPatch) -> None:
    model = passthrough({"data": ("N", 2)}, {"a": "data", "b": "data", "c": "data"})
    session = onnxruntime.InferenceSession(model, providers=[CPU])
    asked: list[Sequence[str]] = []
    run = session.run

    def recording(names: Sequence[str], feed: Mapping[str, NDArray[Any]]) -> Any:
        asked.append(names)
        return run(names, feed)

    monkeypatch.setattr(session, "run", recording)
    post = RecordingPost("c", "a", "c")
    runner(session, post, providers=None)(numbered(1, 2))
    assert asked == [["c", "a"]]
    assert set(post.tensors[0]) == {"a", "c"}


@pytest.mark.parametrize(
    ("output", "needed"),
    [
        pytest.param("boxes:0", "boxes:0", id="exact"),
        pytest.param("boxes", "boxes:0", id="only the document has :0"),
        pytest.param("boxes:0", "boxes", id="only the model has :0"),
    ],
)
def test_needed_tensor_is_found_with_and_without_suffix(output: str, needed: str) -> None:
    post = RecordingPost(needed)
    runner(copying(output=output), post)(numbered(1, 3, 2, 2))
    assert list(post.tensors[0]) == [needed]


def test_needed_tensor_prefers_the_exact_name() -> None:
    model = passthrough({"x": ("N",), "y": ("N",)}, {"boxes": "x", "boxes:0": "y"})
    post = RecordingPost("boxes:0", "boxes")
    runner(model, post)({"x": numbered(2), "y": -numbered(2)})
    np.testing.assert_array_equal(post.tensors[0]["boxes:0"], [-1, -2])
    np.testing.assert_array_equal(post.tensors[0]["boxes"], [1, 2])


def test_needed_tensor_that_is_unknown_raises_error_with_outputs_and_closest() -> None:
    model = passthrough({"data": ("N", 3, None)}, {"detection_boxes": "data", "scores": "data"})
    with pytest.raises(RunnerError) as raised:
        runner(model, RecordingPost("detectoin_boxes"))
    assert str(raised.value) == (
        "the post-processing needs the tensor 'detectoin_boxes', which the model does not have "
        "(closest match: 'detection_boxes'); its outputs are 'detection_boxes' float32 [N, 3, ?], "
        "'scores' float32 [N, 3, ?], its inputs 'data' float32 [N, 3, ?]"
    )


def test_needed_tensor_that_is_an_input_comes_from_the_caller() -> None:
    post = RecordingPost("out", "im_info:0")
    given = np.array([[480, 640, 1], [240, 320, 2]], np.float32)
    made = runner(with_sizes(("N", 3, 2, 2), ("N", 3)), post)
    made({"data": numbered(2, 3, 2, 2), "im_info": given})
    np.testing.assert_array_equal(post.tensors[0]["im_info:0"], given)


@pytest.mark.parametrize("dtype", [np.float16, np.float64, np.int32, np.int64, np.uint8], ids=str)
def test_needed_tensor_keeps_its_data_type(dtype: Any) -> None:
    post = RecordingPost("out")
    runner(copying(("N", 2), dtype=dtype), post)(numbered(2, 2, dtype=dtype))
    assert post.tensors[0]["out"].dtype == dtype


def test_needed_tensor_of_bfloat16_raises_runner_error() -> None:
    cast = helper.make_node("Cast", ["data"], ["out"], to=onnx.TensorProto.BFLOAT16)
    output = helper.make_tensor_value_info("out", onnx.TensorProto.BFLOAT16, ["N", 2])
    data = helper.make_tensor_value_info("data", onnx.TensorProto.FLOAT, ["N", 2])
    graph = helper.make_graph([cast], "test", [data], [output])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    with pytest.raises(RunnerError, match=r"'out' tensor\(bfloat16\) \[N, 2\].*Cast to float"):
        runner(model, RecordingPost("out"))


# --- what the pipeline is called with


def place(number: int) -> ImageTransform:
    """Give a transform that is told from others by its image's height."""
    return ImageTransform((1.0, 1.0), (0.0, 0.0), (2, 2), (number, 2))


def test_transforms_are_split_as_the_images_are() -> None:
    post = RecordingPost("out")
    runner(copying((2, 3, 2, 2)), post)(numbered(3, 3, 2, 2), transforms=[place(1), place(2), place(3)])
    assert [options["transforms"] for options in post.options] == [[place(1), place(2)], [place(3), place(3)]]


@pytest.mark.parametrize(
    ("transforms", "given"),
    [
        pytest.param([place(1)], "1", id="too few"),
        pytest.param(place(1), "ImageTransform", id="one alone"),
    ],
)
def test_transforms_not_one_an_image_raise_runner_error(transforms: Any, given: str) -> None:
    with pytest.raises(RunnerError, match=f"expected a list of 2, one for each image; got {given}$"):
        runner(copying(), RecordingPost("out"))(numbered(2, 3, 2, 2), transforms=transforms)


def test_options_reach_every_part() -> None:
    post = RecordingPost("out")
    runner(copying((1, 3, 2, 2)), post)(numbered(2, 3, 2, 2), show_discarded=True, max_predictions=7)
    expected = {"show_discarded": True, "max_predictions": 7, "input_size": None, "transforms": None}
    expected["batch_size"] = 1
    assert post.options == [expected, expected]


@pytest.mark.parametrize(
    ("shape", "size"),
    [
        pytest.param((1, 3, 480, 640), (480, 640), id="NCHW"),
        pytest.param((1, 1, 28, 20), (28, 20), id="NCHW grey"),
        pytest.param((1, 480, 640, 3), (480, 640), id="NHWC"),
        pytest.param((1, 480, 640, 4), (480, 640), id="NHWC of four channels"),
        pytest.param((1, 480, 640, 7), None, id="no channel axis"),
        pytest.param((1, 3, 480), None, id="no images"),
    ],
)
def test_input_size_is_that_of_the_images_fed(shape: tuple[int, ...], size: tuple[int, int] | None) -> None:
    post = RecordingPost("out", uses_input_size=True)
    runner(copying(tuple(None for _ in shape)), post)(np.zeros(shape, np.float32))
    assert post.options[0]["input_size"] == size


def test_input_size_is_left_to_transforms() -> None:
    post = RecordingPost("out", uses_input_size=True)
    runner(copying(), post)(numbered(1, 3, 2, 2), transforms=[place(1)])
    assert post.options[0]["input_size"] is None


def test_input_size_is_not_passed_where_the_document_has_none() -> None:
    post = RecordingPost("out", uses_input_size=False)
    runner(copying(), post)(numbered(1, 3, 2, 2))
    assert post.options[0]["input_size"] is None


def test_runner_called_from_many_threads_gives_what_one_gives() -> None:
    made = runner(copying((2, 3, 2, 2)), RecordingPost("out"))
    batches = [numbered(images, 3, 2, 2) * (images + 1) for images in range(1, 17)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda batch: marks(made(batch)), batches))
    assert found == [batch[:, 0, 0, 0].tolist() for batch in batches]
