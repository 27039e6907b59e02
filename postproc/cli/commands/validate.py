"""``postproc validate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from postproc.cli.exit_codes import FAILED
from postproc.cli.options import file
from postproc.cli.terminal import load
from postproc.errors import SchemaError
from postproc.schema import RecognitionSpec, RecognitionVersion, check_pair


def validate(
    version: Annotated[Path, file("VERSION.json", "The version to check.")],
    spec: Annotated[Path | None, file("SPEC.json", "Check this too, and that they fit.", "--spec")] = None,
) -> None:
    """Check a version, and a spec with it: all that is wrong is listed, each with its JSON path."""
    problems: list[object] = []
    documents: list[Any] = []
    kinds: list[tuple[type[Any], Path | None]] = [(RecognitionVersion, version), (RecognitionSpec, spec)]
    for kind, path in kinds:
        if path is not None:
            try:
                documents.append(load(kind, path))
            except SchemaError as error:
                problems += error.errors
    if spec is not None and not problems:
        try:
            check_pair(documents[1], documents[0])
        except SchemaError as error:
            problems += [f"{version}: {problem}" for problem in error.errors]
    if problems:
        for problem in problems:
            typer.echo(problem)
        raise typer.Exit(FAILED)
    typer.echo(f"{version}: valid" if spec is None else f"{version}: valid, and fits {spec}")
