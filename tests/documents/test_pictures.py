"""Pictures of the site and the README are made by ``python -m tools.pictures``."""

from __future__ import annotations

import pytest

from tests.documents.pages import ROOT


def test_each_picture_is_made_by_a_script_and_small() -> None:
    pytest.importorskip("selenium")
    from tools.pictures.__main__ import PICTURES
    from tools.pictures.files import MOST_BYTES

    made = sorted(target for _, targets in PICTURES.values() for target in targets)
    kept = sorted(path for path in (ROOT / "docs").rglob("*") if path.suffix in {".jpg", ".png", ".svg"})
    assert kept == made
    assert all(path.stat().st_size <= MOST_BYTES for path in kept)
