"""A network on images: here, or on the workers of a Ray cluster."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from postproc.errors import ImageError
from postproc.images import Preprocessor
from postproc.images.batches import (
    ImageBatch,
    ImagePlace,
    ImageSent,
    OnUnreadable,
    image_batches,
    image_name,
)
from postproc.images.loading import ImageContent, load_image
from postproc.onnx_runner import OnnxRunner
from postproc.onnx_runner.fetching import fetch_network, network_files
from postproc.onnx_runner.session import open_session, options_for
from postproc.pipeline import PostProcessor
from postproc.saved_tensors.predictions import Predicted
from postproc.spreading.cluster import RayCluster, connected
from postproc.stores import StoredPath, copied

Result = TypeVar("Result", covariant=True)


class Job(Protocol[Result]):
    """What is made of a batch of images; it is pickled."""

    def __call__(self, runner: OnnxRunner, batch: ImageBatch) -> Result:
        """Run the network on a batch."""
        ...


@dataclass(frozen=True, slots=True)
class Recognise:
    """The job of recognising things in images.

    Parameters
    ----------
    show_discarded, max_predictions
        As for a call of the runner.
    finish : function, optional
        What is done with a batch of results where they are made.
    """

    show_discarded: bool = False
    max_predictions: int = 100
    finish: Callable[[Predicted], Predicted] | None = None

    def __call__(self, runner: OnnxRunner, batch: ImageBatch) -> Predicted:
        """Run the network on a batch, and post-process its tensors."""
        tensors = runner.network.inputs.as_integers(batch.prepared.tensors)
        found = runner(tensors, self.show_discarded, self.max_predictions, batch.prepared.transforms)
        predicted = Predicted(batch.names, batch.sizes, found)
        return predicted if self.finish is None else self.finish(predicted)


def map_images(
    job: Job[Result],
    runner: OnnxRunner,
    preprocessor: Preprocessor,
    parts: Sequence[Sequence[ImagePlace]],
    on_unreadable: OnUnreadable,
    *,
    num_threads: int = 2,
    keep_images: bool = False,
) -> Iterator[Result]:
    """Run a network on image files here, in their order.

    Parameters
    ----------
    job : Job
        What is made of each batch.
    runner : OnnxRunner
    preprocessor : Preprocessor
    parts : sequence of sequence of path
        The images, a batch each, as of `postproc.images.batches.consecutive`.
    on_unreadable : function
        Takes the path of an image that cannot be read, and the error; the image is left out.
    num_threads : int
        Threads that read images while the network runs on those before.
    keep_images : bool
        Whether batches have the images beside tensors.
    """
    listed = [path for part in parts for path in part]

    def report(number: int, error: ImageError) -> None:
        on_unreadable(listed[number], error)

    for batch in image_batches(preprocessor, parts, report, num_threads, keep_images=keep_images):
        yield job(runner, batch)


@dataclass(frozen=True, slots=True)
class NetworkOnRay:
    """A network that workers of a cluster run, as `map_images` does.

    Parameters
    ----------
    cluster : RayCluster
    model : path, or StoredPath
        The network. What lies on this machine is sent with its weights, what is in a store each worker
        fetches.
    intra_op_threads : int, optional
        Threads that share an operator, and cores that a worker takes; by default 1.
    """

    cluster: RayCluster
    model: Path | StoredPath
    intra_op_threads: int | None = None

    def map_images(
        self,
        job: Job[Result],
        runner: OnnxRunner,
        preprocessor: Preprocessor,
        parts: Sequence[Sequence[ImagePlace]],
        on_unreadable: OnUnreadable,
        *,
        num_threads: int = 2,
        keep_images: bool = False,
    ) -> Iterator[Result]:
        """Run it on image files; see `postproc.spreading.images.map_images`.

        Files of this machine are sent, URLs are read by the workers. `runner` is what the network was found
        to fit by; it does not run.

        Raises
        ------
        RunnerError
            As `postproc.spreading.pool.map_on_workers`.
        """
        with connected(self.cluster.address):
            from postproc.spreading.pool import Task, map_on_workers

            source: Any = self.model
            if isinstance(source, Path):
                source = {
                    name: np.frombuffer(path.read_bytes(), np.uint8)
                    for name, path in network_files(source).items()
                }
            threads = self.intra_op_threads or 1
            is_batched = (preprocessor.preprocessing.batched_output, preprocessor.preprocessing.batched_input)
            opened = partial(_open, source, self.model.name, runner.post, threads, is_batched)
            make = partial(_Worker, opened, job, preprocessor, num_threads, keep_images)
            tasks = (Task(_told(part), partial(_sources, part)) for part in parts if part)
            done = map_on_workers(make, tasks, self.cluster, cpus=threads)
            for part, (unreadable, results) in zip(filter(None, parts), done, strict=True):
                for number, error in unreadable:
                    on_unreadable(part[number], error)
                yield from results


class _Worker:
    """Runs a network on batches of images; lives in a process of the cluster."""

    def __init__(
        self,
        opened: Callable[[], OnnxRunner],
        job: Job[Any],
        preprocessor: Preprocessor,
        num_threads: int,
        keep_images: bool,
    ) -> None:
        self._runner = opened()
        self._runner.post.warmup()
        self._job, self._preprocessor = job, preprocessor
        self._num_threads, self._keep_images = num_threads, keep_images

    def __call__(self, part: Sequence[ImageSent]) -> tuple[list[tuple[int, ImageError]], list[Any]]:
        unreadable: list[tuple[int, ImageError]] = []
        batches = image_batches(
            self._preprocessor,
            [part],
            lambda number, error: unreadable.append((number, error)),
            self._num_threads,
            keep_images=self._keep_images,
        )
        return unreadable, [self._job(self._runner, batch) for batch in batches]


def _open(
    source: StoredPath | dict[str, NDArray[np.uint8]],
    name: str,
    post: PostProcessor,
    threads: int,
    is_batched: tuple[bool, bool],
) -> OnnxRunner:
    given = _given(source, name) if isinstance(source, dict) else copied(source, fetch_network)
    with given as path:
        session = open_session(path, session_options=options_for(threads))
    return OnnxRunner(session, post, batched=is_batched[0], batched_input=is_batched[1])


@contextmanager
def _given(files: dict[str, NDArray[np.uint8]], name: str) -> Iterator[Path]:
    """Write the files of a network that were sent."""
    with tempfile.TemporaryDirectory(prefix="postproc-", ignore_cleanup_errors=True) as folder:
        for relative, content in files.items():
            path = Path(folder, relative)
            path.parent.mkdir(parents=True, exist_ok=True)
            content.tofile(path)
        yield Path(folder, name)


def _sources(part: Sequence[ImagePlace]) -> list[ImageSent]:
    """Read what lies on this machine, to be sent."""
    return [_source(path) for path in part]


def _source(path: ImagePlace) -> ImageSent:
    if isinstance(path, StoredPath):
        return path
    try:
        return ImageContent(str(path), path.read_bytes())
    except OSError:
        try:
            load_image(path)  # which tells why not, in its words
        except ImageError as error:
            return error
        raise


def _told(part: Sequence[ImagePlace]) -> str:
    first, last = image_name(part[0]), image_name(part[-1])
    return f"image {first!r}" if len(part) == 1 else f"images {first!r} to {last!r}"
