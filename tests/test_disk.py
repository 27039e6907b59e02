"""Files that appear only when they are whole."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from postproc.disk import whole_file


def test_whole_file_appears_when_its_block_ends_with_the_usual_mode(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.json"
    with whole_file(path) as partial:
        partial.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new"
    assert os.listdir(path.parent) == ["a.json"]
    (tmp_path / "plain").touch()
    assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_whole_file_whose_block_raises_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), whole_file(path) as partial:  # noqa: PT012
        partial.write_text("ne")
        raise ZeroDivisionError
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.json"]


def test_whole_file_of_a_link_is_what_the_link_leads_to(tmp_path: Path) -> None:
    real, link = tmp_path / "real.json", tmp_path / "link.json"
    real.write_text("old")
    link.symlink_to(real)
    with whole_file(link) as partial:
        partial.write_text("new")
    assert link.is_symlink()
    assert real.read_text() == "new"


def test_whole_file_of_a_pipe_is_the_pipe(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        with whole_file(path) as partial:
            partial.write_text("new")
        assert os.read(reader, 100) == b"new"
    finally:
        os.close(reader)
    assert path.is_fifo()
