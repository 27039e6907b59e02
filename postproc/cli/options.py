"""Arguments and options that several commands have."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer


class Categories(str, Enum):
    """What categories of a ground truth are told by."""

    AUTO = "auto"
    IDS = "ids"
    NAMES = "names"


def file(metavar: str, help: str, *names: str) -> Any:
    """Declare an option, or without names an argument, that is a file to read."""
    kind = typer.Option if names else typer.Argument
    return kind(*names, metavar=metavar, help=help, exists=True, dir_okay=False, readable=True)


SpecFile = Annotated[Path, file("SPEC.json", "What is recognised: the labels of each output.", "--spec")]
VersionFile = Annotated[
    Path, file("VERSION.json", "How: a post-processing for each output of the spec.", "--version")
]
SpecOrNone = Annotated[
    Path | None,
    file(
        "SPEC.json",
        "What is recognised: the labels of each output. With --detections it may be left out: labels are "
        "then the categories of the ground truth.",
        "--spec",
    ),
]
VersionOrNone = Annotated[
    Path | None,
    file(
        "VERSION.json",
        "How: a post-processing for each output of the spec. With --detections it may be left out.",
        "--version",
    ),
]
DetectionsOrNone = Annotated[
    Path | None,
    typer.Option(
        "--detections",
        metavar="FILE|DIR",
        exists=True,
        help="Detections instead of a network and images, of postproc run or of any other tool: COCO results "
        "(as ultralytics' save_json writes them), Parquet or JSON lines of run, YOLO text with confidences, "
        "Pascal VOC's XML with scores. Told apart by content.",
    ),
]
Model = Annotated[Path | None, file("MODEL.onnx", "The network; left out with --tensors or --detections.")]
Images = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="DIR|IMAGE",
        exists=True,
        help="Folder of the images: all that the ground truth names count. Or files: only they do.",
    ),
]
Tensors = Annotated[
    list[str] | None,
    typer.Option(
        "--tensors",
        metavar="PATH|URL",
        help="Saved tensors instead of a network and images: files or folders as dump writes them, also in a "
        "store such as s3://bucket/tensors, or .npz files; may be given several times. All images of the "
        "ground truth count.",
    ),
]
PreprocessingFile = Annotated[
    Path | None,
    file("FILE.json", "How images become the network's inputs; as for run.", "--preprocessing"),
]
BatchSize = Annotated[int, typer.Option(min=1, help="Images that the network runs on at once.")]
IntraOpThreads = Annotated[
    int | None,
    typer.Option(min=1, help="Threads of ONNX Runtime that share an operator; by default one a core."),
]
JaccardIndex = Annotated[
    float, typer.Option(min=0.01, max=1, help="Jaccard index from which on a box counts as right.")
]


class Measured(str, Enum):
    """What is measured, by the names of `postproc.evaluation.measures`."""

    BOXES = "boxes"
    MASKS = "masks"
    KEYPOINTS = "keypoints"
    ORIENTED = "oriented boxes"


CategoriesOption = Annotated[
    Categories, typer.Option(help="What categories of the ground truth are told by.")
]
TruthFormat = Annotated[
    str | None,
    typer.Option(
        "--truth-format",
        metavar="KIND",
        help="What kind the ground truth is, where its content may be of several: coco, lvis, csv, yolo, "
        "voc, open-images, datasets, dota, coco-results, run-jsonl or run-parquet.",
    ),
]
Split = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help="Which part of a ground truth that has several; by default validation."
    ),
]
SkipUnknown = Annotated[
    bool, typer.Option("--skip-unknown", help="Leave out objects of categories that are no labels.")
]


def check_source(
    model: Path | None,
    images: object,
    tensors: object,
    preprocessing: Path | None,
    detections: Path | None,
    documents: tuple[Path | None, Path | None],
) -> None:
    """See that there is one of a network and images, saved tensors, and detections; and a spec and a version.

    Raises
    ------
    typer.BadParameter
        If there are several or none, or documents are missing.
    """
    for name, given in (("--tensors", tensors), ("--detections", detections)):
        if given and (model is not None or images or preprocessing is not None):
            raise typer.BadParameter(
                "runs no network: leave MODEL.onnx, its images and --preprocessing out", param_hint=name
            )
    if tensors and detections:
        raise typer.BadParameter("give one of the two", param_hint="--tensors and --detections")
    if not tensors and not detections and (model is None or not images):
        raise typer.BadParameter(
            "give a network and images, or --tensors, or --detections", param_hint="MODEL.onnx"
        )
    spec, version = documents
    if version is not None and spec is None:
        raise typer.BadParameter(
            "its thresholds are of the labels of a --spec: give it too", param_hint="--version"
        )
    if version is None and not detections:
        raise typer.BadParameter(
            "tensors become detections by a --spec and a --version: give both", param_hint="--version"
        )


def folder_of(images: list[Path]) -> Path | None:
    """Folder of the images, in which sizes are looked up that a ground truth needs; None for files."""
    return next((path for path in images if path.is_dir()), None)


def input_size(text: str | None) -> tuple[int, int] | None:
    """Read ``WIDTHxHEIGHT`` of ``--size``, or one number for both, as height and width.

    Raises
    ------
    typer.BadParameter
        If it is neither.
    """
    if text is None:
        return None
    sides = text.split("x")
    are_numbers = all(side.isdecimal() and len(side) < 10 for side in sides)
    size = (int(sides[-1]), int(sides[0])) if are_numbers else (0, 0)
    if len(sides) > 2 or min(size) < 1:
        raise typer.BadParameter(f'expected "640x480" or "640", got {text!r}', param_hint="--size")
    return size
