"""What docs/errors.md has from the code: ``python -m tools.errors_page`` writes it.

Classes are told by their docstrings, exit codes by `EXIT_CODES`, the service's statuses by `STATUSES`.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path

from postproc import errors
from postproc.cli.exit_codes import EXIT_CODES
from postproc.service.errors import STATUSES
from tools.markers import write_parts

PAGE = Path(__file__).resolve().parents[1] / "docs" / "errors.md"


def parts() -> dict[str, str]:
    """Return the made parts of the page, by the names of their markers."""
    return {
        "classes": _table(("", "is a", "what it says", "when, and what to do"), _classes()),
        "exit codes": _table(("code", ""), ((str(code), text) for code, text in EXIT_CODES.items())),
        "statuses": _table(
            ("status", "what it means", "what to do"),
            ((str(code), status.meaning, status.remedy) for code, status in STATUSES.items()),
        ),
    }


def kinds() -> list[type[errors.PostprocError]]:
    """Return the classes of errors that users meet, in the order of their module."""
    found = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    return [kind for kind in found if issubclass(kind, errors.PostprocError)]


def _classes() -> Iterator[tuple[str, ...]]:
    for kind in kinds():
        told = (inspect.getdoc(kind) or "").split("\n\n")
        summary, remedy = told[0], " ".join(told[1].split()) if len(told) > 1 else ""
        base = next(
            base for base in kind.__bases__ if kind.__bases__ == (base,) or base is not errors.PostprocError
        )
        yield f"`{kind.__name__}`", f"`{base.__name__}`", summary, remedy


def _table(head: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n".replace("``", "`") for line in lines)


def main() -> None:
    """Write the page's parts."""
    write_parts(PAGE, parts())


if __name__ == "__main__":
    main()
