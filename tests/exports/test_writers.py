"""What all writers share: whole files or none, names that do not collide, errors before any work."""

from __future__ import annotations

import inspect
import json
import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from modulefinder import ModuleFinder
from pathlib import Path

import pytest

from postproc import RecognitionSpec
from postproc.errors import ExportError
from postproc.exports import FORMATS, open_writer
from postproc.exports.formats import EXPORT_FORMATS
from tests.exports.results import IMAGES, SIZES, made

FOLDERS = [name for name, item in EXPORT_FORMATS.items() if item.is_folder]
OF_ONE_OUTPUT = [name for name, item in EXPORT_FORMATS.items() if "output" in item.options]


def spec_with(*rois: str, names: tuple[str, ...] = ("cat",)) -> RecognitionSpec:
    labels = [{"id": row, "name": name} for row, name in enumerate(names)]
    outputs = [{"labels": {"labels": labels, "exclusive": True, "roi": roi}} for roi in rois]
    return RecognitionSpec.load({"name": "s", "outputs": outputs})


@pytest.mark.parametrize("format", FORMATS)
def test_writer_that_fails_leaves_nothing_and_keeps_what_was_there(format: str, tmp_path: Path) -> None:
    post, found = made("standard")
    path = tmp_path / "out"
    if format not in FOLDERS:
        path.write_text("of an earlier run")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(KeyboardInterrupt), open_writer(format, path, post.spec) as writer:  # noqa: PT012
        writer.write(IMAGES, SIZES, found)
        assert sorted(tmp_path.rglob("*")) != before
        assert format in FOLDERS or path.read_text() == "of an earlier run"
        raise KeyboardInterrupt
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("format", FORMATS)
def test_writer_makes_folders_and_gives_the_usual_permissions(format: str, tmp_path: Path) -> None:
    post, found = made("standard")
    path = tmp_path / "a" / "b"
    with open_writer(format, path, post.spec) as writer:
        writer.write(IMAGES, SIZES, found)
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(path.stat().st_mode) == (0o777 if format in FOLDERS else 0o666) & ~mask
    assert [item.name for item in path.parent.iterdir()] == ["b"]


@pytest.mark.parametrize("format", ["jsonl", "coco"])
def test_writer_of_a_pipe_writes_to_it(format: str, tmp_path: Path) -> None:
    post, found = made("standard")
    file, pipe = tmp_path / "file", tmp_path / "pipe"
    os.mkfifo(pipe)
    with ThreadPoolExecutor() as pool:
        reading = pool.submit(pipe.read_bytes)
        for path in (file, pipe):
            with open_writer(format, path, post.spec) as writer:
                writer.write(IMAGES, SIZES, found)
        assert reading.result(10) == file.read_bytes()
    assert pipe.is_fifo()


def test_parquet_writer_of_a_pipe_says_that_it_needs_a_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with (
        pytest.raises(ExportError, match="this is a pipe"),
        open_writer("parquet", tmp_path / "pipe", spec_with("BBOX")),
    ):
        pass


@pytest.mark.parametrize("format", FORMATS)
def test_writer_replaces_files_but_not_folders_that_hold_something(format: str, tmp_path: Path) -> None:
    post, found = made("standard")
    path = tmp_path / "out"
    if format not in FOLDERS:
        path.write_text("of an earlier run")
        with open_writer(format, path, post.spec) as writer:
            writer.write(IMAGES, SIZES, found)
        assert path.read_bytes() != b"of an earlier run"
    else:
        path.mkdir()
        with open_writer(format, path, post.spec) as writer:
            writer.write(IMAGES, SIZES, found)
        with pytest.raises(ExportError, match="expected a new or empty folder; this one holds files"):
            open_writer(format, path, post.spec)


@pytest.mark.parametrize("format", FOLDERS)
@pytest.mark.parametrize(
    ("images", "message"),
    [
        (["a/1.jpg", "b/1.jpg"], "'a/1.jpg' and 'b/1.jpg' would both be written to '1."),
        (["1.jpg", "1.png"], "'1.jpg' and '1.png' would both"),
        (["x/A.jpg", "y/a.jpg"], "'x/A.jpg' and 'y/a.jpg' would both"),
        (["a\\1.jpg", "1.jpg"], "would both be written"),
        ([".."], "its file name is none that a file can have"),
        (["a/"], None),
        (["a\x00.jpg"], "its file name is none"),
        (["a\n.jpg"], "its file name is none"),
    ],
    ids=["folders", "suffixes", "case", "backslash", "dots", "folder", "nul", "newline"],
)
def test_writer_of_files_by_image_refuses_names_that_collide_or_are_none(
    format: str, images: list[str], message: str | None, tmp_path: Path
) -> None:
    writer = open_writer(format, tmp_path / "out", spec_with("BBOX"))
    if message is None:
        writer.check(images)
    else:
        with pytest.raises(ExportError) as caught:
            writer.check(images)
        assert message in str(caught.value)
    post, found = made("standard")
    if message is not None:
        with pytest.raises(ExportError), open_writer(format, tmp_path / "out", post.spec) as writer:
            writer.write(images, SIZES[: len(images)], found[: len(images)])
        assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("format", FOLDERS)
