"""``postproc doctor`` on a machine where all is right, and what it finds."""

from __future__ import annotations

import json
import os

import onnxruntime
import pytest
from numba.core import config
from typer.testing import Result

from postproc.doctor import Finding, Status, examine, system
from postproc.onnx_runner import session as onnx_session
from postproc.onnx_runner.session import CPU, CUDA
from tests.cli.commands import invoke


@pytest.fixture
def healthy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the machine one without a GPU, limits or settings, whose build of ONNX Runtime has CUDA."""
    monkeypatch.setattr(onnx_session, "cuda_device_count", lambda: 0)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CUDA, CPU])
    monkeypatch.setattr(system, "cgroup_cores", lambda root: None)
    monkeypatch.setattr(config, "BOUNDSCHECK", 0)
    monkeypatch.setattr(system, "_runtime_packages", lambda: {"onnxruntime-gpu": onnxruntime.__version__})
    for name in [name for name in os.environ if name.startswith(("NUMBA_", "CUDA_"))]:
        monkeypatch.delenv(name)


def doctor(*arguments: str, columns: int = 80) -> Result:
    return invoke("doctor", *arguments, columns=columns)


def findings(*asked: str) -> dict[tuple[str, str], Finding]:
    report = examine(asked)
    json.dumps(report.to_dict())
    return {(part.title, finding.name): finding for part in report.sections for finding in part.findings}


def bad(found: dict[tuple[str, str], Finding]) -> dict[str, Status]:
    return {
        name: one.status for (_, name), one in found.items() if one.status in (Status.WARNING, Status.FAILED)
    }


def with_advice(found: dict[tuple[str, str], Finding]) -> bool:
    return all(one.advice for one in found.values() if one.status in (Status.WARNING, Status.FAILED))
