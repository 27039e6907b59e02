"""Parts of pages that are made: they stand between two comments of a name, ``<!-- speed -->`` and its end."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def part(text: str, name: str) -> str:
    """Return what stands between the markers of a name; raises ValueError where they are missing."""
    return _parts(text, name)[1]


def with_part(text: str, name: str, made: str) -> str:
    """Return a page with other text between the markers of a name."""
    before, _, after = _parts(text, name)
    return before + made + after


def write_parts(page: Path, parts: Mapping[str, str]) -> None:
    """Write parts into a page, by the names of their markers."""
    text = page.read_text("utf-8")
    for name, made in parts.items():
        text = with_part(text, name, made)
    page.write_text(text, "utf-8")


def _parts(text: str, name: str) -> tuple[str, str, str]:
    begin, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
    before, found, rest = text.partition(begin)
    inside, closed, after = rest.partition(end)
    if not (found and closed):
        raise ValueError(f"expected the markers {begin.strip()} and {end}, each on a line of its own")
    return before + begin, inside, end + after
