"""What ``postproc calibrate`` reads and writes besides the call: its grid, and the version."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from postproc.disk import whole_file
from postproc.errors import SchemaError


def read_grid(text: str | None) -> tuple[float, ...]:
    """Read numbers that are separated by commas.

    Raises
    ------
    SchemaError
        If they are no numbers.
    """
    try:
        return tuple(float(part) for part in text.split(",")) if text is not None else ()
    except ValueError:
        raise SchemaError(f'--nms-grid: expected numbers such as "0.3,0.45,0.6", got {text!r}') from None


def check_target(path: Path, version: Path, force: bool) -> None:
    """See that nothing is overwritten unasked.

    Raises
    ------
    SchemaError
        If the file is there, unless `force`; or if it is the version itself.
    """
    if path.exists():
        if path.samefile(version):
            raise SchemaError(f"{path}: is the version that is calibrated; give --output another name")
        if not force:
            raise SchemaError(f"{path}: is there already; give another name, or --force to replace it")


def write_version(path: Path, document: dict[str, Any]) -> None:
    """Write a version, whole or not at all."""
    with whole_file(path) as partial:
        partial.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
