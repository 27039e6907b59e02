"""``postproc calibrate``."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Annotated, cast

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


def calibrate(
    spec: SpecFile,
    version: VersionFile,
    truth: Annotated[
        list[Path],
        file(
            "FILE",
            "What is on the images: COCO JSON, or for labels of whole images also CSV. Given once for each "
            "output of the spec, in their order; or once, with --output-index.",
            "--truth",
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(metavar="FILE.json", dir_okay=False, help="Where the version with new thresholds goes."),
    ],
    model: Model = None,
    images: Images = None,
    tensors: Tensors = None,
    preprocessing: PreprocessingFile = None,
    precision: Annotated[
        float | None,
        typer.Option(help="Highest recall with at least this precision of each label, instead of best F1."),
    ] = None,
    false_positives: Annotated[
        float | None,
        typer.Option(help="Highest recall with at most so many false positives of each label an image."),
    ] = None,
    nms_grid: Annotated[
        str | None,
        typer.Option(metavar="0.3,0.45,...", help="Choose nms_threshold as well, from these and its own."),
    ] = None,
    min_examples: Annotated[
        int, typer.Option(min=1, help="Labels with fewer objects keep their threshold.")
    ] = 10,
    iou: JaccardIndex = 0.5,
    lowest: Annotated[
        float,
        typer.Option(min=0, max=1, help="No threshold below this is chosen, unless the old one is lower."),
    ] = 0.001,
    folds: Annotated[int, typer.Option(min=0, help="Of the cross-validation; 0 for none.")] = 5,
    repeats: Annotated[int, typer.Option(min=1, help="How often it is done, with other folds.")] = 5,
    seed: Annotated[int, typer.Option(min=0, help="Which folds and resamplings.")] = 0,
    batch_size: BatchSize = 8,
    threads: Annotated[int, typer.Option(min=1, help="Threads that post-process saved tensors.")] = 1,
    output_index: Annotated[
        int | None, typer.Option(min=0, help="Calibrate this output of the spec only; others stay.")
    ] = None,
    categories: CategoriesOption = Categories.AUTO,
    skip_unknown: SkipUnknown = False,
    force: Annotated[bool, typer.Option("--force", help="Let --output replace a file.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print all numbers as JSON.")] = False,
) -> None:
    """Choose each label's threshold from images whose content is known, and write a new version.

    The network and the post-processing run once: all thresholds there are, are read off that. What they gain
    is told by cross-validation, with its spread. Labels with too few examples keep their threshold.
    """
    from postproc.cli.work import calibrate as work
    from postproc.evaluation import (
        GroundTruth,
        ImagesThroughNetwork,
        Objective,
        SavedTensors,
        Settings,
        calibrate_version,
        with_thresholds,
    )
    from postproc.evaluation.image_files import find_images
    from postproc.evaluation.tables import calibration_tables

    if precision is not None and false_positives is not None:
        raise typer.BadParameter("give one objective", param_hint="--precision and --false-positives")
    check_source(model, images, tensors, preprocessing)
    work.check_target(output, version, force)
    objective = Objective()
    if precision is not None:
        objective = Objective("precision", precision)
    elif false_positives is not None:
        objective = Objective("false_positives", false_positives)
    settings = Settings(objective, min_examples, folds, repeats, seed=seed)
    saved = SavedTensors(tensors or [], threads)
    loaded = load(RecognitionSpec, spec), load(RecognitionVersion, version)
    check_pair(*loaded)
    outputs = range(len(loaded[0].outputs)) if output_index is None else [output_index]
    if len(truth) != len(outputs):
        raise typer.BadParameter(
            f"expected one for each output, {len(outputs)}, or --output-index; got {len(truth)}",
            param_hint="--truth",
        )
    known = {
        row: GroundTruth.load(
            path, loaded[0], output=row, categories=categories.value, skip_unknown=skip_unknown
        )
        for row, path in zip(outputs, truth, strict=True)
    }
    choose = partial(
        calibrate_version,
        *loaded,
        known,
        settings=settings,
        nms_grid=work.read_grid(nms_grid),
        lowest=lowest,
        iou=iou,
    )
    failures = 0
    if tensors:
        with Console(stderr=True).status("post-processing"):
            calibrated = choose(saved)
    else:
        files = find_images(images or [], next(iter(known.values())))
        with Progress(len(files.paths), shares_terminal=False) as progress:
            network = ImagesThroughNetwork(
                cast("Path", model),
                files,
                preprocessing,
                batch_size,
                on_unreadable=lambda path, error: progress.fail(error),
            )
            calibrated = choose(network, on_images=progress.advance)
        failures = progress.failures
    calibrations = calibrated.calibrations
    work.write_version(output, with_thresholds(json.loads(version.read_bytes()), calibrations))
    if as_json:
        typer.echo(json.dumps(calibrated.to_dict(), indent=2))
    else:
        console = Console()
        for table in (table for item in calibrations for table in calibration_tables(item)):
            console.print(table)
    for note in calibrated.notes():
        typer.echo(f"note: {note}", err=True)
    typer.echo(f"the version with new thresholds: {output}", err=True)
    if failures:
        raise typer.Exit(1)
