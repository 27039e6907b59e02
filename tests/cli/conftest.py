"""A folder for the tests of the command line."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from tests.cli.commands import ANSWER, IMAGE_SIZES, SPEC, VERSION, write
from tests.models import answering


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a folder with a spec, a version, a network and images, and go there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    write("spec.json", SPEC)
    write("version.json", VERSION)
    Path("model.onnx").write_bytes(answering(ANSWER, ("N", 3, 8, 8)))
    for row, (name, size) in enumerate(IMAGE_SIZES.items()):
        Image.new("RGB", size, (50 * row, 100, 200)).save(name)
    return tmp_path
