"""``postproc dump``, and ``postproc run`` on what it wrote."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.cli.commands import ANSWER, invoke, lines, run
from tests.models import answering
from tests.saved_tensors.tensor_files import read_all

DUMP = ("dump", "--spec", "spec.json", "--version", "version.json")


@pytest.mark.usefixtures("folder")
def test_dump_then_run_gives_what_run_gives() -> None:
    result = invoke(*DUMP, "model.onnx", "a.png", "b.jpg", "c.png", "--output", "saved")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "the tensors of 3 images written to saved\n"
    direct = run("model.onnx", "a.png", "b.jpg", "c.png", "--show-discarded", "--max-predictions", "2")
    for saved in ("saved", "saved/part-00000.parquet"):
        found = run("--tensors", saved, "--show-discarded", "--max-predictions", "2")
        assert (found.exit_code, lines(found)) == (0, lines(direct))


@pytest.mark.usefixtures("folder")
def test_dump_of_a_folder_in_float16_goes_on_where_it_was() -> None:
    Path("images/more").mkdir(parents=True)
    Path("a.png").rename("images/a.png")
    arguments = (*DUMP, "model.onnx", "images", "--output", "saved", "--dtype", "float16")
    assert invoke(*arguments).exit_code == 0
    Path("b.jpg").rename("images/more/b.jpg")
    Path("images/notes.txt").touch()
    result = invoke(*arguments)
    assert result.stderr == "the tensors of 1 images written to saved; 1 were there before\n"
    images = list(read_all(Path("saved")))
    assert [image.name for image in images] == ["images/a.png", "images/more/b.jpg"]
    # The classes are ids, which are whole and small: float16 holds them.
    assert {array.dtype.name for image in images for array in image.tensors.values()} == {"float16"}
    assert images[0].tensors["classes"].tolist() == [ANSWER["classes"].tolist()]


@pytest.mark.usefixtures("folder")
def test_dump_saves_what_the_version_needs_or_all() -> None:
    Path("model.onnx").write_bytes(
        answering({**ANSWER, "other": np.zeros((2, 3), np.float32)}, ("N", 3, 8, 8))
    )
    for option, expected in (([], []), (["--all-tensors"], ["other"])):
        assert invoke(*DUMP, "model.onnx", "a.png", "--output", f"saved{len(option)}", *option).exit_code == 0
        (image,) = read_all(Path(f"saved{len(option)}"))
        assert list(image.tensors) == [*ANSWER, *expected]


@pytest.mark.usefixtures("folder")
def test_dump_with_an_unreadable_image_exits_1_and_lists_it() -> None:
    Path("broken.png").write_text("nothing")
    result = invoke(*DUMP, "model.onnx", "a.png", "broken.png", "--output", "saved")
    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        "error: image 'broken.png': not an image, or not of a format that Pillow reads",
        "the tensors of 1 images written to saved; 1 could not be read, see saved/unreadable.json: "
        "the same command tries them again",
    ]


@pytest.mark.usefixtures("folder")
def test_dump_of_another_network_into_a_folder_exits_1() -> None:
    assert invoke(*DUMP, "model.onnx", "a.png", "--output", "saved").exit_code == 0
    other = {name: np.flip(array, 0).copy() for name, array in ANSWER.items()}
    Path("model.onnx").write_bytes(answering(other, ("N", 3, 8, 8)))
    result = invoke(*DUMP, "model.onnx", "a.png", "--output", "saved")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: saved: holds a dump of something else; take another folder")


@pytest.mark.usefixtures("folder")
def test_dump_of_a_folder_without_images_exits_1() -> None:
    Path("empty").mkdir()
    result = invoke(*DUMP, "model.onnx", "empty", "--output", "saved")
    assert (result.exit_code, result.stderr) == (
        1,
        "error: empty: expected images in this folder; found none\n",
    )


@pytest.mark.usefixtures("folder")
def test_run_of_a_damaged_file_of_tensors_exits_1() -> None:
    Path("t.parquet").write_bytes(b"PAR1")
    result = run("--tensors", "t.parquet")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: t.parquet: cannot be read as Parquet: ")
