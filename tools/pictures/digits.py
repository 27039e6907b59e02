"""Pictures of what the demo's network finds on pages of digits."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

from tools.pictures.files import DOCS, save


def demo(target: Path) -> None:
    """Let ``postproc demo`` draw."""
    with tempfile.TemporaryDirectory() as folder:
        drawn = Path(folder) / "page.png"
        _run("-m", "postproc.cli", "demo", "--output", str(drawn))
        picture = Image.open(drawn)
        picture.thumbnail((1000, 1000), Image.Resampling.LANCZOS)
        save(picture, target)


def calibration(target: Path) -> None:
    """Draw a page at v0.7's default thresholds and at calibrated ones."""
    _run("tools/calibration_demo.py", "--halves", "1", "--picture", str(target))


def way(target: Path) -> None:
    """Draw the way of a tensor, whose script knows its place."""
    _run("tools/draw_way.py")


def _run(*arguments: str) -> None:
    subprocess.run([sys.executable, *arguments], check=True, cwd=DOCS.parent, stdout=subprocess.DEVNULL)
