"""The service through an outage: the short form of `tests.service.outages`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.service.full_disk import compiler
from tests.service.outages.rounds import run_faults
from tests.service.postgres import binaries

# Longer than a few attempts to write take, and shorter than the time that a task may take.
_OUTAGE = (3.0, 4.0)


@pytest.mark.parametrize(
    ("kind", "fault"), [("sqlite", "disk full"), ("postgresql", "PostgreSQL stopped, kill")]
)
def test_service_through_an_outage_keeps_what_it_acknowledged(kind: str, fault: str, tmp_path: Path) -> None:
    if kind == "sqlite" and compiler() is None:
        pytest.skip("gcc is not installed: apt-get install gcc")
    if kind == "postgresql" and binaries() is None:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    found = run_faults(kind, tmp_path, 1, seed=1, names=(fault,), seconds=_OUTAGE)
    assert found["violations"] == {}, found["examples"]
    assert found["hits"] > 0
    assert found["outcomes"]["success"] > 0
