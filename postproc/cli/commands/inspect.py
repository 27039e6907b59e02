"""``postproc inspect``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from postproc.cli.options import file


def inspect(
    model: Annotated[Path, file("MODEL.onnx", "The network.")],
    save: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", file_okay=False, help="Write spec.json, version.json, preprocessing.json there."
        ),
    ] = None,
    labels: Annotated[
        Path | None,
        file("FILE", "Names of the labels, one a line or JSON; else those in the file.", "--labels"),
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(metavar="WIDTHxHEIGHT", help="Size of the input, where the file leaves it free."),
    ] = None,
    take: Annotated[int, typer.Option(min=1, help="Which proposal to save, where several fit.")] = 1,
    force: Annotated[bool, typer.Option("--force", help="Let --save replace other files.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print all that was found as JSON.")] = False,
) -> None:
    """Find out what an ONNX network puts out, and propose the documents to run it with.

    Exit code 1 if nothing fits.
    """
    from postproc.cli.work.inspect import choose, inspection_json, show_inspection, show_saved
    from postproc.inspection import inspect_model

    inspection = inspect_model(model, labels=labels, size=_input_size(size))
    chosen = choose(inspection, take) if inspection.proposals else None
    if as_json:
        typer.echo(json.dumps(inspection_json(inspection), indent=2))
    elif save is None or chosen is None:
        show_inspection(inspection, model, Console())
    if chosen is None:
        raise typer.Exit(1)
    if save is not None:
        paths = chosen.save(save, force=force)
        if not as_json:
            show_saved(chosen, paths, model, Console())


def _input_size(text: str | None) -> tuple[int, int] | None:
    """Read ``WIDTHxHEIGHT``, or one number for both, as height and width."""
    if text is None:
        return None
    sides = text.split("x")
    size = (int(sides[-1]), int(sides[0])) if all(map(str.isdecimal, sides)) else (0, 0)
    if len(sides) > 2 or min(size) < 1:
        raise typer.BadParameter(f'expected "640x480" or "640", got {text!r}', param_hint="--size")
    return size
