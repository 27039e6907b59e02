"""``postproc inspect``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from postproc.cli.exit_codes import DECLINED, FAILED
from postproc.cli.options import file, input_size
from postproc.cli.terminal import complain
from postproc.isolation import RUN_SECONDS


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
        file(
            "FILE",
            "Names of the labels, one a line or JSON, as a config.json; else those in the file or beside it.",
            "--labels",
        ),
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(metavar="WIDTHxHEIGHT", help="Size of the input, where the file leaves it free."),
    ] = None,
    take: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Which reading to save, where several are left.")
    ] = None,
    run: Annotated[
        bool, typer.Option("--run/--no-run", help="Run the network once on a generated image.")
    ] = True,
    run_seconds: Annotated[
        float, typer.Option(min=1, metavar="SECONDS", help="How long that may take.")
    ] = RUN_SECONDS,
    force: Annotated[bool, typer.Option("--force", help="Let --save replace other files.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print all that was found as JSON.")] = False,
) -> None:
    """Find out what an ONNX network puts out, and propose the documents to run it with.

    Exit code 1 if nothing fits; 3 if --save has to know which of several readings is meant (--take).
    """
    from postproc.cli.work.inspect import show_fused, show_inspection, show_saved, why_undecided
    from postproc.cli.work.inspect_json import inspection_json
    from postproc.inspection import inspect_model

    inspection = inspect_model(model, labels=labels, size=input_size(size), run=run, run_seconds=run_seconds)
    if inspection.fused is not None:
        if as_json:
            typer.echo(json.dumps(inspection_json(inspection), indent=2))
        else:
            show_fused(inspection, inspection.fused, Console())
        if save is not None:
            complain("nothing is saved: the file is fused, and its outputs need no post-processing")
            raise typer.Exit(FAILED)
        return
    proposals = inspection.proposals
    if take is not None and take > len(proposals) > 0:
        raise typer.BadParameter(
            f"expected the number of a reading, 1 to {len(proposals)}, got {take}", param_hint="--take"
        )
    chosen = inspection.decided if take is None else next(iter(proposals[take - 1 : take]), None)
    paths = None if save is None or chosen is None else chosen.save(save, force=force)
    if as_json:
        typer.echo(json.dumps(inspection_json(inspection), indent=2))
    elif paths is None or chosen is None:
        seconds = None if run_seconds == RUN_SECONDS else f"{run_seconds:g}"
        options = {"--labels": labels, "--size": size, "--run-seconds": seconds}
        given = [text for name, value in options.items() if value is not None for text in (name, str(value))]
        show_inspection(inspection, [str(model), *given, *([] if run else ["--no-run"])], Console(), save)
    else:
        show_saved(inspection, chosen, paths, model, Console())
    if not proposals:
        raise typer.Exit(FAILED)
    if save is not None and paths is None:
        complain(f"nothing is saved. {why_undecided(inspection)} --take N says which one to save")
        raise typer.Exit(DECLINED)
