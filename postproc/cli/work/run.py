"""What ``postproc run`` does with each image: read it, run the network, draw what was found."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import typer
from numpy.typing import NDArray

from postproc.errors import ImageError
from postproc.saved_tensors.predictions import predict_saved

if TYPE_CHECKING:
    from postproc.images import Preprocessor
    from postproc.images.loading import Picture
    from postproc.onnx_runner import OnnxRunner
    from postproc.pipeline import PostProcessor
    from postproc.results import Classifications, Detections, Recognitions

_DRAWN_FORMATS = (".jpg", ".jpeg", ".png", ".webp")


@dataclass(frozen=True, eq=False, slots=True)
class Recognised:
    """One image and what was recognised in it."""

    path: Path
    picture: Picture
    recognitions: Recognitions

    @property
    def outputs(self) -> tuple[Detections | Classifications, ...]:
        """Results of each output of the spec."""
        return self.recognitions.outputs


def recognise_images(
    runner: OnnxRunner,
    preprocessor: Preprocessor,
    paths: Sequence[Path],
    *,
    batch_size: int,
    show_discarded: bool,
    max_predictions: int,
    on_unreadable: Callable[[ImageError], None],
) -> Iterator[Recognised]:
    """Run a network on image files, in their order, holding one batch of them in memory.

    An image that cannot be read is reported to `on_unreadable` and left out.
    """
    waiting: deque[tuple[Path, Picture]] = deque()

    def readable() -> Iterator[Picture]:
        for path in paths:
            try:
                picture = preprocessor.read(path)
            except ImageError as error:
                on_unreadable(error)
            else:
                waiting.append((path, picture))
                yield picture

    for batch in preprocessor.batches(readable(), batch_size):
        tensors = runner.network.inputs.as_integers(batch.tensors)
        recognitions = runner(tensors, show_discarded, max_predictions, batch.transforms)
        for row in range(len(recognitions)):
            yield Recognised(*waiting.popleft(), recognitions[row])


def recognise_tensors(
    path: Path, post: PostProcessor, show_discarded: bool, max_predictions: int
) -> Iterator[tuple[list[str], NDArray[np.int64] | None, Recognitions]]:
    """Post-process saved tensors: names of a few images, their sizes where known, and what was recognised."""
    parts = predict_saved([path], post, show_discarded=show_discarded, max_predictions=max_predictions)
    for names, sizes, recognitions in parts:
        yield names, sizes if (sizes > 0).all() else None, recognitions


class CutImages:
    """Counts the images of which `max_predictions` left something out."""

    def __init__(self, max_predictions: int) -> None:
        self._most = max_predictions
        self._images = self._cut = 0

    def count(self, recognitions: Recognitions) -> None:
        """Count a batch of images, each once however many of its outputs were cut."""
        self._images += len(recognitions)
        self._cut += int(np.any([output.is_cut for output in recognitions.outputs], axis=0).sum())

    def tell(self) -> None:
        """Say on stderr how many there were, if there were any."""
        if self._cut:
            cut, option = f"{self._cut} of {self._images} images", f"--max-predictions {self._most}"
            typer.echo(f"{cut} have more results than {option}: a higher one gives them", err=True)


class DrawnImages:
    """Writes drawn images into a folder, under names that overwrite neither each other nor a source.

    Parameters
    ----------
    directory : Path
        Made if it is not there. What an earlier run wrote is replaced.
    sources : sequence of Path
        The images that are drawn, which may lie in the same folder.
    """

    def __init__(self, directory: Path, sources: Sequence[Path]) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._taken = {_identity(path) for path in sources}
        self.count = 0

    def save(self, recognised: Recognised) -> None:
        """Draw an image's outputs and write it under its own name, numbered where that is taken."""
        from postproc.images.drawing import draw_outputs

        suffix = recognised.path.suffix if recognised.path.suffix.lower() in _DRAWN_FORMATS else ".png"
        number = 1
        path = self._directory / f"{recognised.path.stem}{suffix}"
        while _identity(path) in self._taken:
            number += 1
            path = self._directory / f"{recognised.path.stem}-{number}{suffix}"
        self._taken.add(_identity(path))
        draw_outputs(recognised.picture.image, recognised.outputs).save(path)
        self.count += 1


def _identity(path: Path) -> str:
    """Give what two paths of one file share, also where letter case does not tell files apart."""
    return str(path.resolve()).casefold()
