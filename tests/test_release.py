"""What a release says of itself: version, Pythons and dependencies are the same wherever they are told."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

import postproc
from tools.lowest_versions import PROJECT, tomllib

ROOT = Path(__file__).resolve().parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
CLASSIFIER = "Programming Language :: Python :: "
PYTHONS = [text.removeprefix(CLASSIFIER) for text in PROJECT["classifiers"] if text.startswith(CLASSIFIER)]


def read(path: str) -> Any:
    return yaml.safe_load((ROOT / path).read_text("utf-8"))


def test_changelog_citation_and_recipe_are_of_this_version() -> None:
    headings = re.findall(r"^## (.*)$", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert headings[0] == "[Unreleased]"
    newest = re.fullmatch(r"\[(\d+\.\d+\.\d+)\] - (\d{4}-\d\d-\d\d)", headings[1])
    assert newest is not None, headings[1]
    citation, recipe = read("CITATION.cff"), read("recipe/recipe.yaml")["context"]
    assert newest.groups() == (postproc.__version__, str(citation["date-released"]))
    assert str(citation["version"]) == recipe["version"] == postproc.__version__


def test_classifiers_are_the_pythons_of_requires_python_and_of_the_workflows() -> None:
    allowed = SpecifierSet(PROJECT["requires-python"])
    minors = [int(python.removeprefix("3.")) for python in PYTHONS]
    assert minors == list(range(minors[0], minors[-1] + 1))
    assert all(python in allowed for python in PYTHONS)
    assert f"3.{minors[0] - 1}" not in allowed
    assert read(".github/workflows/tests.yml")["jobs"]["core"]["strategy"]["matrix"]["python"] == PYTHONS
    wheels = read(".github/workflows/release.yml")["jobs"]["wheels"]["steps"]
    (built,) = [step["env"]["CIBW_BUILD"] for step in wheels if "env" in step]
    assert built.split() == [f"cp{python.replace('.', '')}-*" for python in PYTHONS]


def test_conda_recipe_asks_for_what_the_package_does() -> None:
    def of(texts: list[str]) -> dict[str, SpecifierSet]:
        return {one.name: one.specifier for one in map(Requirement, texts)}

    recipe = read("recipe/recipe.yaml")["requirements"]
    python = f"python {PROJECT['requires-python']}"
    build = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["build-system"]["requires"]
    assert of(recipe["run"]) == of([python, *PROJECT["dependencies"]])
    assert of(recipe["host"]) == of([python, "pip", *build])


def test_actions_are_pinned_by_commit_and_each_to_one() -> None:
    pins: dict[str, set[str]] = {}
    for path in WORKFLOWS:
        for action, pin in re.findall(r"uses: ([^\s@]+)@(.*)", path.read_text("utf-8")):
            assert re.fullmatch(r"[0-9a-f]{40} # v\d+\.\d+\.\d+", pin), f"{path.name}: {action}@{pin}"
            pins.setdefault(action, set()).add(pin)
    assert len(pins) > 5
    assert all(len(found) == 1 for found in pins.values()), pins
