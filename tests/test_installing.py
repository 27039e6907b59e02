"""What is installed by the pages' commands, and what errors advise to install."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from importlib import metadata
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from postproc import installing
from postproc.installing import install
from tools.lowest_versions import PROJECT, lowest, requirements

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PLATFORMS = [
    {"sys_platform": system, "platform_machine": machine}
    for system, machine in [
        ("linux", "x86_64"),
        ("linux", "aarch64"),
        ("win32", "AMD64"),
        ("darwin", "arm64"),
    ]
]


def commands() -> Iterator[list[str]]:
    """Yield the extras of each command that installs this package."""
    pattern = re.compile(r"pip install [^\n`]*?(?:postproc|\.|\.whl\))\[([\w,-]+)\]")
    for document in DOCUMENTS:
        for extras in pattern.findall(document.read_text()):
            yield extras.split(",")


def runtimes(extras: list[str], platform: dict[str, str]) -> set[str]:
    """Return which builds of ONNX Runtime an install with these extras brings on a platform."""
    found, todo, seen = set(), list(extras), set()
    while todo:
        extra = todo.pop()
        if extra in seen:
            continue
        seen.add(extra)
        for requirement in map(Requirement, PROJECT["optional-dependencies"][extra]):
            if requirement.name == PROJECT["name"]:
                todo += requirement.extras
            elif requirement.name.startswith("onnxruntime") and (
                requirement.marker is None or requirement.marker.evaluate(platform)
            ):
                found.add(requirement.name)
    return found


@pytest.mark.parametrize("platform", PLATFORMS, ids=lambda platform: "-".join(platform.values()))
def test_commands_of_the_documents_together_install_one_onnx_runtime(platform: dict[str, str]) -> None:
    together = list(chain.from_iterable(commands()))
    assert {"demo", "serve", "eval", "inspect", "test", "ray"} <= set(together)
    assert runtimes(together, platform) == {"onnxruntime"}
    with_gpu = ["gpu" if extra == "cpu" else extra for extra in together if extra not in ("test", "bench")]
    assert runtimes(with_gpu, platform) == {"onnxruntime-gpu"}


def test_only_the_two_builds_and_what_developers_install_bring_an_onnx_runtime() -> None:
    bringing = {extra for extra in PROJECT["optional-dependencies"] if runtimes([extra], PLATFORMS[0])}
    assert bringing == {"cpu", "gpu", "test-core", "test", "bench"}


@pytest.mark.parametrize(
    ("origin", "command"),
    [
        (None, 'pip install "postproc[images]"'),
        (
            {"url": "file:///home/me/my%20clone", "dir_info": {"editable": True}},
            'pip install -e "/home/me/my clone[images]"',
        ),
        (
            {"url": "file:///home/me/clone", "dir_info": {}},
            'pip install "postproc[images] @ file:///home/me/clone"',
        ),
        (
            {"url": "file:///wheels/postproc-0.2.0-py3-none-any.whl", "archive_info": {}},
            'pip install "postproc[images] @ file:///wheels/postproc-0.2.0-py3-none-any.whl"',
        ),
        (
            {"url": "https://example.com/postproc.git", "vcs_info": {"vcs": "git", "commit_id": "c0ffee"}},
            'pip install "postproc[images] @ git+https://example.com/postproc.git@c0ffee"',
        ),
    ],
    ids=["index", "clone in place", "clone", "wheel", "repository"],
)
def test_advice_extends_the_installation_there_is(
    origin: dict[str, Any] | None, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Installed:
        def read_text(self, name: str) -> str | None:
            assert name == "direct_url.json"
            return None if origin is None else json.dumps(origin)

    installing._origin.cache_clear()
    monkeypatch.setattr(metadata, "distributions", lambda **_: [Installed()])
    try:
        assert install("images") == command
    finally:
        installing._origin.cache_clear()


def test_page_tells_of_every_extra() -> None:
    rows = re.findall(r"^\| (`[^|]+`) \|", (ROOT / "docs" / "install.md").read_text("utf-8"), re.MULTILINE)
    assert sorted(re.findall(r"`([\w-]+)`", " ".join(rows))) == sorted(PROJECT["optional-dependencies"])


def test_lowest_versions_are_those_of_the_project() -> None:
    pinned = dict(constraint.split("==") for constraint in map(lowest, requirements(["test-core"])))
    assert pinned["pydantic"] == "2.8"
    assert {"numpy", "numba", "onnxruntime", "uvicorn", "typer", "pytest"} <= pinned.keys()
    assert "onnxruntime-gpu" not in pinned
