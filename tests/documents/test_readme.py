"""README stays short, and its links are right in a clone and on PyPI."""

from __future__ import annotations

import re

from tests.documents.pages import README
from tools.absolute_links import with_absolute_links

TEXT = README.read_text("utf-8")
REPOSITORY = "https://github.com/owner/name"


def links(text: str) -> set[str]:
    return set(re.findall(r"\]\(([^)]+)\)", text))


def test_readme_is_short() -> None:
    assert TEXT.count("\n") < 130


def test_links_are_relative_here_and_absolute_in_a_release() -> None:
    found = {link for link in links(TEXT) if "://" not in link}
    assert len(found) > 10
    released = with_absolute_links(TEXT, REPOSITORY, "v1.0.0")
    assert {link for link in links(released) if "://" not in link} == set()
    kinds = {"docs/digits.jpg": "raw", "docs/from": "tree", "docs/tasks": "tree"}
    assert links(released) - links(TEXT) == {
        f"{REPOSITORY}/{kinds.get(link, 'blob')}/v1.0.0/{link}" for link in found
    }


def test_anchors_and_addresses_are_kept() -> None:
    text = (
        "![a](docs/digits.jpg) [b](docs/errors.md#documents) [c](https://a.example/x) [d](#speed) [e](docs)"
    )
    assert with_absolute_links(text, f"{REPOSITORY}/", "main") == (
        f"![a]({REPOSITORY}/raw/main/docs/digits.jpg) [b]({REPOSITORY}/blob/main/docs/errors.md#documents) "
        f"[c](https://a.example/x) [d](#speed) [e]({REPOSITORY}/tree/main/docs)"
    )
