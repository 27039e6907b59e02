"""The formats that results are written in.

To add one: a module with its `ResultWriter`, its import and its entry here, which `open_writer`, the
command's options and their help read. Writers are loaded when they are asked for, since some need an extra.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    # By name only below: what puts programs together, such as PyInstaller, follows these statements.
    from postproc.exports import coco, json_lines, parquet, voc, yolo  # noqa: F401
    from postproc.exports.writer import ResultWriter


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportFormat:
    """A format that results are written in.

    Parameters
    ----------
    summary : str
        What a file of it holds, for help.
    suffix : str
        What the name of the file ends with, or of each file in the folder.
    writer : str
        Module and class of its `ResultWriter`.
    options : tuple of str
        Options that the writer takes, of ``image_ids``, ``discarded``, ``scores`` and ``output``.
    always : tuple of str
        Options that it needs none of, since it holds what they ask for anyway.
    is_folder : bool
        Whether it is a folder of files, one an image.
    """

    summary: str
    suffix: str
    writer: str
    options: tuple[str, ...] = ()
    always: tuple[str, ...] = ()
    is_folder: bool = False

    def load_writer(self) -> type[ResultWriter]:
        """Import the writer.

        Raises
        ------
        ImportError
            If it needs an extra that is missing.
        """
        module, _, name = self.writer.partition(":")
        writer: type[ResultWriter] = getattr(import_module(module), name)
        return writer


EXPORT_FORMATS = {
    "jsonl": ExportFormat(
        summary="v0.7's JSON, a line an image",
        suffix=".jsonl",
        writer="postproc.exports.json_lines:JsonLinesWriter",
        always=("discarded",),
    ),
    "coco": ExportFormat(
        summary="COCO results",
        suffix=".json",
        writer="postproc.exports.coco:CocoWriter",
        options=("image_ids", "output"),
    ),
    "parquet": ExportFormat(
        summary="a row a detection",
        suffix=".parquet",
        writer="postproc.exports.parquet:ParquetWriter",
        options=("discarded",),
    ),
    "voc": ExportFormat(
        summary="a folder of Pascal VOC's XML, a file an image",
        suffix=".xml",
        writer="postproc.exports.voc:VocWriter",
        options=("discarded", "output"),
        is_folder=True,
    ),
    "yolo": ExportFormat(
        summary="a folder of YOLO's text, a file an image",
        suffix=".txt",
        writer="postproc.exports.yolo:YoloWriter",
        options=("scores", "output"),
        is_folder=True,
    ),
}
"""By name."""


def formats_with(option: str) -> str:
    """Names of the formats that take an option, for texts."""
    return ", ".join(name for name, format in EXPORT_FORMATS.items() if option in format.options)
