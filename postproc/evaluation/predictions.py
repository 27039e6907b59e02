"""Where the predictions of a data set come from: saved tensors, or images that a network runs on."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from postproc.errors import ImageError
from postproc.evaluation.ground_truth import GroundTruth
from postproc.evaluation.image_files import ImageFiles, Paths, find_images, listed
from postproc.evaluation.measuring_post_processor import MeasuringPostProcessor
from postproc.pipeline import PostProcessor
from postproc.results import Recognitions
from postproc.saved_tensors.files import is_npz
from postproc.saved_tensors.predictions import Predicted, predict_saved

if TYPE_CHECKING:
    from postproc.images import Preprocessor
    from postproc.onnx_runner import OnnxRunner

# Batches of images: their names, the height and width of each, and what was recognised.
Predictions = Iterable[tuple[Sequence[str | os.PathLike[str]], Any, Recognitions]]


@runtime_checkable
class PredictionSource(Protocol):
    """What the predictions of a data set come from; `SavedTensors` and `ImagesThroughNetwork` are such."""

    def predict(
        self, post: PostProcessor, truth: GroundTruth, max_predictions: int = 100
    ) -> tuple[Predictions, bool]:
        """Predict with `post`: batches of images, and whether images that are not among them do not count."""


@dataclass(frozen=True, slots=True)
class SavedTensors:
    """Tensors that a network gave before, as ``postproc dump`` or `numpy.savez` writes them.

    Parameters
    ----------
    paths : path or URL, or several
        As of `postproc.saved_tensors.predictions.predict_saved`.
    num_threads : int
        Threads that read and post-process them.
    ray : str, optional
        Address of a Ray cluster that does so instead, as of `postproc.evaluation.ray_job.connected`.
    """

    paths: Paths
    num_threads: int = 1
    ray: str | None = None

    def __post_init__(self) -> None:
        paths = listed(self.paths)
        object.__setattr__(self, "paths", paths)
        if not all(is_npz(os.fspath(path)) for path in paths):
            import postproc.saved_tensors.remote  # noqa: F401  (tells of a missing extra before the work)

    def predict(
        self, post: PostProcessor, truth: GroundTruth, max_predictions: int = 100
    ) -> tuple[Predictions, bool]:
        """Post-process them; all images of the ground truth count."""
        paths = listed(self.paths)
        if self.ray is not None:
            measured_on = truth if isinstance(post, MeasuringPostProcessor) else None
            return _with_ray(self.ray, paths, post, max_predictions, measured_on), False
        saved = predict_saved(paths, post, num_threads=self.num_threads, max_predictions=max_predictions)
        return saved, False


def _raise(path: Path, error: ImageError) -> None:
    raise error


@dataclass(frozen=True, slots=True)
class ImagesThroughNetwork:
    """Images that a network runs on.

    Parameters
    ----------
    network : path
        An ONNX file.
    images : path, several, or ImageFiles
        A folder, in which the images of the ground truth are found; or files, and no others count.
    preprocessing : path, optional
        Of the document that says how images become the network's inputs; by default as its input suggests.
    batch_size, num_threads : int
        As of `predict_images`.
    on_unreadable : function, optional
        Takes the path of an image that cannot be read, and the error; the image counts as not predicted. By
        default the error is raised.
    """

    network: str | os.PathLike[str]
    images: Paths | ImageFiles
    preprocessing: str | os.PathLike[str] | None = None
    batch_size: int = 8
    num_threads: int = 2
    on_unreadable: Callable[[Path, ImageError], None] = _raise

    def predict(
        self, post: PostProcessor, truth: GroundTruth, max_predictions: int = 100
    ) -> tuple[Predictions, bool]:
        """Run the network on those images that the ground truth knows."""
        from postproc.onnx_runner.image_network import open_network

        files = self.images if isinstance(self.images, ImageFiles) else find_images(self.images, truth)
        runner, preprocessor = open_network(self.network, post, self.preprocessing)
        predicted = predict_images(
            runner,
            preprocessor,
            files.paths,
            batch_size=self.batch_size,
            num_threads=self.num_threads,
            max_predictions=max_predictions,
            on_unreadable=self.on_unreadable,
        )
        return predicted, files.folder is None


def each_counted(predictions: Predictions, on_images: Callable[[int], None]) -> Predictions:
    """Give the batches, and tell of the number of images in each once it is used."""
    for batch in predictions:
        yield batch
        on_images(len(batch[0]))


def _with_ray(
    address: str,
    paths: Iterable[str | os.PathLike[str]],
    post: PostProcessor,
    max_predictions: int,
    measured_on: GroundTruth | None,
) -> Iterator[Predicted]:
    from postproc.evaluation.ray_job import connected, predict_with_ray

    with connected(address):
        yield from predict_with_ray(paths, post, max_predictions=max_predictions, measured_on=measured_on)


def predict_images(
    runner: OnnxRunner,
    preprocessor: Preprocessor,
    paths: Iterable[str | os.PathLike[str]],
    *,
    batch_size: int = 8,
    num_threads: int = 2,
    show_discarded: bool = False,
    max_predictions: int = 100,
    on_unreadable: Callable[[Path, ImageError], None],
) -> Iterator[Predicted]:
    """Run a network on image files, in their order.

    Parameters
    ----------
    runner : OnnxRunner
        The network and its post-processing.
    preprocessor : Preprocessor
        How images become the network's inputs.
    paths : iterable of path
        The images.
    batch_size : int
        Images that the network runs on at once.
    num_threads : int
        Threads that read images while the network runs on those before.
    show_discarded, max_predictions
        As for a call of the runner.
    on_unreadable : function
        Takes the path of an image that cannot be read, and the error; the image is left out.

    Yields
    ------
    Predicted
        A batch of images. Memory is bounded by two batches and two images a thread.

    Raises
    ------
    RunnerError, TensorError
        As a call of the runner.
    """
    from postproc.images.batches import image_batches

    for batch in image_batches(preprocessor, map(Path, paths), batch_size, on_unreadable, num_threads):
        tensors = runner.network.inputs.as_integers(batch.prepared.tensors)
        found = runner(tensors, show_discarded, max_predictions, batch.prepared.transforms)
        yield Predicted(batch.names, batch.sizes, found)
