"""A page of each example of a host: its files, as they are in examples/hosts."""

from __future__ import annotations

import re
from pathlib import Path

HOSTS = Path(__file__).resolve().parents[2] / "examples" / "hosts"
_LANGUAGES = {".py": "py", ".pbtxt": "text", ".yaml": "yaml", ".yml": "yaml", ".json": "json", ".sh": "sh"}


def pages() -> dict[str, str]:
    """Return the text of each page by its path."""
    folders = sorted(path for path in HOSTS.iterdir() if path.is_dir())
    return {f"hosts/{folder.name}.md": _page(folder) for folder in folders if _files(folder)}


def linked(markdown: str) -> str:
    """Make links of the folders that a page names, as far as they have pages."""
    made = pages()

    def link(match: re.Match[str]) -> str:
        path = f"hosts/{match[1]}.md"
        return f"[{match[0]}]({path})" if path in made else match[0]

    return re.sub(r"`(?:examples/hosts/)?(\w+)`", link, markdown)


def _files(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*")) if path.suffix in _LANGUAGES]


def _page(folder: Path) -> str:
    parts = [f"# examples/hosts/{folder.name}\n\n[In other programs](../hosts.md) has what it is for.\n"]
    for path in _files(folder):
        code = path.read_text(encoding="utf-8")
        parts.append(f"## {path.relative_to(folder)}\n\n````{_LANGUAGES[path.suffix]}\n{code}````\n")
    return "\n".join(parts)
