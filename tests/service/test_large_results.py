"""Memory of a service whose tasks have large results; `tests.service.large_results` has them larger."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from tests.service.large_results import Tenants, flood, list_all, two_tenants

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@pytest.fixture(scope="module")
def tenants(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tenants]:
    """Run a service for both tests: each measures what it takes beyond what it takes while idle."""
    with two_tenants(tmp_path_factory.mktemp("data"), "--max-outcomes-bytes", "32M") as given:
        yield given


def test_list_of_large_results_takes_little_memory(tenants: Tenants) -> None:
    measured = list_all(tenants, 20, 8_000_000)
    assert sum(measured.found) > 160_000_000
    assert len(measured.found) == 10  # pages of 16 MiB
    assert measured.peak < 150


def test_images_with_large_results_take_little_memory(tenants: Tenants) -> None:
    measured = flood(tenants, 24, 400_000)
    assert [(status, count) for status, _, count in measured.found] == [("success", 24)]
    assert measured.peak < 250
