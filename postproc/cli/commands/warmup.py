"""``postproc warmup``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from postproc.cli.options import file
from postproc.cli.terminal import load
from postproc.cli.work.warmup import warm_up_everything
from postproc.kernels._compiled import compiled
from postproc.pipeline import PostProcessor
from postproc.pipeline.post_processor import WARM_DTYPES
from postproc.schema import RecognitionSpec, RecognitionVersion


def warmup(
    spec: Annotated[Path | None, file("SPEC.json", "With --version: only what these need.", "--spec")] = None,
    version: Annotated[
        Path | None, file("VERSION.json", "With --spec: only what these need.", "--version")
    ] = None,
    dtype: Annotated[
        list[str] | None,
        typer.Option(
            "--dtype",
            metavar="NAME",
            help=f"Type of the tensors, of {', '.join(WARM_DTYPES)}; may be given several times. "
            "[default: float32]",
        ),
    ] = None,
) -> None:
    """Compile the kernels, or load them, so that no image waits for it; wheels for a machine have them."""
    dtypes = dtype or ["float32"]
    if wrong := set(dtypes) - set(WARM_DTYPES):
        raise typer.BadParameter(
            f"{', '.join(map(repr, sorted(wrong)))} is none of {', '.join(WARM_DTYPES)}", param_hint="--dtype"
        )
    post = None
    if spec is not None and version is not None:
        post = PostProcessor(load(RecognitionSpec, spec), load(RecognitionVersion, version))
    elif spec is not None or version is not None:
        raise typer.BadParameter("one needs the other", param_hint="--spec and --version")
    if compiled().module:
        typer.echo(f"nothing to do: the kernels are machine code already, for {compiled().level}")
        return
    from postproc.kernels._numba import cache_place

    started = time.perf_counter()
    if post is not None:
        post.warmup(dtypes)
    else:
        warm_up_everything(dtypes)
    seconds = time.perf_counter() - started
    directory, reason = cache_place()
    kept = f"kept in memory only: {reason}" if directory is None else f"in {directory}"
    typer.echo(
        f"{'all kernels' if spec is None else 'the kernels of this version'} ready in {seconds:.1f} s, {kept}"
    )
