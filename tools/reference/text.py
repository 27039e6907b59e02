"""Plain text, as Markdown that shows it as it is."""

from __future__ import annotations

import re

_CODE = re.compile(r"(``?[^`]+``?)")
_MARKS = re.compile(r"([*_|<>\[\]\\])")


def escaped(text: str) -> str:
    """Return text with a backslash before what Markdown would read as a mark, code between backticks kept."""
    parts = _CODE.split(text)
    return "".join(part if index % 2 else _MARKS.sub(r"\\\1", part) for index, part in enumerate(parts))


def cell(text: str) -> str:
    """Return text for a cell of a table: one line, marks escaped."""
    return " ".join(escaped(text).split())


def code(text: str) -> str:
    """Return text without backticks as code, in which a table takes no bar for the end of a cell."""
    return f"`{text}`"


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """Return a table of Markdown, whose cells are Markdown already."""
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
