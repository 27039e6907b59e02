"""Print pip constraints that pin each requirement of extras to the lowest version that pyproject.toml allows.

For example ``python tools/lowest_versions.py test-core > lowest.txt``, then ``pip install -c lowest.txt -e
".[test-core]"``. Needs `packaging`, which pytest brings; and tomli before Python 3.11.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PROJECT = tomllib.loads((Path(__file__).resolve().parents[1] / "pyproject.toml").read_text())["project"]


def requirements(extras: Iterable[str]) -> Iterator[Requirement]:
    """Yield what an install with these extras asks for on this machine, extras of extras included."""
    todo, seen = list(extras), set[str]()
    texts = list(PROJECT["dependencies"])
    while todo:
        extra = todo.pop()
        if extra not in seen:
            seen.add(extra)
            texts += PROJECT["optional-dependencies"][extra]
            todo += [name for text in texts if (found := own(text)) is not None for name in found.extras]
    for requirement in map(Requirement, dict.fromkeys(texts)):
        if own(str(requirement)) is None and (requirement.marker is None or requirement.marker.evaluate()):
            yield requirement


def own(text: str) -> Requirement | None:
    """Return a requirement of this very package, whose extras are others of its extras."""
    requirement = Requirement(text)
    return requirement if canonicalize_name(requirement.name) == PROJECT["name"] else None


def lowest(requirement: Requirement) -> str:
    """Return the constraint that pins a requirement to its lowest version."""
    (version,) = (found.version for found in requirement.specifier if found.operator in (">=", "=="))
    return f"{requirement.name}=={version}"


if __name__ == "__main__":
    print(*map(lowest, requirements(sys.argv[1:])), sep="\n")
