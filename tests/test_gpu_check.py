"""The script that is run on a machine with a GPU: what it leaves where something stops it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any

import pytest

from postproc import RunnerError

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
from tools import gpu_check


@pytest.fixture
def output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "gpu.json"
    monkeypatch.setattr(sys, "argv", ["gpu_check", "--cpu", "--output", str(path)])
    return path


def results(path: Path) -> list[tuple[str, bool]]:
    return [(one["check"], one["ok"]) for one in json.loads(path.read_text())["results"]]


def test_without_the_provider_nothing_is_checked(
    output: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def lacking(*arguments: object) -> Any:
        raise RunnerError("providers: not in this build")

    monkeypatch.setattr(gpu_check, "open_session", lacking)
    monkeypatch.setattr(gpu_check, "checks", None)
    assert gpu_check.main() == 2
    assert "CPUExecutionProvider does not work here: providers: not in this" in capsys.readouterr().err
    assert not output.exists()


def test_report_is_written_after_each_check(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def second() -> dict[str, Any]:
        found = json.loads(output.read_text())
        assert (found["ended"], found["ok"]) == (False, False)
        assert results(output) == [("first", True)]
        raise RuntimeError("lost")

    checks = [("first", lambda: {"ok": True}), ("second", second)]
    monkeypatch.setattr(gpu_check, "checks", lambda *arguments: iter(checks))
    assert gpu_check.main() == 1
    assert results(output) == [("first", True), ("second", False)]
    assert json.loads(output.read_text())["ended"]


def test_check_that_does_not_end_is_broken_off(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`os._exit` is replaced by something that lets the check go on, so that the test survives it."""
    left, status = Event(), []

    def leave(code: int) -> None:
        status.append(code)
        left.set()

    def waits() -> dict[str, Any]:
        assert left.wait(60)
        raise SystemExit

    def checks(*arguments: object) -> Iterator[tuple[str, Any]]:
        yield "waits", waits
        yield "later", lambda: {"ok": True}

    monkeypatch.setattr(gpu_check, "checks", checks)
    monkeypatch.setattr(gpu_check, "SECONDS", 0.2)
    monkeypatch.setattr(gpu_check, "_GRACE", 0.2)
    monkeypatch.setattr(gpu_check, "os", SimpleNamespace(_exit=leave))
    with pytest.raises(SystemExit):
        gpu_check.main()
    assert status == [1]
    assert results(output) == [("waits", False), ("later", False)]
