"""Where ``postproc run`` writes results: lines of JSON on stdout, or a file or folder of a format."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Any, Protocol

import typer

from postproc.exports.json_lines import json_line
from postproc.results import Recognitions
from postproc.schema import RecognitionSpec


class Format(str, Enum):
    """Forms of results."""

    JSONL = "jsonl"
    COCO = "coco"
    PARQUET = "parquet"
    VOC = "voc"
    YOLO = "yolo"


class Sink(Protocol):
    """Takes results, batch after batch."""

    def write(self, images: Sequence[str], sizes: Any, recognitions: Recognitions) -> None:
        """Write the results of a batch; `sizes` is None where they are not known."""
        ...


class _Lines:
    def write(self, images: Sequence[str], sizes: Any, recognitions: Recognitions) -> None:
        for image, document in zip(images, recognitions.to_dicts(), strict=True):
            typer.echo(json_line(image, document), nl=False)


def export_options(
    format: Format, show_discarded: bool, scores: bool, image_ids: Path | None, output_index: int | None
) -> dict[str, Any]:
    """Give the options of a format's writer, from those of the command.

    Raises
    ------
    typer.BadParameter
        If one has no use there.
    """
    options: dict[str, Any] = {}
    if show_discarded:
        if format in (Format.COCO, Format.YOLO):
            raise typer.BadParameter(f"{format.value} has no discarded ones", param_hint="--show-discarded")
        if format is not Format.JSONL:
            options["discarded"] = True
    if scores:
        if format is not Format.YOLO:
            raise typer.BadParameter("only for --format yolo; the others have them", param_hint="--scores")
        options["scores"] = True
    if image_ids is not None:
        if format is not Format.COCO:
            raise typer.BadParameter("only for --format coco", param_hint="--image-ids")
        from postproc.exports.coco import read_image_ids

        options["image_ids"] = read_image_ids(image_ids)
    if output_index is not None:
        if format in (Format.JSONL, Format.PARQUET):
            raise typer.BadParameter(f"{format.value} holds all outputs", param_hint="--output-index")
        options["output"] = output_index
    return options


@contextmanager
def open_sink(
    format: Format, path: Path | None, spec: RecognitionSpec, images: Sequence[Path], options: dict[str, Any]
) -> Iterator[Sink]:
    """Open where results go; what is wrong with the names of `images` is told before any work."""
    if path is None:
        if format is not Format.JSONL:
            raise typer.BadParameter(f"{format.value} is not for stdout; say where", param_hint="--output")
        yield _Lines()
        return
    from postproc.exports import open_writer

    writer = open_writer(format.value, path, spec, **options)
    writer.check([str(image) for image in images])
    with writer:
        yield writer
