"""SECURITY.md says what is so; that its tests exist is seen in `tests.documents.test_paths`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from postproc.errors import SchemaError
from postproc.schema import RecognitionVersion, limits

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "SECURITY.md").read_text("utf-8")


def test_security_page_lists_every_limit() -> None:
    listed = re.findall(r"^\| `(\w+)` \| ([\d,]+) \|", TEXT, re.MULTILINE)
    assert {name: int(number.replace(",", "")) for name, number in listed} == {
        name: value for name, value in vars(limits).items() if name.isupper()
    }


def test_load_of_bytes_never_opens_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "version.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    assert RecognitionVersion.load("version.json").dump() == {}
    with pytest.raises(SchemaError, match="the text is not JSON"):
        RecognitionVersion.load(b"version.json")
