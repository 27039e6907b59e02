"""The service through outages of its disk and its database, wrong starts and second services."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.service.full_disk import compiler
from tests.service.outages.rounds import run_faults
from tests.service.postgres import binaries

# Longer than a few attempts to write take, and shorter than the time that a task may take.
_OUTAGE = (4.0, 5.0)
_KINDS = {
    "sqlite": ("disk full", "an empty database"),
    "postgresql": ("PostgreSQL stopped, kill", "a second service, a copy of the folder"),
}


@pytest.mark.parametrize("kind", _KINDS)
def test_service_through_outages_and_mistakes_keeps_what_it_acknowledged(kind: str, tmp_path: Path) -> None:
    if kind == "sqlite" and compiler() is None:
        pytest.skip("gcc is not installed: apt-get install gcc")
    if kind == "postgresql" and binaries() is None:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    names = _KINDS[kind]
    found = run_faults(kind, tmp_path, len(names), seed=1, names=names, seconds=_OUTAGE)
    assert found["violations"] == {}, found["examples"]
    assert found["hits"] > 0
    assert found["outcomes"]["success"] > 0
