"""What the writers of all formats share."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from postproc.disk import whole_file
from postproc.errors import ExportError
from postproc.exports.places import FileNames, check_new, whole_folder
from postproc.results import Detections, Recognitions
from postproc.results.arguments import image_sizes
from postproc.schema import RecognitionSpec

ImageName = str | os.PathLike[str]


class ResultWriter(ABC):
    """Writes results, batch after batch, in bounded memory.

    A context manager: what it writes appears at `path` when its block ends; if that raises, nothing does.

    Parameters
    ----------
    path : path
        File or folder to write.
    spec : RecognitionSpec
        What the results are of.
    """

    needs_sizes = False

    def __init__(self, path: ImageName, spec: RecognitionSpec) -> None:
        self.path = Path(path)
        self.spec = spec
        self._place: AbstractContextManager[Path] | None = None

    def _open_place(self) -> AbstractContextManager[Path]:
        """Give where things are written until they are whole."""
        if self.path.is_dir():
            raise ExportError(f"{self.path}: expected the path of a file to write; this is a folder")
        return whole_file(self.path)

    def _begin(self, partial: Path) -> None:  # noqa: B027 - most have nothing to do
        """Open what is written at a temporary place."""

    def _end(self) -> None:  # noqa: B027
        """Write what comes last, and close."""

    def _abandon(self) -> None:  # noqa: B027
        """Close, since something failed."""

    def check(self, images: Sequence[ImageName]) -> None:  # noqa: B027
        """Find what would stop the writing of these images, before any of them is recognised.

        Raises
        ------
        ExportError
            As `write` would.
        """

    @abstractmethod
    def _add(self, images: list[str], sizes: NDArray[np.int64] | None, recognitions: Recognitions) -> None:
        """Write a batch whose arguments are checked."""

    def write(self, images: Sequence[ImageName], sizes: Any, recognitions: Recognitions) -> None:
        """Write the results of a batch.

        Parameters
        ----------
        images : sequence of str or path
            File name of each image.
        sizes : (2,) or (B, 2) or None
            Height and width in pixels of all images, or of each, where they are known.
        recognitions : Recognitions

        Raises
        ------
        ExportError
            If a name collides with another, or the format needs sizes and there are none.
        TensorError
            If names or sizes do not match the images.
        """
        if self._place is None:
            raise ExportError(
                f"{self.path}: a writer is used as a context manager: with {type(self).__name__}"
            )
        names = [os.fspath(image) for image in images]
        if len(names) != len(recognitions):
            raise ExportError(f"expected one image name per image, {len(recognitions)}; got {len(names)}")
        known = None
        if sizes is not None:
            pairs = np.broadcast_to(image_sizes(sizes, len(names)), (len(names), 2))
            known = pairs.astype(np.int64)
            if (known != pairs).any():
                raise ExportError(f"sizes must be whole numbers of pixels; found {pairs.tolist()}")
        elif self.needs_sizes:
            raise ExportError(
                f"{self.path}: this format is in pixels, and the size of image {names[0]!r} is not known; "
                "give sizes (saved tensors that `postproc dump` wrote know them)"
            )
        self._add(names, known, recognitions)

    def __enter__(self) -> ResultWriter:
        self._place = self._open_place()
        self._begin(self._place.__enter__())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        place, self._place = self._place, None
        assert place is not None
        try:
            if kind is None:
                self._end()
            else:
                self._abandon()
        except BaseException as failure:
            place.__exit__(type(failure), failure, failure.__traceback__)
            raise
        place.__exit__(kind, error, traceback)


class FolderWriter(ResultWriter):
    """Writes a file an image, named after it, about the boxes of one output into a new folder.

    Parameters
    ----------
    path : path
        The folder, which may not hold anything yet.
    spec : RecognitionSpec
    output : int or None
        Which output, where several have boxes.

    Raises
    ------
    ExportError
        If the folder holds files, or no output is told.
    """

    suffix: str  # what the names of files end with

    def __init__(self, path: ImageName, spec: RecognitionSpec, output: int | None) -> None:
        super().__init__(path, spec)
        self.output = boxes_output(spec, output)
        check_new(self.path)

    def _open_place(self) -> AbstractContextManager[Path]:
        return whole_folder(self.path)

    def _begin(self, partial: Path) -> None:
        self._folder, self._names = partial, FileNames(self.suffix)

    def check(self, images: Sequence[ImageName]) -> None:
        """Find names that collide, or are none, before any image is recognised."""
        names = FileNames(self.suffix)
        for image in images:
            names.claim(os.fspath(image))


def boxes_output(spec: RecognitionSpec, output: int | None) -> int:
    """Give the output of a spec that a format of boxes is about.

    Raises
    ------
    ExportError
        If there is none, or several and `output` does not say which.
    """
    rows = [row for row, item in enumerate(spec.outputs) if item.labels.roi == "BBOX"]
    if output is None:
        if len(rows) == 1:
            return rows[0]
        if not rows:
            raise ExportError("this format holds boxes, and the spec has labels of whole images only")
        raise ExportError(
            f"this format holds the boxes of one output; choose one of the outputs {rows} with output "
            "(--output-index)"
        )
    if output not in rows:
        raise ExportError(f"output {output} has no boxes; those of the spec that have are {rows}")
    return output


def boxes_of(recognitions: Recognitions, output: int) -> Detections:
    """Give the detections of an output.

    Raises
    ------
    ExportError
        If the results are not of the spec.
    """
    found = recognitions.outputs[output] if output < len(recognitions.outputs) else None
    if not isinstance(found, Detections):
        raise ExportError(f"output {output} of these results are no detections; they are of another spec")
    return found
