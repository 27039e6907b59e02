"""COCO results: one JSON list of detections."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from postproc.errors import ExportError
from postproc.exports.writer import ImageName, ResultWriter, boxes_of, boxes_output
from postproc.results import Recognitions
from postproc.schema import RecognitionSpec


class CocoWriter(ResultWriter):
    """Writes predicted detections as COCO results, which ``COCO.loadRes`` of pycocotools reads.

    Each is what `Detections.to_coco` of its kind gives: boxes, with keypoints, corners or masks where there
    are any. Category ids are the label ids of the spec. COCO knows no discarded detections.

    Parameters
    ----------
    path : path
        The JSON file.
    spec : RecognitionSpec
    image_ids : mapping of str to int, optional
        COCO's id of each image, by file name: its whole path, or its name alone. Without it the names are
        the ids, as those of COCO's own images are: ``000000000139.jpg`` is image 139.
    output : int, optional
        Which output, where several have boxes.
    """

    needs_sizes = True

    def __init__(
        self,
        path: ImageName,
        spec: RecognitionSpec,
        *,
        image_ids: Mapping[str, int] | None = None,
        output: int | None = None,
    ) -> None:
        super().__init__(path, spec)
        self.output = boxes_output(spec, output)
        self._ids = image_ids
        self._owners: dict[int, str] = {}
        self._file: TextIO | None = None
        self._is_first = True

    def _begin(self, partial: Path) -> None:
        self._owners, self._is_first = {}, True
        self._file = partial.open("w", encoding="utf-8")
        self._file.write("[")

    def _end(self) -> None:
        self._write("\n]\n")
        self._abandon()

    def _abandon(self) -> None:
        if self._file is not None:
            self._file.close()

    def check(self, images: Sequence[ImageName]) -> None:
        """Find images without an id of their own, before any image is recognised."""
        owners: dict[int, str] = {}
        for image in images:
            self._id_of(os.fspath(image), owners)

    def _add(self, images: list[str], sizes: NDArray[np.int64] | None, recognitions: Recognitions) -> None:
        assert sizes is not None  # which needs_sizes asks for
        ids = [self._id_of(image, self._owners) for image in images]
        for result in boxes_of(recognitions, self.output).to_coco(ids, sizes):
            self._write(("\n" if self._is_first else ",\n") + json.dumps(result))
            self._is_first = False

    def _write(self, text: str) -> None:
        assert self._file is not None
        self._file.write(text)

    def _id_of(self, image: str, owners: dict[int, str]) -> int:
        path = PurePosixPath(image.replace("\\", "/"))
        found: int | None
        if self._ids is not None:
            found = self._ids.get(image, self._ids.get(path.name))
            if found is None:
                raise ExportError(
                    f"image {image!r}: no image id is given for it; image_ids (--image-ids) must list the "
                    "file name of every image"
                )
        elif path.stem.isascii() and path.stem.isdecimal():
            found = int(path.stem)
        else:
            raise ExportError(
                f"image {image!r}: COCO knows images by ids, and this name is no number; give image_ids "
                "(--image-ids COCO.json, a file that lists the images)"
            )
        owner = owners.setdefault(found, image)
        if owner != image:
            advice = "; give image_ids (--image-ids COCO.json)" if self._ids is None else ""
            raise ExportError(f"images {owner!r} and {image!r} have the same image id, {found}{advice}")
        return found


def read_image_ids(path: ImageName) -> dict[str, int]:
    """Read the ids of the images that a COCO file lists, by file name.

    Raises
    ------
    ExportError
        If it is no such file, or two images share a name.
    """
    try:
        document: Any = json.loads(Path(path).read_bytes())
        pairs = [(image["file_name"], image["id"]) for image in document["images"]]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ExportError(
            f'{path}: expected COCO JSON with "images": [{{"id": 1, "file_name": "a.jpg"}}, ...]; {error!r}'
        ) from None
    ids: dict[str, int] = {}
    for row, (name, number) in enumerate(pairs):
        if not isinstance(name, str) or not isinstance(number, int) or isinstance(number, bool):
            raise ExportError(
                f"{path}: images[{row}]: expected a file_name and a whole id; {name!r}, {number!r}"
            )
        if ids.setdefault(name, number) != number:
            raise ExportError(f"{path}: images[{row}]: {name!r} has two ids, {ids[name]} and {number}")
    return ids
