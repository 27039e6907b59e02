"""``postproc demo``: it finds digits, draws them, and says so."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from typer.testing import CliRunner, Result

from postproc.cli.app import app
from postproc.cli.work.demo import DemoModel, DemoResult
from postproc.demo import DETECTORS, model_path, preprocessing_path, spec_path, version_path
from postproc.demo.pages import DigitPage
from postproc.installing import install
from postproc.results import Detections
from postproc.results.labels import LabelTable

CLOSING = re.compile(r"(\d+) detections: (\d+) of the page's (\d+) digits found, .*\.\n.*: (.*)\n$")


def demo(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["demo", *arguments], env={"COLUMNS": "120"})


@pytest.mark.parametrize("model", [model.value for model in DemoModel])
def test_demo_finds_the_digits_and_draws_them(model: str, tmp_path: Path) -> None:
    picture = tmp_path / "new" / "page.png"
    result = demo("--model", model, "--output", str(picture))
    assert result.exit_code == 0, result.output
    closing = CLOSING.search(result.stdout)
    assert closing is not None
    detections, found, written = map(int, closing.groups()[:3])
    assert found >= 0.8 * written
    assert detections <= 1.2 * written
    assert closing[4] == str(picture)
    assert all(name in result.stdout for name in ("label", "score", "threshold", "xmin", "ymax"))
    with Image.open(picture) as image:
        assert image.format == "PNG"
        assert len(image.getcolors(1_000_000) or []) > 1000


def test_demo_with_the_same_seed_says_the_same(tmp_path: Path) -> None:
    first, again, other = (
        demo("--seed", seed, "--output", str(tmp_path / "page.png")).stdout for seed in ("1", "1", "2")
    )
    assert first == again
    assert first != other


def test_demo_by_default_draws_into_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert demo().exit_code == 0
    assert [path.name for path in tmp_path.iterdir()] == ["postproc-demo.png"]


def test_demo_into_a_file_that_is_no_png_is_a_usage_error(tmp_path: Path) -> None:
    result = demo("--output", str(tmp_path / "page.jpg"))
    assert result.exit_code == 2
    assert "so not to page.jpg" in result.stderr


@pytest.mark.parametrize("missing", ["sklearn", "PIL", "onnxruntime"])
def test_demo_without_its_extra_says_what_to_install(missing: str, tmp_path: Path) -> None:
    code = f"import sys; sys.modules[{missing!r}] = None\nfrom postproc.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "demo"], capture_output=True, cwd=tmp_path, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: the demo needs an extra: {install('demo')}".encode())


def test_demo_models_are_there_for_every_choice() -> None:
    assert tuple(model.value for model in DemoModel) == DETECTORS
    for name in DETECTORS:
        for path in (model_path(name), spec_path(name), version_path(name), preprocessing_path(name)):
            assert path.is_file()


# --- counting what was found

WRITTEN = np.array([[0, 0, 64, 64], [100, 100, 164, 164], [200, 200, 264, 264]], np.float32)


def result_of(boxes: NDArray[np.float32], digits: list[int]) -> DemoResult:
    """Make the result of detections, in pixels, on a page with the digits 3, 4 and 4."""
    table = LabelTable(np.arange(10), tuple("0123456789"), (0.5,) * 10)
    count = len(digits)
    page = DigitPage(np.zeros((480, 640, 3), np.uint8), WRITTEN, np.array([3, 4, 4]), np.arange(3))
    return DemoResult(
        page,
        Detections(
            scores=np.full(count, 0.75, np.float32),
            labels=np.array(digits, np.int64),
            predicted=np.ones(count, np.bool_),
            offsets=np.array([0, count]),
            table=table,
            boxes=(boxes / np.array([640, 480, 640, 480])).astype(np.float32),
            regions=np.arange(count),
            is_cut=np.array([False]),
        ),
    )


@pytest.mark.parametrize(
    ("rows", "shift", "digits", "found"),
    [
        pytest.param([0, 1, 2], 0, [3, 4, 4], 3, id="all"),
        pytest.param([0, 1], 0, [4, 4], 1, id="wrong label"),
        pytest.param([0, 0], 0, [3, 3], 1, id="one digit twice"),
        pytest.param([0, 1, 2], 12, [3, 4, 4], 3, id="a little off"),
        pytest.param([0, 1, 2], 40, [3, 4, 4], 0, id="elsewhere"),
        pytest.param([], 0, [], 0, id="nothing"),
    ],
)
def test_demo_result_counts_digits_found_in_their_place(
    rows: list[int], shift: float, digits: list[int], found: int
) -> None:
    boxes = WRITTEN[rows] + np.array([shift, 0, shift, 0], np.float32)
    assert result_of(boxes.reshape(-1, 4), digits).found == found
