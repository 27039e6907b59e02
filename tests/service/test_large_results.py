"""Memory of a service whose tasks have large results; `tests.service.large_results` has them larger."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.service.large_results import flood, list_all

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def test_list_of_large_results_takes_little_memory(tmp_path: Path) -> None:
    measured = list_all(tmp_path, 20, 8_000_000)
    assert sum(measured.found) > 160_000_000
    assert len(measured.found) == 10  # pages of 16 MiB
    assert measured.peak < 150


def test_images_with_large_results_take_little_memory(tmp_path: Path) -> None:
    measured = flood(tmp_path, 24, 400_000, "--max-outcomes-bytes", "32M")
    assert [(status, count) for status, _, count in measured.found] == [("success", 24)]
    assert measured.peak < 250
