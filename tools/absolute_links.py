"""Make README's links absolute: ``python tools/absolute_links.py https://github.com/OWNER/NAME v1.0.0``.

In the sources they are relative, so that they are right in a clone, in a fork and at every commit. PyPI shows
the page without the files beside it: a release runs this in its checkout before it builds, with the address
and the tag that it knows.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

README = Path(__file__).resolve().parents[1] / "README.md"
_LINK = re.compile(r"(!?)\[([^\]]*)\]\((?![a-z]+:|#)([^)#\s]+)(#[^)\s]*)?\)")


def with_absolute_links(text: str, repository: str, tag: str) -> str:
    """Return Markdown whose relative links lead to a repository at a tag; images lead to the files alone."""

    def absolute(found: re.Match[str]) -> str:
        mark, shown, path, anchor = found.groups()
        kind = "raw" if mark else "tree" if (README.parent / path).is_dir() else "blob"
        return f"{mark}[{shown}]({repository.rstrip('/')}/{kind}/{tag}/{path}{anchor or ''})"

    return _LINK.sub(absolute, text)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    README.write_text(with_absolute_links(README.read_text("utf-8"), sys.argv[1], sys.argv[2]), "utf-8")
