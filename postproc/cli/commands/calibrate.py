"""``postproc calibrate``."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Annotated, cast

import typer
from rich.console import Console

from postproc.cli.exit_codes import DECLINED, FAILED
from postproc.cli.options import (
    BatchSize,
    Categories,
    CategoriesOption,
    DetectionsOrNone,
    Images,
    JaccardIndex,
    Model,
    PreprocessingFile,
    Ray,
    RayGpus,
    SkipUnknown,
    SpecOrNone,
    Split,
    Tensors,
    TruthFormat,
    VersionOrNone,
    check_source,
    cluster_of,
    folder_of,
)
from postproc.cli.places import check_outputs, copying_parser, parser
from postproc.cli.terminal import load, note
from postproc.schema import RecognitionSpec, RecognitionVersion


def calibrate(
    truth: Annotated[
        list[Path],
        typer.Option(
            "--truth",
            metavar="FILE|DIR",
            parser=copying_parser(folders=True),
            help="What is on the images: COCO JSON, or another kind that docs/evaluation.md lists. Given "
            "once for each output of the spec, in their order; or once, with --output-index.",
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            metavar="FILE.json",
            parser=parser(exists=False),
            help="Where the version with new thresholds goes; without --version, thresholds by label.",
        ),
    ],
    model: Model = None,
    images: Images = None,
    spec: SpecOrNone = None,
    version: VersionOrNone = None,
    detections: DetectionsOrNone = None,
    tensors: Tensors = None,
    preprocessing: PreprocessingFile = None,
    ray: Ray = None,
    ray_gpus: RayGpus = None,
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
    only_if_better: Annotated[
        bool,
        typer.Option(
            "--only-if-better",
            help="Write nothing and exit with code 3 unless the 95 % interval of the cross-validated gain is "
            "above 0: of the mean F1; with --precision or --false-positives of these where the old "
            "thresholds miss them, or else of the recall. Errors exit with 1 or 2.",
        ),
    ] = False,
    truth_format: TruthFormat = None,
    split: Split = None,
    force: Annotated[bool, typer.Option("--force", help="Let --output replace a file.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print all numbers as JSON.")] = False,
) -> None:
    """Choose each label's threshold from images whose content is known, and write a new version.

    The network and the post-processing run once: all thresholds there are, are read off that. What they gain
    is told by cross-validation, with its spread. Labels with too few examples keep their threshold.

    With --detections thresholds can only rise above the lowest scores of the file, which NMS of each label by
    itself has to have left.
    """
    from postproc.cli.work import calibrate as work
    from postproc.evaluation import Objective, SavedTensors, Settings, with_thresholds
    from postproc.evaluation import calibrate as choose_thresholds
    from postproc.evaluation.evaluating import load_documents, truth_of
    from postproc.evaluation.tables import calibration_tables

    if precision is not None and false_positives is not None:
        raise typer.BadParameter("give one objective", param_hint="--precision and --false-positives")
    check_source(model, images, tensors, preprocessing, detections, (spec, version))
    cluster = cluster_of(ray, ray_gpus, model is not None)
    if cluster is not None and detections is not None:
        raise typer.BadParameter("has nothing to do: detections are there already", param_hint="--ray")
    work.check_only_if_better(only_if_better, version, folds)
    read = (spec, version, model, preprocessing, detections)
    check_outputs({"--output": output}, [*read, *truth, *(images or []), *(tensors or [])])
    work.check_target(output, force)
    objective = Objective()
    if precision is not None:
        objective = Objective("precision", precision)
    elif false_positives is not None:
        objective = Objective("false_positives", false_positives)
    saved = SavedTensors(tensors or [], threads, cluster)  # first, since it tells of a missing extra
    loaded = load_documents(
        load(RecognitionSpec, spec) if spec else None, load(RecognitionVersion, version) if version else None
    )
    count = len(loaded[0].outputs) if loaded[0] is not None else 1
    outputs = range(count) if output_index is None else [output_index]
    if len(truth) != len(outputs):
        raise typer.BadParameter(
            f"expected one for each output, {len(outputs)}, or --output-index; got {len(truth)}",
            param_hint="--truth",
        )
    known = {
        row: truth_of(
            path,
            loaded[0],
            row,
            categories=categories.value,
            skip_unknown=skip_unknown,
            format=truth_format,
            split=split,
            images=folder_of(images or []),
        )
        for row, path in zip(outputs, truth, strict=True)
    }
    choose = partial(
        choose_thresholds,
        truth=known,
        spec=loaded[0],
        version=loaded[1],
        settings=Settings(objective, min_examples, folds, repeats, seed=seed),
        nms_grid=work.read_grid(nms_grid),
        lowest=lowest,
        iou=iou,
    )
    failures = 0
    if detections is not None:
        calibrated = choose(detections)
    elif tensors:
        with Console(stderr=True).status("post-processing"):
            calibrated = choose(saved)
    else:
        network = cast("Path", model)
        calibrated, failures = work.through_network(
            choose, network, images or [], next(iter(known.values())), preprocessing, batch_size, cluster
        )
    reason = calibrated.why_not_better() if only_if_better else None
    if reason is None:
        document = calibrated.thresholds()
        if version is not None:
            document = with_thresholds(json.loads(version.read_bytes()), calibrated.calibrations)
        work.write_version(output, document)
    if as_json:
        typer.echo(json.dumps(calibrated.to_dict(), indent=2))
    else:
        console = Console()
        for table in (table for item in calibrated.calibrations for table in calibration_tables(item)):
            console.print(table)
    for text in calibrated.notes():
        note(f"note: {text}")
    note(work.told(output, version, reason))
    if failures:
        raise typer.Exit(FAILED)
    if reason is not None:
        raise typer.Exit(DECLINED)
