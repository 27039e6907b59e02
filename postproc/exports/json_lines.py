"""v0.7's result of each image, a line of JSON each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TextIO

import numpy as np
from numpy.typing import NDArray

from postproc.exports.writer import ResultWriter
from postproc.results import Recognitions


class JsonLinesWriter(ResultWriter):
    """Writes what `Recognitions.to_dicts` gives, with the image's name as ``location``, a line an image."""

    _file: TextIO

    def _begin(self, partial: Path) -> None:
        self._file = partial.open("w", encoding="utf-8")

    def _end(self) -> None:
        self._file.close()

    _abandon = _end

    def _add(self, images: list[str], sizes: NDArray[np.int64] | None, recognitions: Recognitions) -> None:
        for image, document in zip(images, recognitions.to_dicts(), strict=True):
            self._file.write(json_line(image, document))


def json_line(image: str, document: dict[str, object]) -> str:
    """Give the line of an image."""
    return json.dumps({"location": image, **document}) + "\n"
