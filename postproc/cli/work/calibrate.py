"""What ``postproc calibrate`` reads and writes besides the call: its grid, images, and the version."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from postproc.cli.places import Place, write_text
from postproc.cli.terminal import Progress
from postproc.errors import SchemaError

if TYPE_CHECKING:
    from postproc.evaluation import CalibratedVersion, GroundTruth
    from postproc.spreading.cluster import RayCluster


def read_grid(text: str | None) -> tuple[float, ...]:
    """Read numbers that are separated by commas.

    Raises
    ------
    SchemaError
        If they are no numbers.
    """
    try:
        return tuple(float(part) for part in text.split(",")) if text is not None else ()
    except ValueError:
        raise SchemaError(f'--nms-grid: expected numbers such as "0.3,0.45,0.6", got {text!r}') from None


def check_only_if_better(wanted: bool, version: Path | None, folds: int) -> None:
    """See that there is something that new thresholds can be better than, and that it will be known.

    Raises
    ------
    typer.BadParameter
        If not.
    """
    if wanted and version is None:
        raise typer.BadParameter(
            "is in relation to the thresholds of a version: give --version too", param_hint="--only-if-better"
        )
    if wanted and not folds:
        raise typer.BadParameter(
            "is told by cross-validation: --folds 0 has none", param_hint="--only-if-better"
        )


def check_target(path: Place, force: bool) -> None:
    """See that nothing is overwritten unasked.

    Raises
    ------
    SchemaError
        If the file is there, unless `force`.
    """
    if not force and path.exists():
        raise SchemaError(f"{path}: is there already; give another name, or --force to replace it")


def write_version(path: Place, document: dict[str, Any]) -> None:
    """Write a version, whole or not at all."""
    write_text(path, json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def through_network(
    choose: Callable[..., CalibratedVersion],
    model: Path,
    images: list[Path],
    truth: GroundTruth,
    preprocessing: Path | None,
    batch_size: int,
    cluster: RayCluster | None,
) -> tuple[CalibratedVersion, int]:
    """Choose thresholds from images that a network runs on; also gives how many could not be read."""
    from postproc.evaluation import ImagesThroughNetwork
    from postproc.evaluation.image_files import find_images

    files = find_images(images, truth)
    with Progress(len(files.paths), shares_terminal=False) as progress:
        network = ImagesThroughNetwork(
            model,
            files,
            preprocessing,
            batch_size,
            on_unreadable=lambda path, error: progress.fail(error),
            ray=cluster,
        )
        return choose(network, on_images=progress.advance), progress.failures


def told(path: Place, version: Place | None, not_better: str | None) -> str:
    """Say what was written, and what it is for."""
    if not_better is not None:
        return f"nothing is written, since the new thresholds are not shown to be better: {not_better}"
    if version is not None:
        return f"the version with new thresholds: {path}"
    return (
        f"the threshold of each label: {path}. A detection counts that scores above the threshold of its "
        "label; run detectors with the lowest of them (ultralytics: conf=...) and drop the others. In a "
        "version of postproc they are the thresholds of the output, in this order; null: none was chosen"
    )
