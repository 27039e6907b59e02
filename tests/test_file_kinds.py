"""Files that are not what they are taken for: errors that name what they are, wherever they enter."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from postproc import Classification, ImageError, PostProcessor, RunnerError, SchemaError
from postproc.errors import InspectionError
from postproc.images import Preprocessor, load_image
from postproc.inspection import inspect_model
from postproc.onnx_runner import OnnxRunner
from postproc.onnx_runner.network import OnnxNetwork
from postproc.onnx_runner.session import CPU
from tests.models import copying, network
from tests.stand_ins import Info, RecordingSession

LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"


def zipped() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", b"x")
    return file.getvalue()


MISTAKES = {
    "LFS": (LFS, "a Git LFS pointer.*git lfs pull"),
    "gzip": (gzip.compress(copying()), "compressed with gzip: decompress it"),
    "bzip2": (bz2.compress(copying()), "compressed with bzip2"),
    "xz": (lzma.compress(copying()), "compressed with xz"),
    "zip": (zipped(), r"a zip archive, as PyTorch's \.pt files"),
    "HTML": (b"\n<!DOCTYPE html>\n<title>404</title>", "an HTML page"),
    "Keras": (b"\x89HDF\r\n\x1a\n" + bytes(20), "an HDF5 file, as Keras"),
    "TFLite": (b"\x1c\0\0\0TFL3" + bytes(20), "a TensorFlow Lite network"),
    "HEIC": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", r"HEIC, .*pillow-heif"),
}


@pytest.mark.parametrize("kind", MISTAKES)
@pytest.mark.parametrize("wrap", [Path, Path.read_bytes], ids=["path", "bytes"])
def test_network_that_is_another_file_is_told_what_it_is(
    kind: str, wrap: Callable[[Path], object], tmp_path: Path
) -> None:
    path = tmp_path / "net.onnx"
    content, message = MISTAKES[kind]
    path.write_bytes(content)
    with pytest.raises(RunnerError, match=f"model: expected an ONNX network; .* is {message}"):
        OnnxNetwork(wrap(path), [CPU])
    with pytest.raises(InspectionError, match=f"expected an ONNX network; .*net.onnx is {message}"):
        inspect_model(path)


@pytest.mark.parametrize("kind", sorted(MISTAKES.keys() - {"Keras"}))  # Pillow takes HDF5 for an image of 0x0
@pytest.mark.parametrize("wrap", [Path, Path.read_bytes], ids=["path", "bytes"])
def test_image_that_is_another_file_is_told_what_it_is(
    kind: str, wrap: Callable[[Path], bytes], tmp_path: Path
) -> None:
    path = tmp_path / "a.jpg"
    content, message = MISTAKES[kind]
    path.write_bytes(content)
    with pytest.raises(ImageError, match=f"not an image of a format that Pillow reads, but {message}"):
        load_image(wrap(path))


def test_mean_file_that_is_a_pointer_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "mean.npy").write_bytes(LFS)
    image = {"target_size": "4", "mean_file": "mean.npy"}
    with pytest.raises(SchemaError, match=r"inputs\[0\]\.image\.mean_file: .*is a Git LFS pointer"):
        Preprocessor({"inputs": [{"tensor_name": "a", "image": image}]}, tmp_path)


def test_weights_beside_a_network_that_are_pointers_are_told_so(tmp_path: Path) -> None:
    node = onnx.helper.make_node("Add", ["data", "weights"], ["out"])
    ends, weights = (np.float32, ("N", 64)), np.ones(64, np.float32)
    model = onnx.load_from_string(network([node], {"data": ends}, {"out": ends}, {"weights": weights}))
    path = tmp_path / "net.onnx"
    onnx.save(model, path, save_as_external_data=True, location="net.onnx.data", size_threshold=0)
    OnnxNetwork(path, [CPU])
    (tmp_path / "net.onnx.data").write_bytes(LFS)
    with pytest.raises(
        RunnerError, match=r"cannot open .*; 'net\.onnx\.data' beside it is a Git LFS pointer"
    ):
        OnnxNetwork(path, [CPU])


def scikit_learn(labels: list[str]) -> bytes:
    """Build a classifier as skl2onnx does by default: chosen labels, and a dictionary of scores an image."""
    helper = onnx.helper
    classifier = helper.make_node(
        "LinearClassifier",
        ["data"],
        ["output_label", "scores"],
        domain="ai.onnx.ml",
        coefficients=[1.0, 0.0, 0.0, 1.0],
        intercepts=[0.0, 0.0],
        classlabels_strings=labels,
    )
    zipmap = helper.make_node(
        "ZipMap", ["scores"], ["output_probability"], domain="ai.onnx.ml", classlabels_strings=labels
    )
    value = helper.make_tensor_type_proto(onnx.TensorProto.FLOAT, [])
    dictionary = helper.make_map_type_proto(onnx.TensorProto.STRING, value)
    graph = helper.make_graph(
        [classifier, zipmap],
        "scikit-learn",
        [helper.make_tensor_value_info("data", onnx.TensorProto.FLOAT, ["N", 2])],
        [
            helper.make_tensor_value_info("output_label", onnx.TensorProto.STRING, ["N"]),
            helper.make_value_info("output_probability", helper.make_sequence_type_proto(dictionary)),
        ],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    return bytes(helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString())


@pytest.mark.parametrize(
    ("output", "message"),
    [
        pytest.param("output_probability", "holds a dictionary an image, from the ZipMap", id="dictionaries"),
        pytest.param("output_label", "holds texts, such as the labels", id="texts"),
    ],
)
def test_outputs_of_scikit_learn_name_zipmap_and_no_cast(output: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(scikit_learn(["cat", "dog"]))
    post = PostProcessor.for_classification(["cat", "dog"], Classification(output_tensor=output))
    with pytest.raises(
        RunnerError, match=rf"'{output}' .*{message}.*options=\{{'zipmap': False\}}"
    ) as caught:
        OnnxRunner(path, post, [CPU])
    assert "Cast" not in str(caught.value)
    inspection = inspect_model(path)
    assert inspection.proposals == ()
    assert any("'zipmap': False" in text for text in inspection.faults)


@pytest.mark.parametrize(
    ("kind", "advice"),
    [("seq(tensor(float))", "ConcatFromSequence"), ("tensor(bfloat16)", "a Cast to float")],
)
def test_outputs_of_other_types_are_told_what_makes_them_arrays(kind: str, advice: str) -> None:
    session = RecordingSession([Info("data", "tensor(float)", ["N", 2])], [Info("out", kind, ["N"])], [CPU])
    with pytest.raises(RunnerError, match=advice):
        OnnxNetwork(session).find("out")
