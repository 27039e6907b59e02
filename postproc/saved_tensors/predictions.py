"""What a version recognises in saved tensors, batch by batch in bounded memory."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from postproc.errors import BatchSizeError, TensorError
from postproc.pipeline import PostProcessor
from postproc.pipeline.in_order import map_in_order
from postproc.results import Recognitions
from postproc.saved_tensors.files import is_npz, open_stored, saved_files
from postproc.saved_tensors.npz import load_tensors

if TYPE_CHECKING:
    from postproc.saved_tensors.format import SavedImage
    from postproc.saved_tensors.reading import TensorFile

UNKNOWN_SIZE = (0, 0)


class Predicted(NamedTuple):
    """What was recognised in a few images.

    Parameters
    ----------
    names : list of str
        File names of the images.
    sizes : (B, 2) int64
        Heights and widths of the original images in pixels; zeros where they are not known.
    recognitions : Recognitions
        Of these images. Boxes are relative to the original images, or to the network's input where tensors
        were saved without a transform.
    """

    names: list[str]
    sizes: NDArray[np.int64]
    recognitions: Recognitions


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
        for place in saved_files(files):
            if is_npz(place):
                yield Path(place), 0
                continue
            file = open_stored(place)
            for group, rows in enumerate(file.group_rows):
                if rows:
                    yield file, group

    def predict(task: tuple[TensorFile | Path, int]) -> Predicted:
        file, group = task
        if isinstance(file, Path):
            return _predict_npz(file, post, show_discarded, max_predictions)
        images = file.read(group, post.tensor_names)
        return predict_saved_images(images, post, file.name, show_discarded, max_predictions)

    return map_in_order(predict, tasks(), num_threads)


def predict_saved_images(
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


def _predict_npz(
    path: Path, post: PostProcessor, show_discarded: bool = False, max_predictions: int = 100
) -> Predicted:
    """Post-process an ``.npz`` file, whose images are its rows.

    An array of texts ``images`` names them, one of integers ``sizes`` (B, 2) gives their heights and widths.

    Raises
    ------
    TensorError
        If the file cannot be read, or its tensors do not fit `post`; names the file.
    """
    tensors: dict[str, NDArray[Any]] = load_tensors(path)
    named, sized = (_besides(post, tensors, *array) for array in (("images", "U"), ("sizes", "iu")))
    # As many images as are named: in a tensor whose rows name their image the last ones may have no row.
    ranked = ((named, 1), (sized, 2))
    told = next((array for array, rank in ranked if array is not None and array.ndim == rank), None)
    count = None if told is None else len(told)
    try:
        found = post(
            tensors, show_discarded=show_discarded, max_predictions=max_predictions, batch_size=count
        )
    except BatchSizeError as error:
        source = "images" if told is named else "sizes"
        raise TensorError(f"{path}: {source!r} is of {count} images, but {error}") from None
    except TensorError as error:
        raise TensorError(f"{path}: {error}") from None
    names = [f"{path}#{row}" for row in range(len(found))]
    if named is not None:
        if named.shape != (len(found),):
            raise TensorError(f"{path}: expected {len(found)} names in 'images'; found shape {named.shape}")
        names = named.tolist()
    sizes = np.tile(np.array(UNKNOWN_SIZE, np.int64), (len(found), 1))
    if sized is not None:
        if sized.shape != (len(found), 2):
            raise TensorError(f"{path}: expected 'sizes' of shape ({len(found)}, 2); found {sized.shape}")
        sizes = sized.astype(np.int64)
    return Predicted(names, sizes, found)


def _besides(
    post: PostProcessor, tensors: dict[str, NDArray[Any]], name: str, kinds: str
) -> NDArray[Any] | None:
    """Give an array that tells of the images, unless it is one of the network's tensors."""
    array = tensors.get(name)
    return None if name in post.tensor_names or array is None or array.dtype.kind not in kinds else array
