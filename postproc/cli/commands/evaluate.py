"""``postproc evaluate``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from postproc.cli.options import (
    BatchSize,
    Categories,
    CategoriesOption,
    Images,
    JaccardIndex,
    Model,
    PreprocessingFile,
    SkipUnknown,
    SpecFile,
    Tensors,
    VersionFile,
    check_source,
    file,
)
from postproc.cli.terminal import Progress, load
from postproc.schema import RecognitionSpec, RecognitionVersion, check_pair


def evaluate(
    spec: SpecFile,
    version: VersionFile,
    truth: Annotated[
        Path,
        file(
            "FILE",
            "What is on the images: COCO JSON, or for labels of whole images also CSV with a row "
            "'file,label' a pair. Categories are told by id if all ids are labels', else by name.",
            "--truth",
        ),
    ],
    model: Model = None,
    images: Images = None,
    tensors: Tensors = None,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Post-process the tensors on a Ray cluster: local starts one here, auto is the one this "
            "machine is part of, else ray://HOST:10001. The numbers are the same.",
        ),
    ] = None,
    preprocessing: PreprocessingFile = None,
    json_file: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE", dir_okay=False, help="Write all numbers there."),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.html", dir_okay=False, help="Write charts and the worst mistakes, as one page."
        ),
    ] = None,
    pictures: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            exists=True,
            file_okay=False,
            help="With --tensors: where the images lie that the report draws the worst mistakes on, found by "
            "the names that the ground truth has for them.",
        ),
    ] = None,
    iou: JaccardIndex = 0.5,
    max_detections: Annotated[
        int,
        typer.Option(
            min=1,
            help="COCO's limit: AP and AR are of the best so many boxes of an image and label. Precision, "
            "recall and F1 are of all.",
        ),
    ] = 100,
    batch_size: BatchSize = 8,
    output: Annotated[
        int, typer.Option("--output-index", min=0, help="Which output of the spec to measure.")
    ] = 0,
    categories: CategoriesOption = Categories.AUTO,
    skip_unknown: SkipUnknown = False,
) -> None:
    """Measure a version on images whose content is known: COCO's AP and AR, precision, recall and F1.

    COCO's numbers are of all boxes that score above 0.001, precision, recall and F1 of those above the
    version's own thresholds. For labels of whole images: top-1 and top-5, average precision, and the same.
    """
    from postproc.evaluation.ground_truth import GroundTruth
    from postproc.evaluation.image_files import find_images
    from postproc.evaluation.measuring import evaluate as measure
    from postproc.evaluation.predictions import ImagesThroughNetwork, PredictionSource, SavedTensors
    from postproc.evaluation.tables import evaluation_tables

    if ray is not None and not tensors:
        raise typer.BadParameter("works on saved tensors: give --tensors too", param_hint="--ray")
    check_source(model, images, tensors, preprocessing)
    if pictures is not None and not tensors:
        raise typer.BadParameter(
            "goes with --tensors; images that the network runs on are drawn without it",
            param_hint="--pictures",
        )
    if pictures is not None and report is None:
        raise typer.BadParameter("is for the report: give --report too", param_hint="--pictures")

    source: PredictionSource = SavedTensors(tensors or [], ray=ray)
    loaded = load(RecognitionSpec, spec), load(RecognitionVersion, version)
    check_pair(*loaded)
    known = GroundTruth.load(
        truth, loaded[0], output=output, categories=categories.value, skip_unknown=skip_unknown
    )
    shown = images or ([pictures] if pictures is not None else [])
    files = find_images(shown, known) if shown else None
    with Progress(len(files.paths) if files and model else len(known), shares_terminal=False) as progress:
        if model is not None and files is not None:
            source = ImagesThroughNetwork(
                model,
                files,
                preprocessing,
                batch_size,
                on_unreadable=lambda path, error: progress.fail(error),
            )
        evaluation = measure(
            *loaded,
            known,
            source,
            output=output,
            iou=iou,
            max_detections=max_detections,
            on_images=progress.advance,
        )
    for note in evaluation.notes():
        typer.echo(f"note: {note}", err=True)
    console = Console()
    for table in evaluation_tables(evaluation):
        console.print(table)
    if json_file is not None:
        json_file.parent.mkdir(parents=True, exist_ok=True)
        json_file.write_text(json.dumps(evaluation.to_dict(), indent=2) + "\n")
    if report is not None:
        report.parent.mkdir(parents=True, exist_ok=True)
        title = f"{loaded[0].name or spec.stem}: {model.name if model else 'saved tensors'} on {truth.name}"
        evaluation.write_report(report, title=title, images=files)
        if files is None:
            typer.echo("note: the report has no pictures: --pictures DIR says where the images are", err=True)
        typer.echo(f"report: {report.resolve()}", err=True)
    if progress.failures:
        raise typer.Exit(1)