def test_writer_of_an_image_that_would_leave_the_folder_stays_in_it(format: str, tmp_path: Path) -> None:
    post, found = made("standard")
    with open_writer(format, tmp_path / "x" / "out", post.spec) as writer:
        writer.write(["../../../evil.jpg", "/etc/passwd"], SIZES[:2], found[:2])
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {path.stem for path in written} >= {"evil", "passwd"}
    assert all((tmp_path / "x" / "out") in path.parents for path in written)


@pytest.mark.parametrize("format", OF_ONE_OUTPUT)
def test_writer_of_boxes_asks_which_output_where_several_have_them(format: str, tmp_path: Path) -> None:
    path = tmp_path / "out"
    assert open_writer(format, path, spec_with("NONE", "BBOX")).output == 1  # type: ignore[attr-defined]
    assert open_writer(format, path, spec_with("BBOX", "BBOX"), output=1).output == 1  # type: ignore[attr-defined]
    with pytest.raises(ExportError, match=r"choose one of the outputs \[0, 1\] with .*--output-index"):
        open_writer(format, path, spec_with("BBOX", "BBOX"))
    with pytest.raises(ExportError, match="labels of whole images only"):
        open_writer(format, path, spec_with("NONE"))
    with pytest.raises(ExportError, match=r"output 0 has no boxes; those of the spec that have are \[1\]"):
        open_writer(format, path, spec_with("NONE", "BBOX"), output=0)


def test_voc_refuses_labels_that_xml_cannot_tell_apart(tmp_path: Path) -> None:
    for names in (("cat", "cat"), ("a\x01", "a\x02")):
        with pytest.raises(ExportError, match="in XML, where a label is told by its name"):
            open_writer("voc", tmp_path / "out", spec_with("BBOX", names=names))


def test_json_lines_are_the_dicts_of_the_results(tmp_path: Path) -> None:
    post, found = made("standard")
    with open_writer("jsonl", tmp_path / "out", post.spec) as writer:
        writer.write(IMAGES, None, found)
    lines = [json.loads(line) for line in (tmp_path / "out").read_text().splitlines()]
    expected = [{"location": name, **item} for name, item in zip(IMAGES, found.to_dicts(), strict=True)]
    assert lines == expected


def test_writer_outside_of_its_block_and_with_wrong_names_raises(tmp_path: Path) -> None:
    post, found = made("standard")
    writer = open_writer("yolo", tmp_path / "out", post.spec)
    with pytest.raises(ExportError, match="used as a context manager"):
        writer.write(IMAGES, None, found)
    with pytest.raises(ExportError, match="one image name per image, 3; got 2"), writer:
        writer.write(IMAGES[:2], None, found)
    with pytest.raises(ExportError, match="expected one of jsonl, coco"):
        open_writer("csv", tmp_path / "out", post.spec)


@pytest.mark.parametrize("format", FORMATS)
def test_registry_says_which_options_a_writer_takes_and_what_it_writes(format: str, tmp_path: Path) -> None:
    described = EXPORT_FORMATS[format]
    taken = set(inspect.signature(described.load_writer()).parameters) - {"path", "spec"}
    assert taken == set(described.options)
    assert not taken & set(described.always)
    post, found = made("standard")
    path = tmp_path / f"found{described.suffix}"
    with open_writer(format, path, post.spec) as writer:
        writer.write(IMAGES, SIZES, found)
    assert path.is_dir() == described.is_folder
    assert {item.suffix for item in path.rglob("0*")} == (
        {described.suffix} if described.is_folder else set()
    )


def test_writers_are_found_by_what_follows_imports_to_put_a_program_together() -> None:
    """As PyInstaller does, which sees no name of a module in a text."""
    finder = ModuleFinder([str(Path(__file__).resolve().parents[2])])
    finder.import_hook("postproc.exports")
    assert {item.writer.partition(":")[0] for item in EXPORT_FORMATS.values()} <= set(finder.modules)


def test_formats_and_the_help_of_run_are_known_without_what_writers_need() -> None:
    code = "import sys, postproc.cli.commands.run; sys.exit(bool({'pyarrow', 'PIL'} & set(sys.modules)))"
    subprocess.run([sys.executable, "-c", code], check=True)
