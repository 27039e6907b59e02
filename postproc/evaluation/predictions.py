"""Where the predictions of a data set come from: saved tensors, or images that a network runs on."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from postproc.errors import ImageError
from postproc.evaluation.ground_truth import GroundTruth
from postproc.evaluation.image_files import ImageFiles, Paths, find_images, listed
from postproc.evaluation.measuring_post_processor import MeasuringPostProcessor
from postproc.evaluation.pixels import in_pixels, without_objects
from postproc.pipeline import PostProcessor
from postproc.results import Recognitions
from postproc.saved_tensors.files import is_npz
from postproc.saved_tensors.predictions import Predicted, predict_saved
from postproc.spreading.cluster import RayCluster
from postproc.stores import place_of

if TYPE_CHECKING:
    from postproc.images.batches import ImagePlace

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
    ray : str or RayCluster, optional
        A Ray cluster that does so instead: its address, as of `postproc.spreading.cluster.connected`, or that
        and more.
    """

    paths: Paths
    num_threads: int = 1
    ray: str | RayCluster | None = None

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
            from postproc.spreading.tensors import predict_on_ray

            finish = InPixels.of(truth) if isinstance(post, MeasuringPostProcessor) else None
            cluster = _cluster(self.ray)
            return predict_on_ray(paths, post, cluster, max_predictions=max_predictions, finish=finish), False
        saved = predict_saved(paths, post, num_threads=self.num_threads, max_predictions=max_predictions)
        return saved, False


def _raise(path: ImagePlace, error: ImageError) -> None:
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
        Images that the network runs on at once, and threads that read images meanwhile.
    on_unreadable : function, optional
        Takes the path of an image that cannot be read, and the error; the image counts as not predicted. By
        default the error is raised.
    ray : str or RayCluster, optional
        As of `SavedTensors`; its workers run the network, on a core each, or on the GPUs that it says.
    """

    network: str | os.PathLike[str]
    images: Paths | ImageFiles
    preprocessing: str | os.PathLike[str] | None = None
    batch_size: int = 8
    num_threads: int = 2
    on_unreadable: Callable[[ImagePlace, ImageError], None] = _raise
    ray: str | RayCluster | None = None

    def predict(
        self, post: PostProcessor, truth: GroundTruth, max_predictions: int = 100
    ) -> tuple[Predictions, bool]:
        """Run the network on those images that the ground truth knows."""
        from postproc.images.batches import consecutive
        from postproc.onnx_runner.image_network import open_network
        from postproc.spreading.images import NetworkOnRay, Recognise, map_images

        files = self.images if isinstance(self.images, ImageFiles) else find_images(self.images, truth)
        runner, preprocessor = open_network(self.network, post, self.preprocessing)
        spread: Any = map_images
        finish = None
        if self.ray is not None:
            spread = NetworkOnRay(_cluster(self.ray), place_of(self.network)).map_images
            finish = InPixels.of(truth) if isinstance(post, MeasuringPostProcessor) else None
        job = Recognise(max_predictions=max_predictions, finish=finish)
        parts = consecutive(files.paths, self.batch_size)
        predicted = spread(job, runner, preprocessor, parts, self.on_unreadable, num_threads=self.num_threads)
        return predicted, files.folder is None


@dataclass(frozen=True, slots=True)
class InPixels:
    """Detections as metrics take them, so that masks go from workers as run lengths, and no tensors."""

    truth: GroundTruth

    @classmethod
    def of(cls, truth: GroundTruth) -> InPixels:
        """Keep what tells of the images alone."""
        return cls(without_objects(truth))

    def __call__(self, predicted: Predicted) -> Predicted:
        """Give a batch, with detections in pixels."""
        return predicted._replace(recognitions=in_pixels(self.truth, *predicted))


def _cluster(ray: str | RayCluster) -> RayCluster:
    return RayCluster(ray) if isinstance(ray, str) else ray


def each_counted(predictions: Predictions, on_images: Callable[[int], None]) -> Predictions:
    """Give the batches, and tell of the number of images in each once it is used."""
    for batch in predictions:
        yield batch
        on_images(len(batch[0]))
