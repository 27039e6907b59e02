"""``postproc evaluate --against``: two versions on the same saved tensors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_evaluate import DIRECT, dumped, folder, invoke, pictures, write

__all__ = ["folder"]  # a fixture


def other(folder: Path, detection: dict[str, Any], name: str = "other.json") -> Path:
    write(folder / name, {"post_processings": [{"detection": {"direct_output": DIRECT, **detection}}]})
    return folder / name


def test_two_versions_on_the_same_tensors_are_compared(folder: Path) -> None:
    saved = (*dumped(folder), "--truth", folder / "truth.json")
    against = other(folder, {"thresholds": [0.95, 0.5]})  # no cat, and a dog that is not there
    result = invoke(*saved, "--against", against, "--json", folder / "out.json",
                    "--pictures", folder / "images")  # fmt: skip
    assert result.exit_code == 0, result.output
    document = json.loads((folder / "out.json").read_text())
    assert (document["a"]["name"], document["b"]["name"]) == ("version", "other")
    assert (document["a"]["total"]["right"], document["b"]["total"]["right"]) == (3, 0)
    assert document["counts"]["recall"]["difference"] == -1
    assert [image["lost"] for image in document["images"]] == [1, 1, 1]
    assert [image["wrong"] for image in document["images"]] == [[0, 1]] * 3
    assert "1 no longer found, 1 more wrong" in " ".join(result.stdout.split())
    text = (folder / "report.html").read_text(encoding="utf-8")
    assert len(pictures(folder / "report.html")) == 6
    assert "Images that got worse most" in text


def test_against_a_version_of_another_file_with_the_same_name_tells_them_apart(folder: Path) -> None:
    saved = (*dumped(folder), "--truth", folder / "truth.json")
    (folder / "new").mkdir()
    against = other(folder / "new", {"thresholds": [0.5, 0.7]}, "version.json")
    result = invoke(*saved, "--against", against, "--json", folder / "out.json")
    assert result.exit_code == 0, result.output
    assert json.loads((folder / "out.json").read_text())["b"]["name"] == str(against)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("model.onnx", "images", "--against", "version.json"), "compares two versions on saved tensors"),
        (("--tensors", "t", "--against", "nowhere.json"), "does not exist"),
        (("--tensors", "t", "--against", "broken.json"), "broken.json"),
        (("--tensors", "t", "--against", "short.json"), "thresholds"),
    ],
)
def test_against_what_cannot_be_compared_is_an_error(
    folder: Path, arguments: tuple[str, ...], message: str
) -> None:
    (folder / "broken.json").write_text("{")
    other(folder, {"thresholds": [0.5]}, "short.json")
    documents = [f"--{name}={folder / name}.json" for name in ("spec", "version", "truth")]
    (folder / "t").mkdir()
    paths = [str(folder / item) if item[0] != "-" else item for item in arguments]
    result = invoke("evaluate", *documents, *paths)
    assert result.exit_code != 0
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert message in " ".join(result.output.replace("│", " ").split())
