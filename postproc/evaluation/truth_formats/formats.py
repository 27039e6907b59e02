"""The kinds of ground truth that are read.

To add one: a module with a `TruthFormat` named ``FORMAT``, and its entry in `FORMATS`, which recognition, the
command's option and messages read.
"""

from __future__ import annotations

from postproc.errors import SchemaError
from postproc.evaluation.truth_formats import (
    coco,
    coco_results,
    csv_labels,
    datasets_parquet,
    dota,
    lvis,
    open_images,
    run_lines,
    run_parquet,
    voc,
    yolo,
)
from postproc.evaluation.truth_formats.source import TruthSource
from postproc.evaluation.truth_formats.truth_file import TruthFile
from postproc.evaluation.truth_formats.truth_format import TruthFormat
from postproc.evaluation.truth_formats.wrong_kinds import EXPECTED, kind_of_bytes, kind_of_json

FORMATS: dict[str, TruthFormat] = {
    module.FORMAT.name: module.FORMAT
    for module in (
        coco,
        lvis,
        csv_labels,
        yolo,
        voc,
        open_images,
        datasets_parquet,
        dota,
        coco_results,
        run_lines,
        run_parquet,
    )
}
"""By name."""


def read_truth(source: TruthSource, format: str | None = None) -> TruthFile:
    """Read a ground truth of any kind.

    Parameters
    ----------
    source : TruthSource
    format : str, optional
        A name of `FORMATS`; recognised from the content by default.

    Raises
    ------
    SchemaError
        If its kind is not known, or may be one of several; if it is broken; if it has no splits and one is
        asked for.
    """
    if format is not None and format not in FORMATS:
        raise SchemaError(f"format: expected one of {', '.join(FORMATS)}; got {format!r}")
    chosen = _recognised(source) if format is None else FORMATS[format]
    if source.split is not None and not chosen.has_splits:
        raise SchemaError(
            f"{source.name}: a split {source.split!r} is asked for, and {chosen.summary} has none; leave the "
            "split (--split) out"
        )
    if source.is_folder and not chosen.takes_folders:
        raise SchemaError(f"{source.name}: {chosen.summary} is a file, and this is a folder; give the file")
    return chosen.read(source)


def _recognised(source: TruthSource) -> TruthFormat:
    found = [format for format in FORMATS.values() if format.looks_like(source)]
    if len(found) == 1:
        return found[0]
    if found:
        names = " or ".join(f"{format.name} ({format.summary})" for format in found)
        raise SchemaError(
            f"{source.name}: may be {names}: say which with format (--truth-format), or give the folder or "
            "file of one"
        )
    if source.is_folder:
        raise SchemaError(f"{source.name}: {EXPECTED}; found {_told_of_folder(source)}")
    kind = kind_of_json(source.document) if source.is_json else kind_of_bytes(source.head)
    raise SchemaError(f"{source.name}: {EXPECTED}; found {kind or 'a file of another kind'}")


def _told_of_folder(source: TruthSource) -> str:
    """Say what lies in a folder that is no ground truth, and what to give instead."""
    documents = source.files.get(".json", [])
    if documents:
        sample = TruthSource(documents[0])
        if sample.is_json and len(sample.head) < 65_536:
            try:
                kind = kind_of_json(sample.document)
            except SchemaError:
                kind = ""
            if kind and not kind.startswith(("an object with", "a list of")):
                return f"{len(documents)} JSON files, the first of which is {kind}"
        return f"{len(documents)} JSON files, such as {source.inside(documents[0])}: give one of them"
    tables = source.files.get(".csv", [])
    if tables:
        return f"{len(tables)} CSV files, such as {source.inside(tables[0])}: give one of them"
    for suffix in (".txt", ".xml"):
        for head in source.samples(suffix):
            if found := kind_of_bytes(head):
                return f"a folder of {suffix} files, one of which is {found}"
    if not source.files:
        return "a folder without files"
    counts = sorted(((len(paths), suffix) for suffix, paths in source.files.items()), reverse=True)
    listed = ", ".join(f"{count} {suffix or 'without ending'}" for count, suffix in counts[:4])
    return f"a folder of files of other kinds: {listed}"
