"""``postproc doctor``."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.console import Console

from postproc.cli.exit_codes import FAILED

_STEPS = {
    "kernels": "checking the kernels; those that are not compiled yet may take up to a minute",
    "threads": "checking several threads",
}


def doctor(
    providers: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Execution provider of ONNX Runtime that has to work, CUDAExecutionProvider or just cuda; "
            "may be given several times.",
        ),
    ] = None,
    gpu: Annotated[bool, typer.Option("--gpu", help="As --providers CUDAExecutionProvider.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Examine this installation: what is there, what changes how it works, and a self-test.

    Every warning and failure says what to do. Exit code 1 if a check failed.
    """
    from postproc.cli.work.doctor import show_report
    from postproc.doctor import examine

    asked = [name.strip() for names in providers or () for name in names.split(",") if name.strip()]
    asked += ["CUDAExecutionProvider"] if gpu else []
    with Console(stderr=True).status("looking around") as status:

        def tell(step: str) -> None:
            # ONNX Runtime writes on stderr, which is read: nothing else may write there meanwhile.
            if step in ("providers", "network"):
                status.stop()
            else:
                status.start()
            status.update(_STEPS.get(step, "looking around"))

        report = examine(asked, tell)
    if as_json:
        typer.echo(json.dumps(report.to_dict(), indent=2))
    else:
        show_report(report, Console())
    if not report.ok:
        raise typer.Exit(FAILED)
