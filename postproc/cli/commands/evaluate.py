"""``postproc evaluate``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, cast

import typer
from rich.console import Console

from postproc.cli.exit_codes import FAILED
from postproc.cli.options import (
    BatchSize,
    Categories,
    CategoriesOption,
    DetectionsOrNone,
    Images,
    JaccardIndex,
    Measured,
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
from postproc.cli.places import check_outputs, copied_if_url, copying_parser, parser, write_text, writing
from postproc.cli.terminal import Progress, load, note
from postproc.disk import whole_file
from postproc.schema import RecognitionSpec, RecognitionVersion
from postproc.stores import StoredPath


def evaluate(
    truth: Annotated[
        Path,
        typer.Option(
            "--truth",
            metavar="FILE|DIR",
            parser=copying_parser(folders=True),
            help="What is on the images: COCO JSON, a YOLO data set, Pascal VOC, and other kinds that "
            "docs/evaluation.md lists; for labels of whole images also CSV with a row 'file,label' a pair. "
            "Categories are told by id if all ids are labels', else by name.",
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
    against: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            parser=copying_parser(folders=True),
            help="With --tensors another version, with --detections other detections, to measure on the same "
            "images. What is shown are the differences of the two, with the 95 % interval of each over "
            "resamplings of the images.",
        ),
    ] = None,
    json_file: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE", parser=parser(exists=False), help="Write all numbers there."),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.html",
            parser=parser(exists=False),
            help="Write charts and the worst mistakes, as one page.",
        ),
    ] = None,
    pictures: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            parser=parser(files=False, folders=True),
            help="With --tensors or --detections: where the images lie that the report draws the worst "
            "mistakes on, found by the names that the ground truth has for them; it may need their sizes.",
        ),
    ] = None,
    iou: JaccardIndex = 0.5,
    max_detections: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="COCO's limit: AP and AR are of the best so many detections of an image and label, by "
            "default 20 for keypoints and 100 otherwise. Precision, recall and F1 are of all.",
        ),
    ] = None,
    measure: Annotated[
        Measured | None,
        typer.Option(
            help="What heads the numbers and counts; by default what the version finds, if the ground truth "
            "has it."
        ),
    ] = None,
    sigmas: Annotated[
        str | None,
        typer.Option(
            metavar="NUMBERS|FILE",
            parser=copied_if_url,
            help="Of keypoints that are not COCO's 17: by how much annotations of each differ, in relation "
            "to the root of the object's area; with commas between, or a JSON list in a file.",
        ),
    ] = None,
    batch_size: BatchSize = 8,
    output: Annotated[
        int, typer.Option("--output-index", min=0, help="Which output of the spec to measure.")
    ] = 0,
    categories: CategoriesOption = Categories.AUTO,
    skip_unknown: SkipUnknown = False,
    truth_format: TruthFormat = None,
    split: Split = None,
) -> None:
    """Measure a version, or detections of anybody, on images whose content is known.

    That is COCO's AP and AR of masks, keypoints or oriented boxes where both sides have them, and of boxes;
    precision, recall and F1. COCO's numbers are of all that scores above 0.001 (with --detections, of all of
    the file), precision, recall and F1 of what is above the version's own thresholds (without a version, of
    all). For labels of whole images: top-1 and top-5, average precision, and the same.
    """
    from postproc.evaluation.base import Evaluation
    from postproc.evaluation.comparison import Comparison, compare, names_of
    from postproc.evaluation.comparison_tables import comparison_tables
    from postproc.evaluation.evaluating import DetectionsLike, load_documents, truth_of
    from postproc.evaluation.evaluating import evaluate as measured_by
    from postproc.evaluation.image_files import find_images
    from postproc.evaluation.predictions import ImagesThroughNetwork, SavedTensors
    from postproc.evaluation.tables import evaluation_tables

    check_source(model, images, tensors, preprocessing, detections, (spec, version))
    read = (truth, spec, version, model, preprocessing, detections, against)
    check_outputs({"--json": json_file, "--report": report}, [*read, *(images or []), *(tensors or [])])
    cluster = cluster_of(ray, ray_gpus, model is not None)
    if cluster is not None and detections is not None:
        raise typer.BadParameter("has nothing to do: detections are there already", param_hint="--ray")
    if against is not None and model is not None:
        raise typer.BadParameter(
            "compares two versions on saved tensors, or two files of detections: write tensors by postproc "
            "dump, and give --tensors; or give --detections",
            param_hint="--against",
        )
    if pictures is not None and model is not None:
        raise typer.BadParameter(
            "goes with --tensors or --detections; images that the network runs on are drawn without it",
            param_hint="--pictures",
        )

    source: DetectionsLike = detections or SavedTensors(tensors or [], ray=cluster)
    loaded = load_documents(
        load(RecognitionSpec, spec) if spec else None, load(RecognitionVersion, version) if version else None
    )
    other = None
    if against is not None and detections is None:
        _, other = load_documents(loaded[0], load(RecognitionVersion, against))
    shown = images or ([pictures] if pictures is not None else [])
    known = truth_of(
        truth,
        loaded[0],
        output,
        categories=categories.value,
        skip_unknown=skip_unknown,
        format=truth_format,
        split=split,
        images=folder_of(shown),
    )
    files = find_images(shown, known) if shown else None
    count = len(files.paths) if files and model else len(known) * (2 if against is not None else 1)
    with Progress(count, shares_terminal=False) as progress:
        if model is not None and files is not None:
            source = ImagesThroughNetwork(
                model,
                files,
                preprocessing,
                batch_size,
                on_unreadable=lambda path, error: progress.fail(error),
                ray=cluster,
            )
        compared: list[tuple[DetectionsLike, RecognitionVersion | None]] = [(source, loaded[1])]
        if against is not None:
            compared.append((against, loaded[1]) if detections is not None else (source, other))
        measured = [
            measured_by(
                found,
                known,
                spec=loaded[0],
                version=document,
                output=output,
                iou=iou,
                max_detections=max_detections,
                measure=measure.value if measure is not None else None,
                sigmas=sigmas,
                on_images=progress.advance,
            )
            for found, document in compared
        ]
    result: Evaluation | Comparison = measured[0]
    if against is not None:
        result = compare(*measured, names=names_of(detections or cast("Path", version), against))
    for text in dict.fromkeys(text for evaluation in measured for text in evaluation.notes()):
        note(f"note: {text}")
    console = Console()
    tables = comparison_tables(result) if isinstance(result, Comparison) else evaluation_tables(result)
    for table in tables:
        console.print(table)
    if json_file is not None:
        write_text(json_file, json.dumps(result.to_dict(), indent=2) + "\n")
    if report is not None:
        of = (loaded[0] and loaded[0].name) or (spec.stem if spec else None)
        seen = next((path.name for path in (model, detections) if path is not None), "saved tensors")
        seen += f" against {against.name}" if against is not None else ""
        title = f"{of}: {seen} on {truth.name}" if of else f"{seen} on {truth.name}"
        with writing(report) as path, whole_file(path) as partial:
            result.write_report(partial, title=title, images=files)
        if files is None:
            note("note: the report has no pictures: --pictures DIR says where the images are")
        note(f"report: {report if isinstance(report, StoredPath) else report.resolve()}")
    if progress.failures:
        raise typer.Exit(FAILED)
