"""``postproc fuse``."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from postproc.cli.options import SpecFile, VersionFile, file, input_size
from postproc.cli.terminal import load
from postproc.pipeline import PostProcessor
from postproc.schema import RecognitionSpec, RecognitionVersion


class Suppression(str, Enum):
    """How boxes that overlap are suppressed in the graph."""

    LOOP = "loop"
    ROUNDS = "rounds"
    OPERATOR = "operator"


class Thresholds(str, Enum):
    """Where the graph has its thresholds from."""

    CONSTANTS = "constants"
    INPUT = "input"


def fuse(
    model: Annotated[Path, file("MODEL.onnx", "The network.")],
    spec: SpecFile,
    version: VersionFile,
    output: Annotated[
        Path, typer.Option(metavar="FUSED.onnx", dir_okay=False, help="The file to write; replaced if there.")
    ],
    preprocessing: Annotated[
        Path | None,
        file(
            "FILE.json",
            "How images become the network's inputs: the file then takes them in 8 bits, resized.",
            "--preprocessing",
        ),
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(
            metavar="WIDTHxHEIGHT",
            help="Of the images that the network takes, where its file leaves it open: the fused file then "
            "takes that size alone. [default: what the preprocessing or the version says]",
        ),
    ] = None,
    candidates: Annotated[
        int,
        typer.Option(
            min=1,
            metavar="K",
            help="The best of an image that are compared with each other. TensorRT takes up to 3,840.",
        ),
    ] = 1024,
    max_predictions: Annotated[
        int | None, typer.Option(min=1, metavar="P", help="Rows of an image. [default: 100, or K if fewer]")
    ] = None,
    nms: Annotated[
        Suppression,
        typer.Option(
            help="Suppression in a Loop, in so many --rounds for runtimes without loops, or by ONNX's "
            "NonMaxSuppression."
        ),
    ] = Suppression.LOOP,
    rounds: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="With --nms rounds: how many.")
    ] = None,
    thresholds: Annotated[
        Thresholds, typer.Option(help="The version's, or an input of the file's.")
    ] = Thresholds.CONSTANTS,
    pixels: Annotated[
        bool, typer.Option("--pixels", help="Boxes in pixels of the network's input, not in [0, 1].")
    ] = False,
) -> None:
    """Write a network and its post-processing into one ONNX file, which ends in detections.

    For runtimes and devices that this package does not reach: TensorRT, OpenVINO, browsers, C++. The graph is
    of plain operators. On a CPU the package's own kernels are far quicker. Its output complete is true of
    an image in which at most K candidates passed their thresholds, or in which P rows were found.
    """
    from postproc.cli.work.fuse import fuse_file
    from postproc.fusing import FuseOptions

    options = FuseOptions(
        candidates=candidates,
        max_predictions=max_predictions,
        nms=nms.value,
        rounds=rounds,
        pixels=pixels,
        thresholds=thresholds.value,
    )
    post = PostProcessor(load(RecognitionSpec, spec), load(RecognitionVersion, version))
    documents = {spec: "the spec", version: "the version"}
    for line in fuse_file(model, post, preprocessing, output, options, documents, input_size(size)):
        typer.echo(line)
