"""From images to the input tensors of a network, by v0.7's preprocessing object."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray
from PIL import Image

from postproc.errors import ImageError, SchemaError, SchemaProblem, TensorError
from postproc.images.input_tensors import ImageTensor
from postproc.images.loading import EncodedImage, ImageSource, Picture, load_image
from postproc.schema import Preprocessing
from postproc.schema.preprocessing import IMAGE_AXES
from postproc.transforms import ImageTransform

__all__ = ["ImageSource", "PreparedBatch", "Preprocessor", "default_preprocessing", "load_image"]

_FLOAT32_MAX = float(np.finfo(np.float32).max)
_DATA_TYPES = {"float32": "FLOAT32", "float16": "FLOAT16", "uint8": "UINT8"}


def default_preprocessing(
    tensor_name: str, shape: Sequence[int | str | None], dtype: DTypeLike
) -> Preprocessing:
    """Guess the preprocessing of a network from its input tensor.

    The whole image is squashed to the input's size (v0.7's plain way: nothing is cut off, and no
    padding is shown that the network may not know), its pixels scaled to 0..1 for floating point and
    left as they are for uint8, 3 channels taken as RGB, 1 as grey. A network that was trained on
    letterboxed, BGR or mean-subtracted images needs a document that says so.

    Parameters
    ----------
    tensor_name : str
        Name of the network's input.
    shape : sequence of int, str or None
        Its shape with the batch axis first; a text or None is an axis without a fixed size. Channels
        are the second axis if that has the size 1 or 3, else the last. Without a batch axis (torchvision's
        detectors) they are 3, and ``batched_input`` is false.
    dtype : dtype
        float32, float16 or uint8.

    Raises
    ------
    TensorError
        If the input is no image of 1 or 3 channels, its height or width is not fixed, or its dtype
        is another.

    Examples
    --------
    >>> default_preprocessing("images", ["batch", 3, 480, 640], "float32").inputs[0].image.target_size
    '640x480'
    """
    found = f"input {tensor_name!r} of shape {tuple(shape)} and type {np.dtype(dtype)}"
    advice = (
        'describe the input in a preprocessing document, {"inputs": [{"tensor_name": ..., "image": ...}]}'
    )
    batched_input = len(shape) == 4
    axes = shape[1:] if batched_input else shape
    counts = (1, 3) if batched_input else (3,)  # a first axis of 1 may as well be a batch of something else
    if len(axes) == IMAGE_AXES and axes[0] in counts:
        order, channels, size = "NCHW", axes[0], axes[1:]
    elif len(axes) == IMAGE_AXES and axes[2] in counts:
        order, channels, size = "NHWC", axes[2], axes[:2]
    else:
        raise TensorError(
            f"{found} is no batch of images with 1 or 3 channels, (N, C, H, W) or (N, H, W, C), nor one "
            f"image with 3, (C, H, W) or (H, W, C); {advice}"
        )
    if not all(isinstance(side, int) and side > 0 for side in size):
        raise TensorError(f"{found} has no fixed height and width to resize images to; {advice}")
    if np.dtype(dtype).name not in _DATA_TYPES:
        raise TensorError(f"{found} cannot be fed with images, which are {', '.join(_DATA_TYPES)}; {advice}")
    data_type = _DATA_TYPES[np.dtype(dtype).name]
    image = {
        "dimension_order": order,
        "resize_type": "SQUASH",
        "target_size": f"{size[1]}x{size[0]}",
        "color_channels": "RGB" if channels == 3 else "L",
        "pixel_scaling": 255.0 if data_type == "UINT8" else 1.0,
        "data_type": data_type,
    }
    document = {"inputs": [{"tensor_name": tensor_name, "image": image}], "batched_output": batched_input}
    return Preprocessing.load(document if batched_input else {**document, "batched_input": False})


@dataclass(frozen=True, eq=False, slots=True)
class PreparedBatch:
    """The input tensors of a batch of images, and the way back from each.

    Parameters
    ----------
    tensors : dict of str to ndarray
        Each input of the network, a row an image, in the document's order. Where ``batched_input`` is
        false, a row is what the network takes: `postproc.onnx_runner.network.OnnxNetwork` feeds it alone.
    transforms : tuple of ImageTransform
        One per image, of the network's first image input.
    """

    tensors: dict[str, NDArray[Any]]
    transforms: tuple[ImageTransform, ...]

    def __len__(self) -> int:
        return len(self.transforms)


class Preprocessor:
    """Turns images into the input tensors of a network.

    Each image is resized with Pillow's BILINEAR and placed as its `ImageTransform` says, in 8 bits
    (padding rounded to them). Then, in float32: scaled from 0..255 to 0..``pixel_scaling``, the mean
    subtracted, divided by ``std``, and rounded to ``data_type``.

    It is immutable, and may be called from many threads at once.

    Parameters
    ----------
    preprocessing : Preprocessing, dict, JSON text or path
        The document.
    directory : path, optional
        Where the files that it names lie: the folder of the document.
    reduced_jpeg : bool
        Decode JPEG files at a half, a quarter or an eighth of their sides where that leaves twice the sides
        that the network needs, or more: faster and of less memory, and other than resizing the whole image
        by some grey levels.

    Attributes
    ----------
    preprocessing : Preprocessing
        The document.

    Raises
    ------
    SchemaError
        If the document breaks a rule, its ``mean_file`` cannot be read, holds anything but finite
        numbers or does not have the shape of the input, or the values do not fit into ``data_type``.

    Examples
    --------
    >>> from postproc.images import Preprocessor
    >>> preprocessor = Preprocessor(
    ...     {"inputs": [{"tensor_name": "data", "image": {"resize_type": "FILL", "target_size": "32x16"}}]}
    ... )
    >>> batch = preprocessor([np.zeros((100, 100, 3), np.uint8)])
    >>> batch.tensors["data"].shape, batch.transforms[0].offset
    ((1, 3, 16, 32), (8.0, 0.0))
    """

    def __init__(
        self,
        preprocessing: Preprocessing | Mapping[str, Any] | str | bytes | os.PathLike[str],
        directory: str | os.PathLike[str] | None = None,
        *,
        reduced_jpeg: bool = False,
    ) -> None:
        self.reduced_jpeg = reduced_jpeg
        self.preprocessing = Preprocessing.load(preprocessing)
        folder = None if directory is None else Path(directory)
        self._images = {
            item.tensor_name: ImageTensor(f"inputs[{row}].image", item.image, folder)
            for row, item in enumerate(self.preprocessing.inputs)
            if item.image is not None
        }
        for row, item in enumerate(self.preprocessing.inputs):
            for position, number in enumerate(item.constant.data if item.constant else ()):
                if not isinstance(number, str) and abs(number) > _FLOAT32_MAX:
                    path = f"inputs[{row}].constant.data[{position}]"
                    raise SchemaError(
                        SchemaProblem(path, f"expected a number that float32 holds, got {number}")
                    )

    @property
    def nbytes(self) -> int:
        """Memory of the means and deviations that it holds, in bytes."""
        return sum(tensor.nbytes for tensor in self._images.values())

    def __call__(self, images: Sequence[ImageSource | Sequence[ImageSource]]) -> PreparedBatch:
        """Prepare images as one batch.

        Parameters
        ----------
        images : list
            Anything that `load_image` takes; for a network with several image inputs, a list or
            tuple of them per item, in the document's order.

        Raises
        ------
        ImageError
            If an image cannot be read, there are none, or they do not fit into one batch: their
            sizes lead to different shapes (``NETWORK``, ``stride``), or ``batched_input`` or
            ``batched_output`` is false and there are several. `batches` splits them.
        """
        # Texts and bytes are sequences too, but each is one image.
        if isinstance(images, (str, bytes, bytearray, memoryview)) or not isinstance(images, Sequence):
            raise ImageError(
                f"expected a list of images, got {type(images).__name__}; put a single image into a list"
            )
        if len(images) == 0:
            raise ImageError("expected at least one image, got none")
        if len(images) > 1 and (field := self.preprocessing.unbatched_by):
            raise ImageError(f"{field} is false: expected one image a run, got {len(images)}; use batches()")
        prepared = [self._prepare(item) for item in images]
        for index, item in enumerate(prepared):
            if item.shapes != prepared[0].shapes:
                raise ImageError(
                    f"images 0 and {index} give inputs of different shapes, {prepared[0].shapes} and "
                    f"{item.shapes}, which cannot run together; use batches()"
                )
        return _stacked(prepared)

    def batches(
        self, images: Iterable[ImageSource | Picture | Sequence[ImageSource]], size: int
    ) -> Iterator[PreparedBatch]:
        """Prepare images as batches of at most `size`, in order, one at a time in memory.

        A batch ends early where the next image gives inputs of another shape (``NETWORK``, ``stride``), and
        after every image where ``batched_input`` or ``batched_output`` is false.

        Parameters
        ----------
        images : iterable
            As for a call; taken one by one, so that they need not be in memory together.
        size : int
            Largest number of images in a batch.

        Raises
        ------
        ImageError
            If `size` is not a positive integer or, on the way, an image cannot be read: the batch
            that it would have belonged to is lost. To go on past broken files, pass what
            `load_image` made of the others.
        """
        if not isinstance(size, (int, np.integer)) or size < 1:
            raise ImageError(f"batches: size must be a positive integer, got {size!r}")
        return self._batches(images, 1 if self.preprocessing.unbatched_by else size)

    def _batches(
        self, images: Iterable[ImageSource | Picture | Sequence[ImageSource]], size: int
    ) -> Iterator[PreparedBatch]:
        waiting: list[_Prepared] = []
        for image in images:
            prepared = self._prepare(image)
            if waiting and prepared.shapes != waiting[0].shapes:
                yield _stacked(waiting)
                waiting = []
            waiting.append(prepared)
            if len(waiting) == size:
                yield _stacked(waiting)
                waiting = []
        if waiting:
            yield _stacked(waiting)

    @property
    def image_tensors(self) -> tuple[ImageTensor, ...]:
        """The image inputs, in the document's order."""
        return tuple(self._images.values())

    @property
    def named_tensors(self) -> dict[str, ImageTensor]:
        """The image inputs by the names of their tensors."""
        return dict(self._images)

    def read(self, source: ImageSource | Picture) -> Picture:
        """Read an image for the first image input, as `load_image` does, or reduced where that was asked for.

        Raises
        ------
        ImageError
            If it cannot be read.
        """
        return self._read(0, source)

    def assembled(self, prepared: Sequence[tuple[NDArray[Any], ImageTransform]]) -> PreparedBatch:
        """Make a batch of what `ImageTensor.prepare` returned for each image input, of one image each."""
        return _stacked([self._assembled(prepared)])

    def _read(self, position: int, source: ImageSource | Picture) -> Picture:
        if isinstance(source, Picture):
            return source
        if self.reduced_jpeg and not isinstance(source, (np.ndarray, Image.Image)):
            encoded = EncodedImage(source)
            return encoded.decode(self.image_tensors[position].reduction(encoded.size))
        return Picture.of(load_image(source))

    def _prepare(self, item: ImageSource | Picture | Sequence[ImageSource]) -> _Prepared:
        sources = item if isinstance(item, (list, tuple)) else [item]
        if len(sources) != len(self._images):
            raise ImageError(
                f"the network has {len(self._images)} image inputs ({', '.join(self._images)}), "
                f"got {len(sources)} images for them"
            )
        return self._assembled(
            [
                tensor.prepare(self._read(position, source))
                for position, (tensor, source) in enumerate(zip(self.image_tensors, sources, strict=True))
            ]
        )

    def _assembled(self, prepared: Sequence[tuple[NDArray[Any], ImageTransform]]) -> _Prepared:
        arrays = {name: array for name, (array, _) in zip(self._images, prepared, strict=True)}
        transforms = [transform for _, transform in prepared]
        shapes = {name: array.shape for name, array in arrays.items()}
        for row in self.preprocessing.inputs:
            if row.constant is not None:
                numbers = np.array(row.constant.resolve(shapes), np.float32)
                arrays[row.tensor_name] = numbers.reshape(row.constant.shape)
        ordered = {row.tensor_name: arrays[row.tensor_name] for row in self.preprocessing.inputs}
        return _Prepared(ordered, transforms[0])


@dataclass(frozen=True, eq=False, slots=True)
class _Prepared:
    """The inputs of one image, without the batch axis."""

    arrays: dict[str, NDArray[Any]]
    transform: ImageTransform

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {name: array.shape for name, array in self.arrays.items()}


def _stacked(prepared: list[_Prepared]) -> PreparedBatch:
    if len(prepared) == 1:  # without a copy
        tensors = {name: array[np.newaxis] for name, array in prepared[0].arrays.items()}
    else:
        tensors = {name: np.stack([item.arrays[name] for item in prepared]) for name in prepared[0].arrays}
    return PreparedBatch(tensors, tuple(item.transform for item in prepared))
