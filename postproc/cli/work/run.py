"""What ``postproc run`` does with each image: read it, run the network, draw what was found."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
import typer
from numpy.typing import NDArray

from postproc.cli.places import Place
from postproc.errors import ImageError
from postproc.saved_tensors.predictions import Predicted, predict_saved
from postproc.stores import StoredPath

if TYPE_CHECKING:
    from PIL import Image

    from postproc.images import Preprocessor
    from postproc.images.batches import ImageBatch
    from postproc.onnx_runner import OnnxRunner
    from postproc.pipeline import PostProcessor
    from postproc.results import Recognitions
    from postproc.spreading.cluster import RayCluster

_DRAWN_FORMATS = (".jpg", ".jpeg", ".png", ".webp")


@dataclass(frozen=True, slots=True)
class RunJob:
    """The job of recognising things in images, and of drawing them."""

    show_discarded: bool
    max_predictions: int
    draws: bool

    def __call__(self, runner: OnnxRunner, batch: ImageBatch) -> tuple[Predicted, list[bytes]]:
        """Give what was recognised in a batch, and the files of the drawn images, in the format of each."""
        from postproc.spreading.images import Recognise

        predicted = Recognise(self.show_discarded, self.max_predictions)(runner, batch)
        drawn = []
        if self.draws:
            for row, image in enumerate(batch.images):
                outputs = predicted.recognitions[row].outputs
                drawn.append(_drawn(image, outputs, _drawn_suffix(batch.names[row])))
        return predicted, drawn


def recognise_images(
    model: Place,
    runner: OnnxRunner,
    preprocessor: Preprocessor,
    parts: Sequence[Sequence[Place]],
    job: RunJob,
    on_unreadable: Callable[[ImageError], None],
    cluster: RayCluster | None,
    intra_op_threads: int | None,
) -> Iterator[tuple[Predicted, list[bytes]]]:
    """Run a network on images, here or on a cluster, in their order.

    An image that cannot be read is reported to `on_unreadable` and left out.
    """
    from postproc.spreading.images import NetworkOnRay, map_images

    spread: Any = map_images
    if cluster is not None:
        spread = NetworkOnRay(cluster, model, intra_op_threads).map_images

    def report(path: Place, error: ImageError) -> None:
        on_unreadable(error)

    found: Iterator[tuple[Predicted, list[bytes]]] = spread(
        job, runner, preprocessor, parts, report, keep_images=job.draws
    )
    return found


def recognise_tensors(
    path: str, post: PostProcessor, show_discarded: bool, max_predictions: int, cluster: RayCluster | None
) -> Iterator[tuple[list[str], NDArray[np.int64] | None, Recognitions]]:
    """Post-process saved tensors: names of a few images, their sizes where known, and what was recognised."""
    options: dict[str, Any] = {"show_discarded": show_discarded, "max_predictions": max_predictions}
    if cluster is None:
        parts = predict_saved([path], post, **options)
    else:
        from postproc.spreading.tensors import predict_on_ray

        parts = predict_on_ray([path], post, cluster, **options)
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
    directory : Path or StoredPath
        Made if it is not there. What an earlier run wrote is replaced.
    sources : sequence of Path or StoredPath
        The images that are drawn, which may lie in the same folder.
    """

    def __init__(self, directory: Place, sources: Sequence[Place]) -> None:
        if isinstance(directory, Path):
            directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._taken = {_identity(path) for path in sources}
        self.count = 0

    def save(self, names: Sequence[str], drawn: Sequence[bytes]) -> None:
        """Write drawn images under their own names, numbered where these are taken."""
        for name, content in zip(names, drawn, strict=True):
            stem, suffix = PurePosixPath(name).stem, _drawn_suffix(name)
            number = 1
            path = self._directory / f"{stem}{suffix}"
            while _identity(path) in self._taken:
                number += 1
                path = self._directory / f"{stem}-{number}{suffix}"
            self._taken.add(_identity(path))
            if isinstance(path, StoredPath):
                path.put(content)
            else:
                path.write_bytes(content)
            self.count += 1


def _drawn_suffix(name: str) -> str:
    suffix = PurePosixPath(name).suffix
    return suffix if suffix.lower() in _DRAWN_FORMATS else ".png"


def _drawn(image: Image.Image, outputs: Sequence[Any], suffix: str) -> bytes:
    """Draw results on an image, and give its file as Pillow writes it by that suffix."""
    from PIL import Image

    from postproc.images.drawing import draw_outputs

    content = BytesIO()
    draw_outputs(image, outputs).save(content, Image.registered_extensions()[suffix.lower()])
    return content.getvalue()


def _identity(path: Place) -> str:
    """Give what two paths of one file share, also where letter case does not tell files apart."""
    here = path if isinstance(path, Path) else path.local
    return str(path if here is None else here.resolve()).casefold()
