"""Where ``postproc run`` writes results: lines of JSON on stdout, or a file or folder of a format."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import Enum
from typing import Any, Protocol

import typer

from postproc.cli.places import Place, check_new_file, check_new_folder, writing
from postproc.exports import open_writer
from postproc.exports.formats import EXPORT_FORMATS, formats_with
from postproc.exports.json_lines import json_line
from postproc.results import Recognitions
from postproc.schema import RecognitionSpec


class Format(str, Enum):
    """The names of `EXPORT_FORMATS`."""

    _ignore_ = ["members", "member"]  # noqa: RUF012 - as enum asks for it
    members = vars()
    for member in EXPORT_FORMATS:
        members[member.upper()] = member


STDOUT_FORMAT = Format("jsonl")
"""The only one that stdout takes."""


class Sink(Protocol):
    """Takes results, batch after batch."""

    def write(self, images: Sequence[str], sizes: Any, recognitions: Recognitions) -> None:
        """Write the results of a batch; `sizes` is None where they are not known."""
        ...


class _Lines:
    def write(self, images: Sequence[str], sizes: Any, recognitions: Recognitions) -> None:
        for image, document in zip(images, recognitions.to_dicts(), strict=True):
            typer.echo(json_line(image, document), nl=False)


_REFUSALS = {  # of each option of writers: that of the command, and why a format does not take it
    "discarded": ("--show-discarded", "{format} has no discarded ones"),
    "scores": ("--scores", "only for --format {others}; the others have them"),
    "image_ids": ("--image-ids", "only for --format {others}"),
    "output": ("--output-index", "{format} holds all outputs"),
}


def export_options(format: Format, **given: Any) -> dict[str, Any]:
    """Give the options of a format's writer, from those of the command; None or false where not given.

    Raises
    ------
    typer.BadParameter
        If one has no use there.
    """
    described = EXPORT_FORMATS[format.value]
    options = {
        name: value
        for name, value in given.items()
        if value is not None and value is not False and name not in described.always
    }
    for name in options:
        if name not in described.options:
            option, reason = _REFUSALS[name]
            text = reason.format(format=format.value, others=formats_with(name))
            raise typer.BadParameter(text, param_hint=option)
    if "image_ids" in options:
        from postproc.exports.coco import read_image_ids

        options["image_ids"] = read_image_ids(options["image_ids"])
    return options


@contextmanager
def open_sink(
    format: Format,
    path: Place | None,
    spec: RecognitionSpec,
    images: Sequence[Place],
    options: dict[str, Any],
) -> Iterator[Sink]:
    """Open where results go; what is wrong with the names of `images` is told before any work."""
    if path is None:
        if format is not STDOUT_FORMAT:
            raise typer.BadParameter(f"{format.value} is not for stdout; say where", param_hint="--output")
        yield _Lines()
        return
    names = []
    if images:
        from postproc.images.batches import image_name

        names = [image_name(image) for image in images]
    if EXPORT_FORMATS[format.value].is_folder:
        check_new_folder(path)
    else:
        check_new_file(path)
    with writing(path) as local:
        writer = open_writer(format.value, local, spec, **options)
        writer.check(names)
        with writer:
            yield writer
