"""Arguments and options that several commands have."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from postproc.cli.places import copying_parser, parser
from postproc.stores import StoredPath

if TYPE_CHECKING:
    from postproc.spreading.cluster import RayCluster


class Categories(str, Enum):
    """What categories of a ground truth are told by."""

    AUTO = "auto"
    IDS = "ids"
    NAMES = "names"


def file(metavar: str, help: str, *names: str, copied: bool = False) -> Any:
    """Declare an option, or without names an argument, that is a file to read, by path or URL."""
    kind = typer.Option if names else typer.Argument
    return kind(*names, metavar=metavar, help=help, parser=copying_parser() if copied else parser())


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
        parser=copying_parser(folders=True),
        help="Detections instead of a network and images, of postproc run or of any other tool: COCO results "
        "(as ultralytics' save_json writes them), Parquet or JSON lines of run, YOLO text with confidences, "
        "Pascal VOC's XML with scores. Told apart by content.",
    ),
]
ImagesToRead = Annotated[
    list[Path],
    typer.Argument(
        metavar="DIR|IMAGE",
        parser=parser(exists=False, folders=True, of_all=True),
        help="Images, or folders of them.",
    ),
]
Model = Annotated[Path | None, file("MODEL.onnx", "The network; left out with --tensors or --detections.")]
Images = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="DIR|IMAGE",
        parser=parser(folders=True, of_all=True),
        help="Folder of the images: all that the ground truth names count. Or files: only they do.",
    ),
]
Tensors = Annotated[
    list[str] | None,
    typer.Option(
        "--tensors",
        metavar="PATH|URL",
        help="Saved tensors instead of a network and images: files or folders as dump writes them, or .npz "
        "files; may be given several times. All images of the ground truth count.",
    ),
]
Ray = Annotated[
    str | None,
    typer.Option(
        "--ray",
        metavar="ADDRESS",
        help="Spread the work over a Ray cluster, for the same results: auto is the one that this machine is "
        "part of, else HOST:PORT of its head or ray://HOST:10001; local starts one here. Images of this "
        "machine are sent; what has a URL the cluster's machines read themselves. Tensors have to be on a "
        "disk that all share, or in a store.",
    ),
]
RayGpus = Annotated[
    float | None,
    typer.Option(
        "--ray-gpus",
        min=0,
        metavar="NUMBER",
        help="With --ray and a network, GPUs that each worker takes, or the part of one: with 0.5 two share "
        "each, one of which reads images while the other runs. By default none.",
    ),
]
PreprocessingFile = Annotated[
    Path | None,
    file("FILE.json", "How images become the network's inputs; as for run.", "--preprocessing"),
]
BatchSize = Annotated[int, typer.Option(min=1, help="Images that the network runs on at once.")]
IntraOpThreads = Annotated[
    int | None,
    typer.Option(
        min=1, help="Threads of ONNX Runtime that share an operator; by default one a core, with --ray 1."
    ),
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
    """Folder of images, in which sizes are looked up that a ground truth needs; None for files and URLs."""
    return next((path for path in images if not isinstance(path, StoredPath) and path.is_dir()), None)


def cluster_of(ray: str | None, gpus: float | None, runs_network: bool) -> RayCluster | None:
    """Read ``--ray`` and ``--ray-gpus``; None where the work is not spread.

    Raises
    ------
    typer.BadParameter
        If there are GPUs that nothing uses.
    """
    if gpus is not None and (ray is None or not runs_network):
        raise typer.BadParameter("is for a network that --ray runs", param_hint="--ray-gpus")
    if ray is None:
        return None
    from postproc.spreading.cluster import RayCluster

    return RayCluster(ray, gpus or 0.0)


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
