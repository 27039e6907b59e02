"""What a version recognises in many images, or in saved tensors, batch by batch in bounded memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from postproc.errors import ImageError, TensorError
from postproc.pipeline import PostProcessor
from postproc.pipeline.in_order import map_in_order
from postproc.results import Recognitions
from postproc.saved_tensors.format import SavedImage
from postproc.saved_tensors.npz import UNKNOWN_SIZE, Predicted, predict_archive
from postproc.saved_tensors.reading import TensorFile
from postproc.saved_tensors.remote import is_archive, open_stored, stored_files

if TYPE_CHECKING:
    from postproc.images import Preprocessor
    from postproc.onnx_runner import OnnxRunner


def predict_saved(
    files: Iterable[str | os.PathLike[str]],
    post: PostProcessor,
    *,
    num_threads: int = 1,
    show_discarded: bool = False,
    max_predictions: int = 100,
) -> Iterator[Predicted]:
    """Post-process saved tensors, in the order of the files and of the images in them.

    Parameters
    ----------
    files : iterable of path or URL
        Parquet files of tensors, or folders of them, also at URLs such as ``s3://bucket/tensors``, given as
        texts; or ``.npz`` files as `numpy.savez` writes them, with the batch axis first. An ``.npz`` file,
        which is read as a whole, may name its images in an array of texts ``images`` and give their heights
        and widths in one of integers ``sizes`` (B, 2).
    post : PostProcessor
        What turns tensors into recognitions.
    num_threads : int
        Threads that read and post-process row groups. The results do not depend on it.
    show_discarded, max_predictions
        As for a call of `post`.

    Yields
    ------
    Predicted
        The images of a row group, or of an ``.npz`` file. Memory is bounded by what two row groups a thread
        yield, and what decoding one takes.

    Raises
    ------
    TensorError
        If a file cannot be read, or its tensors do not fit `post`; names the file and the row.
    """

    def tasks() -> Iterator[tuple[TensorFile | Path, int]]:
        for place in stored_files(files):
            if is_archive(place):
                yield Path(place), 0
                continue
            file = open_stored(place)
            for group, rows in enumerate(file.group_rows):
                if rows:
                    yield file, group

    def predict(task: tuple[TensorFile | Path, int]) -> Predicted:
        file, group = task
        if isinstance(file, Path):
            return predict_archive(file, post, show_discarded, max_predictions)
        images = file.read(group, post.tensor_names)
        return predict_images_saved(images, post, file.name, show_discarded, max_predictions)

    return map_in_order(predict, tasks(), num_threads)


def predict_images_saved(
    images: Iterable[SavedImage],
    post: PostProcessor,
    what: str,
    show_discarded: bool = False,
    max_predictions: int = 100,
) -> Predicted:
    """Post-process the tensors of at least one image; `what` names their file in errors."""
    names, sizes, parts = [], [], []
    for image in images:
        transforms = None if image.transform is None else [image.transform]
        try:
            part = post(
                image.tensors,
                show_discarded=show_discarded,
                max_predictions=max_predictions,
                transforms=transforms,
            )
        except TensorError as error:
            raise TensorError(f"{what}: image {image.name!r}: {error}") from None
        if len(part) != 1:
            raise TensorError(f"{what}: image {image.name!r}: its tensors are of {len(part)} images")
        names.append(image.name)
        sizes.append(image.size or UNKNOWN_SIZE)
        parts.append(part)
    return Predicted(names, np.array(sizes, np.int64), Recognitions.concatenate(parts))


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
