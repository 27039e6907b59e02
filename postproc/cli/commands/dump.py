"""``postproc dump``."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from postproc.cli.exit_codes import FAILED
from postproc.cli.options import (
    BatchSize,
    ImagesToRead,
    IntraOpThreads,
    PreprocessingFile,
    Ray,
    RayGpus,
    SpecFile,
    VersionFile,
    cluster_of,
    file,
)
from postproc.cli.places import parser
from postproc.cli.terminal import Progress, load
from postproc.pipeline import PostProcessor
from postproc.schema import RecognitionSpec, RecognitionVersion


class _SavedType(str, Enum):
    FLOAT32 = "float32"
    FLOAT16 = "float16"


def dump(
    spec: SpecFile,
    version: VersionFile,
    model: Annotated[Path, file("MODEL.onnx", "The network.")],
    images: ImagesToRead,
    output: Annotated[
        Path,
        typer.Option(
            metavar="DIR",
            parser=parser(exists=False, files=False, folders=True),
            help="Folder that the tensors go to, also in a store.",
        ),
    ],
    preprocessing: PreprocessingFile = None,
    ray: Ray = None,
    ray_gpus: RayGpus = None,
    dtype: Annotated[
        _SavedType,
        typer.Option(help="float16 takes half the space and rounds; ids and sizes of images stay exact."),
    ] = _SavedType.FLOAT32,
    all_tensors: Annotated[
        bool,
        typer.Option("--all-tensors", help="Save all outputs, and not only those that the version needs."),
    ] = False,
    batch_size: BatchSize = 8,
    intra_op_threads: IntraOpThreads = None,
) -> None:
    """Save a network's tensors for images, so that it runs once and versions are tried on what it said.

    Ended in whatever way, the same command goes on where it was. An image that cannot be read is reported on
    stderr and listed in the folder, the others go on, and the exit code is 1.
    """
    from postproc.cli.work.dump import dump_tensors, summary
    from postproc.images.batches import image_files

    cluster = cluster_of(ray, ray_gpus, True)
    post = PostProcessor(load(RecognitionSpec, spec), load(RecognitionVersion, version))
    files = image_files(images)
    with Progress(len(files)) as progress:
        dumped = dump_tensors(
            model,
            post,
            preprocessing,
            files,
            output,
            all_tensors=all_tensors,
            dtype=dtype.value,
            batch_size=batch_size,
            intra_op_threads=intra_op_threads,
            cluster=cluster,
            on_done=progress.advance,
            on_unreadable=progress.fail,
        )
    typer.echo(summary(dumped, output), err=True)
    if progress.failures:
        raise typer.Exit(FAILED)
