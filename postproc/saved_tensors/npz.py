"""Saved tensors in an ``.npz`` file, which NumPy alone reads, and what was recognised in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from postproc.errors import BatchSizeError, TensorError
from postproc.pipeline import PostProcessor
from postproc.results import Recognitions

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


def load_tensors(path: Path) -> dict[str, NDArray[Any]]:
    """Read the tensors of an ``.npz`` file, as `numpy.savez` writes them.

    Raises
    ------
    TensorError
        If it is no such file, or holds Python objects, which are not loaded.
    """
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.lib.npyio.NpzFile):
            with loaded as tensors:
                return {name: tensors[name] for name in tensors.files}
        found = "a single array"
    except Exception as error:  # zipfile, zlib and NumPy raise errors of their own for a broken file
        found = str(error)
    raise TensorError(
        f"{path}: expected an .npz file of arrays, as numpy.savez(path, **tensors) writes it; found: {found}"
    )


def predict_archive(
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
