"""The examples of docstrings are run; those that need an extra that is missing are skipped."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROMPT = ">>> "


def modules_with_examples() -> dict[str, int]:
    """Return how many lines begin an example, of each module that has any."""
    counts = {}
    for package, folder in (("postproc", "postproc"), ("postproc.kernels", "kernels")):
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            name = ".".join([package, *parts]).removesuffix(".__init__")
            counts[name] = path.read_text(encoding="utf-8").count(PROMPT)
    return {name: count for name, count in counts.items() if count}


EXAMPLES = modules_with_examples()


def run(test: doctest.DocTest) -> None:
    try:
        doctest.DebugRunner().run(test)
    except doctest.DocTestFailure as failure:
        example = failure.example
        pytest.fail(f"{test.name}:\n{example.source}expected\n{example.want}got\n{failure.got}")
    except doctest.UnexpectedException as failure:
        if isinstance(failure.exc_info[1], ImportError):
            pytest.skip(f"{test.name}: {failure.exc_info[1]}")
        raise failure.exc_info[1] from None


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_print_what_they_show(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    try:
        module = importlib.import_module(name)
    except ImportError as error:
        pytest.skip(str(error))
    tests = doctest.DocTestFinder().find(module, name)
    assert sum(len(test.examples) for test in tests) == EXAMPLES[name], "doctest does not find all examples"
    for test in tests:
        run(test)
