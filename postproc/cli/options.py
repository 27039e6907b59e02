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
Model = Annotated[Path | None, file("MODEL.onnx", "The network; left out with --tensors.")]
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
CategoriesOption = Annotated[
    Categories, typer.Option(help="What categories of the ground truth are told by.")
]
SkipUnknown = Annotated[
    bool, typer.Option("--skip-unknown", help="Leave out objects of categories that are no labels.")
]


def check_source(model: Path | None, images: object, tensors: object, preprocessing: Path | None) -> None:
    """See that there are a network and images, or else saved tensors.

    Raises
    ------
    typer.BadParameter
        If there are both, or neither.
    """
    if tensors and (model is not None or images or preprocessing is not None):
        raise typer.BadParameter(
            "runs no network: leave MODEL.onnx, its images and --preprocessing out", param_hint="--tensors"
        )
    if not tensors and (model is None or not images):
        raise typer.BadParameter("give a network and images, or --tensors", param_hint="MODEL.onnx")


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
