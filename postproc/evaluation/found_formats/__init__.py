"""Detections of anybody: the formats that they are read in.

To add one: a module with `recognises`, and `read`, which gives a `FoundFile`; its entry in `FOUND_FORMATS`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from postproc.errors import SchemaError
from postproc.evaluation.found_formats import coco_results, json_lines, parquet, voc, yolo_text
from postproc.evaluation.found_formats.found_file import FoundFile, Given
from postproc.file_kinds import mistaken_for
from postproc.schema.problems import describe

_HEAD = 1 << 16


@dataclass(frozen=True, slots=True)
class FoundFormat:
    """A format of detections.

    Parameters
    ----------
    name : str
    recognises : function
        Whether what is given is of this format, by its content.
    read : function
        Reads it.
    has_outputs : bool
        Whether `read` takes which output of a spec.
    """

    name: str
    recognises: Callable[[Given], bool]
    read: Callable[..., FoundFile]
    has_outputs: bool = False


FOUND_FORMATS = (
    FoundFormat("COCO results", coco_results.recognises, coco_results.read),
    FoundFormat("JSON lines of postproc run", json_lines.recognises, json_lines.read, has_outputs=True),
    FoundFormat("Parquet of postproc run", parquet.recognises, parquet.read, has_outputs=True),
    FoundFormat("Pascal VOC's XML with scores", voc.recognises, voc.read),
    FoundFormat("YOLO text with confidences", yolo_text.recognises, yolo_text.read),
)

_EXPECTED = f"expected detections: {', '.join(format.name for format in FOUND_FORMATS)}"


def read_found(
    source: str | os.PathLike[str] | Sequence[Any], output: int = 0, *, has_spec: bool = False
) -> FoundFile:
    """Read detections; what format they have is told by their content.

    Parameters
    ----------
    source : path, or list of dict
        A file, a folder, or COCO results.
    output : int
        Which output of the spec, where the file holds several.
    has_spec : bool
        Whether a spec says what the outputs are, one of which a file of a single one may be of.

    Raises
    ------
    SchemaError
        If it is something else, says what; if entries are broken, names the first by their places;
        if an output besides the first is asked of a file of one, and no spec has it.
    ImportError
        If the format needs an extra that is missing.
    """
    given = _given(source)
    fitting = [format for format in FOUND_FORMATS if format.recognises(given)]
    if len(fitting) > 1:
        told = " and ".join(format.name for format in fitting)
        raise SchemaError(f"{given.source}: may be {told}; give the folder of one of them")
    if not fitting:
        raise SchemaError(f"{given.source}: {_EXPECTED}; found {_kind_of(given)}")
    (format,) = fitting
    if format.has_outputs:
        return format.read(given, output)
    if output and not has_spec:
        raise SchemaError(
            f"output: {format.name} are of one output, and {output} is asked for ({given.source}): leave "
            "output (--output-index) out, or give the spec that has it"
        )
    return format.read(given)


def _given(source: str | os.PathLike[str] | Sequence[Any]) -> Given:
    if isinstance(source, (list, tuple)):
        return Given("the detections", results=list(source))
    if not isinstance(source, (str, os.PathLike)):
        keys = f" with {describe(sorted(map(str, source)))}" if isinstance(source, dict) else ""
        raise SchemaError(
            "detections: expected a path, a list of COCO results, or a source such as SavedTensors; got "
            f"{type(source).__name__}{keys}"
        )
    path = Path(source)
    try:
        if path.is_dir():
            suffixes = frozenset(
                Path(name).suffix.lower()
                for _, _, names in os.walk(path)
                for name in names
                if name.lower() not in yolo_text.NO_LABELS
            )
            return Given(str(path), path, suffixes=suffixes)
        with path.open("rb") as file:
            return Given(str(path), path, file.read(_HEAD))
    except (OSError, ValueError) as error:
        raise SchemaError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None


def _kind_of(given: Given) -> str:
    """Tell what was given in place of detections, and what to do."""
    if not given.head:
        if given.path is not None and given.path.is_dir():
            kinds = ", ".join(sorted(filter(None, given.suffixes))[:6])
            tensors = "; saved tensors go to --tensors (SavedTensors)" if ".parquet" in given.suffixes else ""
            return f"a folder of {kinds or 'no files'}{tensors}"
        return "an empty file"
    if given.head.startswith((b"PK\x03\x04", b"\x93NUMPY")):
        return "arrays of NumPy or a ZIP archive; saved tensors go to --tensors (SavedTensors)"
    if given.head.startswith((b"\x89PNG", b"\xff\xd8\xff")):
        return "an image"
    if kind := mistaken_for(given.head):
        return kind
    if given.head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{"):
        return _kind_of_object(given)
    return f"a file that begins with {describe(given.head[:40].decode('utf-8', 'replace'))}"


def _kind_of_object(given: Given) -> str:
    try:
        document = json.loads(given.text())
    except (ValueError, RecursionError) as error:
        return f"what is no whole JSON: {error}"
    if not isinstance(document, dict):
        return describe(document)
    for keys, kind in (
        (
            {"images", "annotations"},
            "COCO's instances, which are what is there: are --detections and --truth swapped?",
        ),
        ({"post_processings"}, "a recognition version, which --version takes"),
        ({"inputs"}, "a preprocessing document"),
        ({"outputs"}, "a recognition spec, which --spec takes"),
        ({"thresholds"}, "thresholds, as calibrate writes them"),
    ):
        if keys <= document.keys():
            return kind
    lists = [key for key, value in document.items() if isinstance(value, list)]
    inner = f"; if {lists[0]!r} holds them, write that list alone" if len(lists) == 1 else ""
    return f"an object with {describe(sorted(map(str, document)))}{inner}"
