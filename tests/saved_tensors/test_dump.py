"""Dumping a network's tensors: what is saved, and what a killed dump leaves."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from onnx import helper
from PIL import Image

from postproc import ImageTransform, RunnerError, TensorError
from postproc.images import Preprocessor
from postproc.onnx_runner.network import OnnxNetwork
from postproc.saved_tensors.dump import Dumped, dump, file_digest
from postproc.saved_tensors.dump_folder import locked
from tests.models import network, passthrough
from tests.saved_tensors.tensor_files import read_all, rows_of

SIDE = 8
COPY = passthrough({"data": ("N", 3, SIDE, SIDE)}, {"out": "data", "other": "data"})
PREPROCESSING = {
    "inputs": [
        {"tensor_name": "data", "image": {"resize_type": "FILL", "target_size": f"{SIDE}x{SIDE}"}},
    ],
    "batched_output": True,
}
IMAGE_BYTES = 2 * 3 * SIDE * SIDE * 4  # of both outputs


@pytest.fixture
def images(tmp_path: Path) -> list[Path]:
    """Give images that differ, in a folder."""
    rng = np.random.default_rng(2)
    (tmp_path / "images").mkdir()
    paths = [tmp_path / "images" / f"{row:02}.png" for row in range(24)]
    for path in paths:
        Image.fromarray(rng.integers(0, 256, (5 + len(path.stem), 9, 3), np.uint8)).save(path)
    return paths


def run(paths: Sequence[Path], folder: Path, model: bytes = COPY, **options: Any) -> Dumped:
    options = {"digest": "1", "batch_size": 4, **options}
    preprocessor = Preprocessor(options.pop("preprocessing", PREPROCESSING))
    network = OnnxNetwork(model, batched_input=preprocessor.preprocessing.batched_input)
    return dump(network, preprocessor, paths, folder, **options)


def test_dump_saves_what_the_network_gives_for_each_image(images: list[Path], tmp_path: Path) -> None:
    done: list[int] = []
    result = run(images[:6], tmp_path / "d", on_done=done.append)
    assert (result, done) == (Dumped(6, 0, {}), [0, 4, 2])
    found = list(read_all(tmp_path / "d"))
    assert [image.name for image in found] == [path.as_posix() for path in images[:6]]
    for image, path in zip(found, images, strict=False):
        prepared = Preprocessor(PREPROCESSING)([path])
        assert image.transform == prepared.transforms[0] == ImageTransform.fill((SIDE, SIDE), (7, 9))
        assert image.size == (7, 9)
        assert list(image.tensors) == ["out", "other"]
        for tensor in image.tensors.values():
            np.testing.assert_array_equal(tensor, prepared.tensors["data"], strict=True)


def test_dump_of_a_network_without_a_batch_axis_saves_its_tensors_as_they_are(
    images: list[Path], tmp_path: Path
) -> None:
    model = passthrough({"data": (3, SIDE, SIDE)}, {"out": "data"})
    preprocessing = {**PREPROCESSING, "batched_input": False}
    run(images[:3], tmp_path / "d", model, preprocessing=preprocessing)
    found = list(read_all(tmp_path / "d"))
    for image, path in zip(found, images[:3], strict=True):
        expected = Preprocessor(preprocessing)([path]).tensors["data"][0]
        np.testing.assert_array_equal(image.tensors["out"], expected, strict=True)


def test_dump_of_some_tensors_in_float16_saves_these_rounded(images: list[Path], tmp_path: Path) -> None:
    run(images[:3], tmp_path / "d", tensors=["other", "other"], dtype="float16")
    for image, path in zip(read_all(tmp_path / "d"), images, strict=False):
        expected = Preprocessor(PREPROCESSING)([path]).tensors["data"].astype(np.float16)
        assert list(image.tensors) == ["other"]
        np.testing.assert_array_equal(image.tensors["other"], expected, strict=True)


def test_dump_of_a_tensor_that_all_images_share_runs_one_image_at_a_time(
    images: list[Path], tmp_path: Path
) -> None:
    model = network(
        [
            helper.make_node("Identity", ["data"], ["out"]),
            helper.make_node("Shape", ["data"], ["shape"]),
        ],
        {"data": (np.float32, ("N", 3, SIDE, SIDE))},
        {"out": (np.float32, ("N", 3, SIDE, SIDE)), "shape": (np.int64, (4,))},
    )
    run(images[:2], tmp_path / "d", model, tensors=["shape", "data"])
    for image in read_all(tmp_path / "d"):
        assert image.tensors["shape"].tolist() == [1, 3, SIDE, SIDE]
        assert image.tensors["data"].shape == (1, 3, SIDE, SIDE)


def test_dump_of_a_network_that_joins_its_images_asks_for_a_batch_of_one(
    images: list[Path], tmp_path: Path
) -> None:
    model = network(
        [helper.make_node("Compress", ["data", "first"], ["out"], axis=0)],
        {"data": (np.float32, ("N", 3, SIDE, SIDE))},
        {"out": (np.float32, ("N", 3, SIDE, SIDE))},
        {"first": np.ones(1, np.bool_)},
    )
    with pytest.raises(
        RunnerError, match=r"ran on 4 images, and its output 'out' has shape .*batch size of 1"
    ):
        run(images, tmp_path / "d", model)


def test_dump_with_a_fixed_batch_saves_no_padding(images: list[Path], tmp_path: Path) -> None:
    model = passthrough({"data": (4, 3, SIDE, SIDE)}, {"out": "data", "other": "data"})
    run(images[:6], tmp_path / "fixed", model)
    run(images[:6], tmp_path / "free")
    assert rows_of(tmp_path / "fixed") == rows_of(tmp_path / "free")


def test_dump_again_adds_what_is_missing_only(images: list[Path], tmp_path: Path) -> None:
    folder = tmp_path / "d"
    run(images[:4], folder)
    before = rows_of(folder)
    spelt = [path.parent / ".." / "images" / path.name for path in images[2:4]]  # the same files
    assert run([*images[:4], *spelt, images[7], images[7]], folder) == Dumped(1, 4, {})
    assert rows_of(folder) == [*before, *rows_of(folder)[-1:]]
    assert len(rows_of(folder)) == 5
    assert sorted(path.name for path in folder.glob("*.parquet")) == [
        "part-00000.parquet",
        "part-00001.parquet",
    ]


def test_dump_names_unreadable_images_and_tries_them_again(images: list[Path], tmp_path: Path) -> None:
    folder = tmp_path / "d"
    broken = tmp_path / "broken.png"
    broken.write_text("nothing")
    name = broken.as_posix()
    for already, written in ((0, 2), (2, 0)):
        reported: list[Any] = []
        result = run(
            [images[0], broken, images[1]], folder, on_unreadable=lambda *seen, to=reported: to.append(seen)
        )
        assert (result.written, result.already, list(result.unreadable)) == (written, already, [name])
        assert [(path, str(error)) for path, error in reported] == [(broken, result.unreadable[name])]
        assert json.loads((folder / "unreadable.json").read_text()) == result.unreadable
    Image.new("RGB", (9, 9)).save(broken)
    assert run([images[0], broken], folder) == Dumped(1, 1, {})
    assert not (folder / "unreadable.json").exists()
    assert [image.name for image in read_all(folder)] == [images[0].as_posix(), images[1].as_posix(), name]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        pytest.param({"digest": "2"}, 'network: it has "1", asked for is "2"', id="network"),
        pytest.param({"dtype": "float16"}, 'dtype: it has "float32", asked for is "float16"', id="dtype"),
        pytest.param({"tensors": ["out"]}, r'tensors: it has \["out", "other"\], asked', id="tensors"),
        pytest.param(
            {"preprocessing": {**PREPROCESSING, "batched_output": False}},
            "preprocessing: it has .*asked for is ",
            id="preprocessing",
        ),
    ],
)
def test_dump_of_something_else_into_a_folder_says_what_differs(
    changed: dict[str, Any], message: str, images: list[Path], tmp_path: Path
) -> None:
    run(images[:1], tmp_path / "d")
    before = rows_of(tmp_path / "d")
    with pytest.raises(TensorError, match=rf"holds a dump of something else; .*\n  {message}"):
        run(images, tmp_path / "d", **changed)
    assert rows_of(tmp_path / "d") == before


def test_dump_into_a_folder_with_what_it_cannot_tell_refuses(images: list[Path], tmp_path: Path) -> None:
    folder = tmp_path / "d"
    run(images[:1], folder)
    manifest = (folder / "manifest.json").read_text()
    for text, message in (("{", "manifest.json: is no JSON"), ("[]", "a dump of something else")):
        (folder / "manifest.json").write_text(text)
        with pytest.raises(TensorError, match=message):
            run(images, folder)
    (folder / "manifest.json").unlink()
    with pytest.raises(TensorError, match=r"holds parts of a dump, but no manifest\.json"):
        run(images, folder)
    (folder / "manifest.json").write_text(manifest)
    (folder / "part-00000.parquet").write_bytes(b"PAR1")
    with pytest.raises(TensorError, match=r"part-00000\.parquet: cannot be read as Parquet"):
        run(images, folder)
    (folder / "part-00000.parquet").rename(folder / "part-x.parquet")
    with pytest.raises(TensorError, match=r"part-x\.parquet: expected parts named part-00000\.parquet"):
        run(images, folder)


def test_dump_with_a_wrong_dtype_or_tensor_is_an_error(images: list[Path], tmp_path: Path) -> None:
    with pytest.raises(TensorError, match="dtype: expected one of float16, float32; got 'int8'"):
        run(images, tmp_path / "d", dtype="int8")
    with pytest.raises(RunnerError, match=r"the dump needs the tensor 'oot', .*closest match: 'out'"):
        run(images, tmp_path / "d", tensors=["oot"])
    assert not (tmp_path / "d").exists()


def test_dump_that_another_process_writes_is_left_alone(images: list[Path], tmp_path: Path) -> None:
    with locked(tmp_path / "d"), pytest.raises(TensorError, match="another process is dumping into"):
        run(images, tmp_path / "d")
    assert run(images[:1], tmp_path / "d").written == 1


@pytest.mark.parametrize("fault", [RunnerError("the device was lost"), KeyboardInterrupt()], ids=repr)
def test_dump_that_fails_keeps_the_batches_before(
    fault: BaseException, images: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = OnnxNetwork.__call__
    calls: list[int] = []

    def fail(self: OnnxNetwork, *given: Any) -> Any:
        calls.append(1)
        if len(calls) == 3:
            raise fault
        return call(self, *given)

    monkeypatch.setattr(OnnxNetwork, "__call__", fail)
    with pytest.raises(type(fault)):
        run(images, tmp_path / "d")
    assert [image.name for image in read_all(tmp_path / "d")] == [path.as_posix() for path in images[:8]]
    assert run(images, tmp_path / "d") == Dumped(16, 8, {})
    run(images, tmp_path / "whole")
    assert rows_of(tmp_path / "d") == rows_of(tmp_path / "whole")


def test_dump_that_cannot_write_leaves_no_half_part(
    images: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = pq.ParquetWriter.write_table
    calls: list[int] = []

    def fail(self: Any, table: Any) -> None:
        calls.append(1)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        write(self, table)

    monkeypatch.setattr(pq.ParquetWriter, "write_table", fail)
    with pytest.raises(OSError, match="No space left"):
        run(images, tmp_path / "d", part_bytes=8 * IMAGE_BYTES)
    assert len(rows_of(tmp_path / "d")) == 8
    assert sorted(path.name for path in (tmp_path / "d").iterdir()) == [
        ".lock",
        "manifest.json",
        "part-00000.parquet",
    ]


KILLED_DUMP = """
import os, signal, sys
from pathlib import Path
import pyarrow.parquet as pq
from tests.saved_tensors.test_dump import IMAGE_BYTES, run
writes, (folder, *paths) = [], map(Path, sys.argv[1:])
write = pq.ParquetWriter.write_table
def write_or_die(self, table):
    write(self, table)
    writes.append(table)
    if len(writes) == 2:  # the second part has its rows, and no end
        os.kill(os.getpid(), signal.SIGKILL)
pq.ParquetWriter.write_table = write_or_die
run(paths, folder, batch_size=2, part_bytes=4 * IMAGE_BYTES)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="kills with a signal")
def test_dump_that_is_killed_goes_on_where_it_was(images: list[Path], tmp_path: Path) -> None:
    run(images, tmp_path / "whole", batch_size=2)
    folder = tmp_path / "d"
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", KILLED_DUMP, str(folder), *map(str, images)]
    for parts in (1, 2):  # killed twice, each time while a part is written
        assert subprocess.run(command, cwd=root).returncode == -signal.SIGKILL
        assert _is_writing(folder)
        assert len(rows_of(folder)) == 4 * parts
    assert run(images, folder, batch_size=2).already == 8
    assert rows_of(folder) == rows_of(tmp_path / "whole")
    assert not _is_writing(folder)


def _is_writing(folder: Path) -> bool:
    return any(folder.glob("part-*.unfinished"))


def test_file_digest_is_that_of_sha256sum(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"abc")
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert file_digest(tmp_path / "f") == expected
