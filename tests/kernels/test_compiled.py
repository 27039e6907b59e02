"""Whether machine code is used, and why not: settings, and sources that are not those that it was made of."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from postproc.kernels import _compiled, _sources


@pytest.mark.parametrize(
    ("name", "value", "is_asked_for"),
    [
        *(("POSTPROC_JIT", value, True) for value in ("1", "true", "yes", "on", "2")),
        *(("POSTPROC_JIT", value, False) for value in ("", "0", " ", "false", "No", "OFF")),
        *((f"NUMBA_{name}", "1", True) for name in ("DISABLE_JIT", "BOUNDSCHECK")),
        *(
            (f"NUMBA_{name}", value, False)
            for name in ("DISABLE_JIT", "BOUNDSCHECK")
            for value in ("0", "00", "no")
        ),
    ],
)
def test_settings_that_ask_for_numba(
    name: str, value: str, is_asked_for: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for each in ("POSTPROC_JIT", "NUMBA_DISABLE_JIT", "NUMBA_BOUNDSCHECK"):
        monkeypatch.delenv(each, raising=False)
    monkeypatch.setenv(name, value)
    monkeypatch.setattr(_compiled, "sys", type("sys", (), {"modules": {}}))  # where numba may be, and be set
    assert _compiled._asked_for_numba() == (f"{name} is set" if is_asked_for else "")


def test_files_that_editors_leave_are_no_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kernels = tmp_path / "kernels"
    shutil.copytree(
        Path(_sources.__file__).parent, kernels, ignore=shutil.ignore_patterns("__pycache__", "*.so")
    )
    monkeypatch.setattr(_sources, "__file__", str(kernels / "_sources.py"))
    before = list(_sources.contents(None))
    (kernels / ".#iou.py").symlink_to("somebody@somewhere:1")
    (kernels / ".ipynb_checkpoints").mkdir()
    (kernels / ".ipynb_checkpoints" / "iou-checkpoint.py").write_text("")
    assert list(_sources.contents(None)) == before
    (kernels / "core" / "further.py").write_text("")
    assert list(_sources.contents(None)) != before
