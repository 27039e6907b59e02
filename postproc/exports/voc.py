"""Pascal VOC: one XML file an image.

Coordinates are whole pixels counted from 1, and the last one is inside, as VOC's development kit counts them
("the top-left pixel in the image has coordinates (1, 1)", and ``xmax - xmin + 1`` is the width in its
evaluation, VOCevaldet.m). So a box that covers the image is 1, 1, width, height.
Detectron2 and supervision read them likewise: they take 1 off xmin and ymin, and leave xmax and ymax.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

from postproc.errors import ExportError
from postproc.exports.formats import EXPORT_FORMATS
from postproc.exports.writer import FolderWriter, ImageName, boxes_of
from postproc.results import Detections, Recognitions
from postproc.results.arguments import SizeLike
from postproc.schema import RecognitionSpec

# What XML 1.0 cannot hold, not even escaped.
_IMPOSSIBLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "\t": "&#9;", "\n": "&#10;", "\r": "&#13;"}


def to_voc(detections: Detections, image: str, size: SizeLike, *, discarded: bool = False) -> str:
    """Write the detections of one image as Pascal VOC's XML.

    Parameters
    ----------
    detections : Detections
        Of one image.
    image : str
        Its path: ``folder`` and ``filename`` are the last two parts.
    size : (height, width)
        In pixels.
    discarded : bool
        Whether discarded candidates are written too, as ``difficult``, which VOC's evaluation leaves out.

    Returns
    -------
    str
        Boxes are rounded to whole pixels, at least one wide and high. ``score`` is an addition to VOC's
        fields. Nothing is known of ``truncated`` and ``pose``. Characters that XML cannot hold are replaced
        by U+FFFD.

    Raises
    ------
    ExportError
        If these are the boxes of several images.
    """
    if len(detections) != 1:
        raise ExportError(f"to_voc takes one image, as of detections[i]; these are {len(detections)}")
    height, width = (int(side) for side in size)
    found = detections if discarded else detections[detections.predicted]
    path = PurePosixPath(image.replace("\\", "/"))
    lines = [
        "<annotation>",
        f"  <folder>{xml_text(path.parent.name)}</folder>",
        f"  <filename>{xml_text(path.name)}</filename>",
        f"  <size><width>{width}</width><height>{height}</height><depth>3</depth></size>",
        "  <segmented>0</segmented>",
    ]
    columns = (found.label_names, found.scores.tolist(), found.predicted.tolist())
    boxes = _voc_pixels(found.to_pixels((height, width)), height, width).tolist()
    for box, name, score, predicted in zip(boxes, *columns, strict=True):
        lines += [
            "  <object>",
            f"    <name>{xml_text(name)}</name>",
            "    <pose>Unspecified</pose>",
            "    <truncated>0</truncated>",
            f"    <difficult>{0 if predicted else 1}</difficult>",
            f"    <score>{score:.9g}</score>",
            "    <bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox>".format(*box),
            "  </object>",
        ]
    return "\n".join([*lines, "</annotation>", ""])


def xml_text(text: str) -> str:
    """Escape text, so that a parser gives it back; U+FFFD stands for what XML cannot hold."""
    return "".join(_ESCAPES.get(letter, letter) for letter in _IMPOSSIBLE.sub("\ufffd", text))


def check_names(labels: list[str]) -> None:
    """Raise `ExportError` if labels could not be told apart by their names in XML."""
    written: dict[str, str] = {}
    for label in labels:
        name = _IMPOSSIBLE.sub("\ufffd", label)
        if name in written:
            raise ExportError(
                f"labels {written[name]!r} and {label!r} are both {name!r} in XML, where a label is told by "
                "its name; rename one in the spec"
            )
        written[name] = label


def _voc_pixels(boxes: NDArray[np.float32], height: int, width: int) -> NDArray[np.int64]:
    """First and last pixel, counted from 1, of boxes whose corners are in pixels, (K, 4)."""
    edges = np.rint(boxes.astype(np.float64)).astype(np.int64)
    last = np.array([width, height])
    first = np.clip(edges[:, :2] + 1, 1, last)
    return np.hstack([first, np.clip(np.maximum(edges[:, 2:], first), 1, last)])


class VocWriter(FolderWriter):
    """Writes an XML file an image into a new folder, with the fields of `to_voc`.

    Parameters
    ----------
    path : path
        The folder, which may not hold anything yet.
    spec : RecognitionSpec
    discarded : bool
        Whether discarded candidates are written too, as ``difficult``.
    output : int, optional
        Which output, where several have boxes.

    Raises
    ------
    ExportError
        If the folder holds files, or two labels would have the same name, by which alone VOC tells them.
    """

    needs_sizes = True
    suffix = EXPORT_FORMATS["voc"].suffix

    def __init__(
        self, path: ImageName, spec: RecognitionSpec, *, discarded: bool = False, output: int | None = None
    ) -> None:
        super().__init__(path, spec, output)
        self.discarded = discarded
        check_names([label.name for label in spec.outputs[self.output].labels.labels])

    def _add(self, images: list[str], sizes: NDArray[np.int64] | None, recognitions: Recognitions) -> None:
        assert sizes is not None  # which needs_sizes asks for
        found = boxes_of(recognitions, self.output)
        for row, image in enumerate(images):
            document = to_voc(found[row], image, sizes[row].tolist(), discarded=self.discarded)
            (self._folder / self._names.claim(image)).write_text(document, "utf-8", newline="\n")
