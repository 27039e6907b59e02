"""What ``postproc fuse`` writes over, and what it leaves where it was."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx.external_data_helper import convert_model_to_external_data

from postproc import PostProcessor, disk
from tests.cli.commands import invoke
from tests.cli.test_fuse import FUSE, assert_found, post, run
from tests.models import answering
from tests.onnx_runner.test_fused import SIDE

__all__ = ["post"]  # the fixture, a folder with a network and its documents

BLANK = np.zeros((2, 3, SIDE, SIDE), np.float32)


@pytest.fixture
def apart(post: PostProcessor) -> PostProcessor:
    """The folder, whose network has its weights in ``weights.bin``."""
    move_weights("weights.bin")
    return post


def move_weights(name: str) -> None:
    model = onnx.load("model.onnx")
    convert_model_to_external_data(model, location=name, size_threshold=1024)
    onnx.save(model, "model.onnx")


def content() -> dict[str, bytes]:
    return {name: Path(name).read_bytes() for name in os.listdir()}


def refused(*arguments: str) -> str:
    """Give the line of a refusal, after which all files are what they were."""
    before = content()
    result = invoke(*FUSE, *arguments)
    assert result.exit_code == 1, result.output
    assert content() == before
    (line,) = result.stderr.splitlines()
    return line


def test_weights_beside_the_network_lie_beside_the_fused_file(apart: PostProcessor) -> None:
    network = Path("weights.bin").read_bytes()
    for candidates in ("99", "100"):  # the second time over the first
        assert invoke(*FUSE, "--candidates", candidates).exit_code == 0
        assert_found(run("fused.onnx", {"images": BLANK}), apart)
    assert Path("fused.onnx.data").stat().st_size == len(network)
    assert Path("weights.bin").read_bytes() == network
    assert not [name for name in os.listdir() if name.startswith(".")]
    Path("plain").touch()
    assert {Path(name).stat().st_mode for name in ("plain", "fused.onnx", "fused.onnx.data")} == {
        Path("plain").stat().st_mode
    }
    Path("weights.bin").unlink()
    assert "model.onnx cannot be read as an ONNX network" in refused()


def test_sparse_weights_beside_the_network_come_along(apart: PostProcessor) -> None:
    model = onnx.load("model.onnx", load_external_data=False)
    sparse = model.graph.sparse_initializer.add(dims=[9])
    sparse.values.CopyFrom(onnx.numpy_helper.from_array(np.array([5], np.float32), "sparse"))
    sparse.indices.CopyFrom(onnx.numpy_helper.from_array(np.array([3]), "at"))
    onnx.external_data_helper.set_external_data(sparse.values, "sparse.bin", 0, 4)
    Path("sparse.bin").write_bytes(sparse.values.raw_data)
    sparse.values.ClearField("raw_data")
    onnx.save(model, "model.onnx")
    result = invoke(*FUSE, "--output", "deep/er/fused.onnx")
    assert result.exit_code == 0, result.stderr
    assert set(os.listdir("deep/er")) == {"fused.onnx", "fused.onnx.data"}
    assert_found(run("deep/er/fused.onnx", {"images": BLANK}), apart)


@pytest.mark.parametrize(
    ("output", "what"),
    [
        ("model.onnx", "the network"),
        ("./model.onnx", "the network"),
        ("link.onnx", "the network"),
        ("hard.json", "the spec"),
        ("version.json", "the version"),
        ("preprocessing.json", "the preprocessing"),
        ("mean.npy", "the preprocessing's mean_file"),
        ("weights.bin", "the file of the network's weights"),
    ],
)
@pytest.mark.usefixtures("apart")
def test_output_is_none_of_the_files_that_are_read(output: str, what: str) -> None:
    Path("link.onnx").symlink_to("model.onnx")
    Path("hard.json").hardlink_to("spec.json")
    np.save("mean.npy", np.zeros((3, SIDE, SIDE), np.float32))
    document = Path("preprocessing.json")
    document.write_text(document.read_text().replace('"BGR"', '"BGR", "mean_file": "mean.npy"'))
    line = refused("--preprocessing", "preprocessing.json", "--output", output)
    assert line.endswith(f"{output.removeprefix('./')} is {what} itself: give --output another name")


@pytest.mark.usefixtures("post")
def test_weights_of_the_network_are_not_written_over() -> None:
    move_weights("net.onnx.data")
    expected = "net.onnx.data is the file of the network's weights itself: give --output another name"
    assert expected in refused("--output", "net.onnx")


@pytest.mark.usefixtures("apart")
def test_weights_of_another_network_are_not_written_over() -> None:
    data = Path("fused.onnx.data")
    data.write_bytes(b"another's")
    assert "fused.onnx.data, where weights are to lie, is there already" in refused()
    data.unlink()
    data.symlink_to("plain")
    Path("plain").touch()
    assert "is there already" in refused()


@pytest.mark.parametrize("has_weights", [False, True])
@pytest.mark.parametrize(("content", "what"), [(b"notes", "no ONNX network"), (b"", "no ONNX network")])
def test_file_that_is_no_former_fused_one_is_not_written_over(
    content: bytes, what: str, has_weights: bool, post: PostProcessor
) -> None:
    if has_weights:
        move_weights("weights.bin")
    Path("fused.onnx").write_bytes(content)
    assert f"fused.onnx is there already, and is {what}, not a former fused file: give --output" in refused()
    Path("fused.onnx").write_bytes(answering({"output0": BLANK[0]}, ("N", 3, SIDE, SIDE), "images"))
    assert "is another network" in refused()
    Path("fused.onnx").unlink()
    Path("kept").write_bytes(content)
    Path("fused.onnx").symlink_to("kept")
    assert f"is {what}" in refused()


def test_weights_of_a_former_fused_file_are_not_written_over_and_go_with_it(apart: PostProcessor) -> None:
    assert invoke(*FUSE).exit_code == 0
    assert "fused.onnx.data is there already, and is no ONNX" in refused("--output", "fused.onnx.data")
    apart_from_now = {name: Path(name).read_bytes() for name in ("model.onnx", "weights.bin")}
    Path("model.onnx").write_bytes(onnx.load("model.onnx").SerializeToString())
    assert invoke(*FUSE).exit_code == 0
    assert not Path("fused.onnx.data").exists()
    assert_found(run("fused.onnx", {"images": BLANK}), apart)
    for name, content in apart_from_now.items():
        Path(name).write_bytes(content)
    assert invoke(*FUSE).exit_code == 0
    assert_found(run("fused.onnx", {"images": BLANK}), apart)


@pytest.mark.parametrize("layout", ["both linked", "network linked", "data linked"])
def test_weights_are_found_through_links_as_in_a_cache_of_hugging_face(
    layout: str, apart: PostProcessor
) -> None:
    for folder in ("blobs", "snapshot"):
        Path(folder).mkdir()
    network, data = Path("blobs/1f"), Path("blobs/2e" if layout != "network linked" else "blobs/weights.bin")
    if layout == "data linked":
        network, data = Path("snapshot/model.onnx"), Path("snapshot/kept.bin")
    Path("model.onnx").rename(network)
    Path("weights.bin").rename(data)
    if layout != "data linked":
        Path("snapshot/model.onnx").symlink_to(Path("..", network))
    if layout != "network linked":
        Path("snapshot/weights.bin").symlink_to(data.absolute())
    result = invoke("fuse", "snapshot/model.onnx", *FUSE[2:])
    assert result.exit_code == 0, result.output
    for path, name in ((network, "model.onnx"), (data, "weights.bin")):
        Path(name).hardlink_to(path)
    before = data.read_bytes()
    assert_found(run("fused.onnx", {"images": BLANK}), apart)
    refused_over = invoke("fuse", "snapshot/model.onnx", *FUSE[2:-1], str(data))
    assert "is the file of the network's weights itself" in refused_over.stderr
    assert data.read_bytes() == before


def test_weights_that_lie_elsewhere_are_refused_with_what_to_do(apart: PostProcessor) -> None:
    for folder in ("elsewhere", "deep"):
        Path(folder).mkdir()
    Path("weights.bin").rename("elsewhere/secret")
    Path("model.onnx").rename("deep/model.onnx")
    Path("deep/weights.bin").symlink_to("../elsewhere/secret")
    result = invoke("fuse", "deep/model.onnx", *FUSE[2:])
    assert result.exit_code == 1
    assert "expected the files of its weights beside it" in result.stderr


def test_network_that_is_not_valid_is_refused(post: PostProcessor) -> None:
    model = onnx.load("model.onnx")
    model.graph.node.add(op_type="NoSuch", input=["images"], output=["more"])
    onnx.save(model, "model.onnx")
    assert "finds the fused network invalid: No Op registered for NoSuch" in refused()


def test_data_that_nothing_is_written_to_stays(post: PostProcessor) -> None:
    data = Path("fused.onnx.data")
    data.write_bytes(b"another's")
    assert invoke(*FUSE).exit_code == 0
    assert data.read_bytes() == b"another's"
    assert_found(run("fused.onnx", {"images": BLANK}), post)


# --- failures


def failing_at(count: int, function: Callable[..., Any]) -> Callable[..., Any]:
    calls = []

    def fail(*arguments: Any, **more: Any) -> Any:
        calls.append(arguments)
        if len(calls) == count:
            raise OSError(28, "No space left on device")
        return function(*arguments, **more)

    return fail


@pytest.mark.parametrize("was_there", [False, True])
@pytest.mark.parametrize(
    ("function", "count"),
    [*(("sync", count) for count in (1, 2, 3, 4)), ("settle", 1), ("settle", 2), ("give_usual_mode", 2)],
)
@pytest.mark.usefixtures("apart")
def test_former_file_stays_where_the_new_one_cannot_be_written(
    function: str, count: int, was_there: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if was_there:
        assert invoke(*FUSE).exit_code == 0
        weights = Path("weights.bin")
        weights.write_bytes(weights.read_bytes()[::-1])
    monkeypatch.setattr(disk, function, failing_at(count, getattr(disk, function)))
    assert "cannot write fused.onnx: No space left on device" in refused("--candidates", "99")


@pytest.mark.usefixtures("apart")
def test_former_network_is_never_beside_weights_that_are_not_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def settle(written: Path, path: Path) -> None:
        real(written, path)
        seen.append({name for name in os.listdir() if name.startswith("fused.onnx")})

    real = disk.settle
    monkeypatch.setattr(disk, "settle", settle)
    for _ in range(2):
        assert invoke(*FUSE).exit_code == 0
    assert seen == [{"fused.onnx.data"}, {"fused.onnx", "fused.onnx.data"}] * 2


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        ("/dev/full", "No space left on device"),
        ("spec.json/below/fused.onnx", "Not a directory"),
        ("spec.json/fused.onnx", "its folder is a file"),
        (f"{'long' * 80}.onnx", "File name too long"),
    ],
)
@pytest.mark.usefixtures("post")
def test_path_that_cannot_be_written_is_told(output: str, reason: str) -> None:
    assert f"cannot write {output}: {reason}" in refused("--output", output)


@pytest.mark.parametrize("output", ["/dev/full", "link.onnx"])
@pytest.mark.usefixtures("apart")
def test_weights_beside_a_device_or_a_link_are_refused(output: str) -> None:
    assert invoke(*FUSE, "--output", "other").exit_code == 0
    Path("link.onnx").symlink_to("other")
    assert f"{output} is a link or a device, and weights are to lie beside it" in refused("--output", output)
