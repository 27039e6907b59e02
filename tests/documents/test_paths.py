"""Every path that a page names is there, and the map of folders is the tree."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.documents.pages import CONTRIBUTING, DOCS, README, ROOT

PAGES = [
    README,
    CONTRIBUTING,
    ROOT / "CHANGELOG.md",
    ROOT / "SECURITY.md",
    ROOT / "tests" / "README.md",
    ROOT / "benchmarks" / "README.md",
    *DOCS,
]
TOP = {path.name for path in ROOT.iterdir() if path.is_dir()}
SUFFIXES = (".py", ".md", ".json", ".yml", ".jpg", ".png", ".service", ".toml", ".onnx", ".ipynb")


def paths_in(text: str, beside: Path) -> Iterator[str]:
    """Yield what looks like a path: targets of links, and words of code that begin with a folder."""
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" not in link:
            yield link
    folders = TOP | {path.name for path in beside.iterdir() if path.is_dir()}
    for code in re.findall(r"`([^`\n]+)`", text):
        for word in re.findall(r"[\w.*/:#\[\]-]+", code):
            first, slash, rest = word.partition("/")
            if (
                slash
                and first in folders
                and (not rest or "/" in rest or rest.endswith(SUFFIXES) or "::" in rest)
            ):
                yield word


def names_in(path: Path) -> set[str]:
    """Return the functions and classes of a module of tests."""
    return set(
        re.findall(r"^ *(?:async )?(?:def|class) (\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    )


def anchors_in(path: Path) -> set[str]:
    """Return what links to the headings of a page end with, as GitHub makes it."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def problem_of(word: str, page: Path) -> str | None:
    """Return what is wrong with a path of a page: relative to the root, or to the page's folder."""
    path, _, name = word.partition("::")
    path, _, anchor = path.partition("#")
    found = [place for folder in (page.parent, ROOT) for place in folder.glob(path)] if path else [page]
    if not found:
        return f"{word} is not there"
    if name and name.partition("[")[0] not in names_in(found[0]):
        return f"{word}: the file has no such test"
    if anchor and anchor not in anchors_in(found[0]):
        return f"{word}: the page has no such heading"
    return None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_paths_that_a_page_names_are_there(page: Path) -> None:
    found = paths_in(page.read_text(encoding="utf-8"), page.parent)
    problems = [problem for word in found if (problem := problem_of(word, page))]
    assert not problems, "\n".join(problems)


def test_paths_that_are_not_there_are_found() -> None:
    page = ROOT / "docs" / "service.md"
    right = "[a](operations.md#the-first-key) [d](https://a.example/gone.md) `postproc/disk.py` `and/or`"
    wrong = (
        "[b](operations.md#nothing) [c](gone.md) `tests/test_import.py::test_gone` "
        "`pytest tests/gone.py -k x` `kernels/gone/`"
    )
    assert [problem_of(word, page) for word in paths_in(right, page.parent)] == [None] * 2
    assert [problem_of(word, page) for word in paths_in(wrong, page.parent)] == [
        "operations.md#nothing: the page has no such heading",
        "gone.md is not there",
        "tests/test_import.py::test_gone: the file has no such test",
        "tests/gone.py is not there",
        "kernels/gone/ is not there",
    ]


def folders_of_the_tree() -> set[str]:
    """Return the folders of the two packages that files lie in."""
    files = [path for name in ("postproc", "kernels") for path in (ROOT / name).rglob("*") if path.is_file()]
    folders = {path.parent.relative_to(ROOT).as_posix() for path in files}
    return {f"{folder}/" for folder in folders if "__pycache__" not in folder and "/." not in folder}


def folders_of_the_map(text: str) -> set[str]:
    """Return the folders of the map: of each row the first one, and those in it that its text names."""
    section = text.partition("## Where things are\n\n")[2].partition("\n\n")[0]
    found = set()
    for folder, described in re.findall(r"^\| `([^`]+/)` \| (.*) \|$", section, re.MULTILINE):
        found |= {folder} | {folder + inner for inner in re.findall(r"`([\w/]+/)`", described)}
    return found


def test_map_is_the_tree() -> None:
    others = {f"{name}/" for name in ("native", "tests", "benchmarks", "tools", "docs", "examples")}
    assert folders_of_the_map(CONTRIBUTING.read_text(encoding="utf-8")) - others == folders_of_the_tree()
