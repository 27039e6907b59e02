"""YOLO text: one file an image, one line an object, as ultralytics' label format has them.

Coordinates are relative to the image, 0 to 1. A line is the label's row in the spec and

- ``cx cy w h`` for boxes,
- ``cx cy w h x y v x y v ...`` for boxes with keypoints, or ``x y x y ...`` where points have no score; v is
  the point's score, as ultralytics' ``save_txt`` writes it,
- ``x y x y x y x y``, the corners, for turned boxes,
- ``x y x y ...``, the outline, for masks: further rings of a mask are joined to its first by a line to and
  fro, which has no area; an empty mask is written as its box,

and then the score, if it is asked for. Points outside of the image are moved to its edge, since the format
has no others.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from postproc.errors import ExportError
from postproc.exports.formats import EXPORT_FORMATS
from postproc.exports.writer import FolderWriter, ImageName, boxes_of
from postproc.results import Detections, Recognitions
from postproc.results.keypoints import KeypointDetections
from postproc.results.masked import MaskedDetections
from postproc.results.oriented import OrientedDetections
from postproc.schema import RecognitionSpec


def to_yolo(detections: Detections, *, scores: bool = False) -> str:
    """Write the predicted detections of one image as YOLO text, which the top of this module describes.

    Parameters
    ----------
    detections : Detections
        Of one image.
    scores : bool
        Whether a line ends with the score. Labels to train with have none.

    Returns
    -------
    str
        A line a detection; numbers have nine digits, which tell any two float32 apart.

    Raises
    ------
    ExportError
        If these are the boxes of several images.
    """
    if len(detections) != 1:
        raise ExportError(f"to_yolo takes one image, as of detections[i]; these are {len(detections)}")
    found = detections[detections.predicted]
    lines = []
    for label, score, numbers in zip(
        found.labels.tolist(), found.scores.tolist(), _coordinates(found), strict=True
    ):
        values = [*numbers.reshape(-1).tolist(), score] if scores else numbers.reshape(-1).tolist()
        lines.append(" ".join([str(label), *(f"{value:.9g}" for value in values)]) + "\n")
    return "".join(lines)


def _coordinates(found: Detections) -> Iterator[NDArray[np.float64]]:
    """Give the numbers of each line."""
    corners = found.boxes.astype(np.float64)
    boxes = np.hstack([(corners[:, :2] + corners[:, 2:]) / 2, corners[:, 2:] - corners[:, :2]])
    if isinstance(found, KeypointDetections):
        points = found.keypoints.astype(np.float64)
        points[:, :, :2] = points[:, :, :2].clip(0, 1)
        yield from np.hstack([boxes, points.reshape(len(points), points.shape[1] * points.shape[2])])
    elif isinstance(found, OrientedDetections):
        yield from found.polygons.astype(np.float64).clip(0, 1)
    elif isinstance(found, MaskedDetections):
        for rings, (xmin, ymin, xmax, ymax) in zip(found.mask_polygons(), corners, strict=True):
            box = np.array([[xmin, ymin], [xmax, ymin], [xmax, ymax], [xmin, ymax]])
            yield one_ring([ring.astype(np.float64) for ring in rings]) if rings else box
    else:
        yield from boxes


def one_ring(rings: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Join rings at their nearest corners: filled by the even-odd rule, the result is what they all were."""
    joined = rings[0]
    for ring in rings[1:]:
        nearest = [((joined - corner) ** 2).sum(axis=1) for corner in ring]
        start = int(np.argmin([distances.min() for distances in nearest]))
        at = int(np.argmin(nearest[start]))
        there_and_back = np.vstack([np.roll(ring, -start, axis=0), ring[start], joined[at]])
        joined = np.vstack([joined[: at + 1], there_and_back, joined[at + 1 :]])
    return joined


class YoloWriter(FolderWriter):
    """Writes YOLO text into a new folder: ``labels/NAME.txt`` an image, ``classes.txt`` and ``data.yaml``.

    An image in which nothing was found has an empty file.

    Parameters
    ----------
    path : path
        The folder, which may not hold anything yet.
    spec : RecognitionSpec
    scores : bool
        Whether a line ends with the score.
    output : int, optional
        Which output, where several have boxes.

    Raises
    ------
    ExportError
        If the folder holds files.
    """

    suffix = EXPORT_FORMATS["yolo"].suffix

    def __init__(
        self, path: ImageName, spec: RecognitionSpec, *, scores: bool = False, output: int | None = None
    ) -> None:
        super().__init__(path, spec, output)
        self.scores = scores

    def _begin(self, partial: Path) -> None:
        super()._begin(partial)
        self._keypoints: tuple[int, int] | None = None
        (partial / "labels").mkdir()

    def _add(self, images: list[str], sizes: NDArray[np.int64] | None, recognitions: Recognitions) -> None:
        found = boxes_of(recognitions, self.output)
        if isinstance(found, KeypointDetections):
            self._keypoints = (found.keypoints.shape[1], found.keypoints.shape[2])
        for row, image in enumerate(images):
            path = self._folder / "labels" / self._names.claim(image)
            path.write_text(to_yolo(found[row], scores=self.scores), "ascii", newline="\n")

    def _end(self) -> None:
        names = [label.name for label in self.spec.outputs[self.output].labels.labels]
        lines = [" ".join(name.split()) for name in names]
        text = "".join(f"{line}\n" for line in lines)
        (self._folder / "classes.txt").write_text(text, "utf-8", errors="replace", newline="\n")
        yaml = [
            f"nc: {len(names)}",
            "names:",
            *(f"  {row}: {yaml_text(name)}" for row, name in enumerate(names)),
        ]
        if self._keypoints is not None:
            yaml.append("kpt_shape: [{}, {}]".format(*self._keypoints))
        (self._folder / "data.yaml").write_text("\n".join([*yaml, ""]), "utf-8", newline="\n")


def yaml_text(text: str) -> str:
    """Quote text for YAML, which reads it back whatever it holds."""
    return '"' + "".join(map(_yaml_letter, text)) + '"'


def _yaml_letter(letter: str) -> str:
    code = ord(letter)
    if letter in '"\\':
        return "\\" + letter
    if 0x20 <= code < 0x7F or (0xA0 <= code < 0x2028) or (0x2030 <= code < 0xD800):
        return letter
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
