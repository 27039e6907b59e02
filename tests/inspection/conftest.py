"""Networks of these tests run in the process of the tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.inspection.in_process import run_in_this_process


@pytest.fixture(scope="module", autouse=True)
def networks_run_here() -> Iterator[None]:
    """Start no process for a network; `test_network_run` does where that is what it tests."""
    with pytest.MonkeyPatch.context() as patch:
        run_in_this_process(patch)
        yield
