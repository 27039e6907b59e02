"""Results in the forms of other tools: COCO, Arrow, Pascal VOC, YOLO.

`open_writer` writes a stream of results to a file or folder. In memory: `Recognitions.to_arrow`,
`Detections.to_coco`, `Detections.to_supervision`, `voc.to_voc` and `yolo.to_yolo`.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from postproc.errors import ExportError
from postproc.exports.formats import EXPORT_FORMATS

if TYPE_CHECKING:
    from postproc.exports.writer import ResultWriter
    from postproc.schema import RecognitionSpec

__all__ = ["FORMATS", "open_writer"]

FORMATS = tuple(EXPORT_FORMATS)


def open_writer(
    format: str, path: str | os.PathLike[str], spec: RecognitionSpec, **options: Any
) -> ResultWriter:
    """Make the writer of a format: a context manager, whose `write` takes batch after batch.

    Parameters
    ----------
    format : str
        One of `FORMATS`.
    path : path
        The file that is written, or a new folder if the format is one. It appears when all is written.
    spec : RecognitionSpec
        What the results are of.
    **options
        Those that `formats.EXPORT_FORMATS` lists for it: ``image_ids`` (COCO's), ``discarded`` (to have them
        too), ``scores`` (on each line) or ``output`` (which, where several outputs have boxes).

    Raises
    ------
    ExportError
        If the format is unknown, or the spec has no output that fits it.

    Examples
    --------
    >>> with open_writer("yolo", "found", post.spec) as writer:  # doctest: +SKIP
    ...     for names, tensors in batches:
    ...         writer.write(names, None, post(tensors))
    """
    if format not in EXPORT_FORMATS:
        raise ExportError(f"format: expected one of {', '.join(FORMATS)}; got {format!r}")
    return EXPORT_FORMATS[format].load_writer()(path, spec, **options)
