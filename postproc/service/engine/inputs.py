"""The images of a request: read, cut, and made into the tensors of a network."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

from numpy.typing import NDArray

from postproc.errors import ImageError
from postproc.images import Preprocessor
from postproc.images.input_tensors import ImageTensor
from postproc.images.loading import EncodedImage
from postproc.service.engine.in_threads import available_cores, in_thread
from postproc.service.engine.input_fields import read_input
from postproc.service.engine.regions import Region, of_whole_image
from postproc.service.engine.sources import content_of
from postproc.service.errors import InputError
from postproc.service.settings import ServiceSettings
from postproc.service.sharing import Turns
from postproc.transforms import ImageTransform

# Formats that Pillow decodes by itself and that photographs come in; EPS, for one, would run Ghostscript.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")

# A progressive JPEG is decoded once a scan: usually ten of them, and a hostile file has thousands.
_MAX_SCANS = 100
_SCAN = b"\xff\xda"
_FETCHERS, _MOST_FETCHERS = 16, 12  # threads that wait for servers of URLs, and those of one tenant

Fetch = Callable[[str, str], bytes]
_Tensor: TypeAlias = "tuple[NDArray[Any], ImageTransform, tuple[int, int], tuple[int, int]]"
Clock = Callable[[str], AbstractContextManager[Any]]


@dataclass(frozen=True, eq=False, slots=True)
class PreparedInputs:
    """The input tensors of a request, and the way back to its original image.

    Parameters
    ----------
    tensors : dict of str to ndarray
        Each input of the network, with a batch axis of one.
    transform : ImageTransform
        Of the first image, whole, though a box or polygon of it may have been fed.
    """

    tensors: dict[str, NDArray[Any]]
    transform: ImageTransform

    @property
    def nbytes(self) -> int:
        """Memory of the tensors, in bytes."""
        return sum(array.nbytes for array in self.tensors.values())

    @property
    def shapes(self) -> Hashable:
        """Equal where tensors can be fed together."""
        return tuple((name, array.shape, array.dtype.str) for name, array in self.tensors.items())


class InputReader:
    """Makes tensors of the inputs of requests.

    Parameters
    ----------
    settings : ServiceSettings
        The limits.
    fetch : callable
        Gives the content of a URL; its second argument names the field, for messages.
    clock : callable
        Gives a context manager that measures the stages ``fetch``, ``decode`` and ``prepare``.
    """

    def __init__(self, settings: ServiceSettings, fetch: Fetch, clock: Clock) -> None:
        cores = available_cores()
        self._settings = settings
        self._fetch = fetch
        self._clock = clock
        self._tensors = Turns(settings.max_inputs_bytes)  # until they have their place in the queue
        # So that one tenant's large images leave a thread to others, which take a second each.
        self._memory = Turns(settings.decode_memory, most=settings.decode_memory // 2)
        # Each thread has one image to go on with, and no long queue in which the first to come is the next.
        self._least = -(-settings.decode_memory // (4 * cores))
        self._decoders = ThreadPoolExecutor(cores, "postproc-decode")
        self._fetching = Turns(_FETCHERS, most=_MOST_FETCHERS)
        self._fetchers = ThreadPoolExecutor(_FETCHERS, "postproc-fetch")

    def close(self) -> None:
        """Let the threads end once they have nothing to do."""
        self._decoders.shutdown(wait=False)
        self._fetchers.shutdown(wait=False)

    def open(self, preprocessor: Preprocessor, inputs: Sequence[Any]) -> OpenedInputs:
        """Check the inputs of a request, and read the headers of its images but those of URLs.

        Parameters
        ----------
        preprocessor : Preprocessor
            Of the network.
        inputs : list of dict
            ``{"image": {"source": ..., "bbox": ..., "polygon": ..., "crop_uniform_background": ...}}``, one
            for each image input of the network, in their order. A source is an http or https URL, a data
            URI, base64 or bytes. Numbers and flags may be texts, as forms send them.

        Raises
        ------
        InputError
            If an input is not as expected, no image, or beyond a limit; names the field.
        """
        expected = len(preprocessor.image_tensors)
        if isinstance(inputs, (str, bytes)) or not isinstance(inputs, Sequence):
            raise InputError("inputs", f"expected a list of {expected}, got {type(inputs).__name__}")
        if len(inputs) != expected:
            raise InputError(
                "inputs",
                f"expected {expected}, one for each image input of the network's preprocessing, "
                f"got {len(inputs)}",
            )
        # All is checked before anything is fetched or decoded.
        requests = [read_input(f"inputs[{row}]", item) for row, item in enumerate(inputs)]
        contents = [content_of(f"{request.path}.source", request.source) for request in requests]
        return OpenedInputs(
            preprocessor,
            [
                _Image(
                    request.path,
                    request.region,
                    content if isinstance(content, str) else self._header(request.path, content),
                )
                for request, content in zip(requests, contents, strict=True)
            ],
        )

    async def prepare(self, tenant: str, opened: OpenedInputs) -> PreparedInputs:
        """Make tensors of inputs, once there is memory to decode them.

        Neither waiting nor, for others, fetching takes a thread of those that decode. The images of a request
        are decoded one by one, each cut and resized before the next, and each in a turn of its own.

        Raises
        ------
        InputError
            If an image cannot be fetched or decoded; names the field.
        """
        for image in opened.images:
            if isinstance(image.source, str):
                async with self._fetching.turn(tenant):
                    image.source = await in_thread(self._fetchers, self._fetched, image.path, image.source)
        sizes = opened.sizes(self._settings.reduced_jpeg)
        prepared: list[_Tensor] = []
        async with self._tensors.turn(tenant, sum(size for size, _ in sizes)):
            for _, beside in sizes:
                async with self._memory.turn(tenant, max(beside, self._least)):
                    inputs = await in_thread(self._decoders, self._decode_next, opened, prepared)
        assert inputs is not None
        return inputs

    def _fetched(self, path: str, url: str) -> EncodedImage:
        with self._clock("fetch"):
            content = self._fetch(url, f"{path}.source")
        return self._header(path, content)

    def _header(self, path: str, content: bytes) -> EncodedImage:
        field = f"{path}.source"
        if not content:
            raise InputError(field, "expected an image, got nothing")
        if len(content) > self._settings.max_body:
            raise InputError(field, f"expected at most {self._settings.max_body:,} bytes")
        if content.startswith(b"\xff\xd8") and content.count(_SCAN) > _MAX_SCANS:
            raise InputError(field, f"a JPEG of more than {_MAX_SCANS} scans; save it again")
        with _field_of_errors(field):
            return EncodedImage(content, formats=FORMATS, max_pixels=self._settings.max_image_pixels)

    def _decode_next(self, opened: OpenedInputs, prepared: list[_Tensor]) -> PreparedInputs | None:
        """Add the tensor of the next image, and return all of them behind the last one."""
        row = len(prepared)
        tensor, image = opened.preprocessor.image_tensors[row], opened.images[row]
        prepared.append(self._tensor(tensor, image, self._settings.reduced_jpeg))
        if len(prepared) < len(opened.images):
            return None
        batch = opened.preprocessor.assembled([(array, transform) for array, transform, *_ in prepared])
        _, transform, origin, size = prepared[0]
        return PreparedInputs(batch.tensors, of_whole_image(transform, origin, size))

    def _tensor(self, tensor: ImageTensor, image: _Image, is_reduced: bool) -> _Tensor:
        """Return a tensor, the transform of the part that was fed, its left and top, and the image's size."""
        with self._clock("decode"), _field_of_errors(f"{image.path}.source"):
            picture = image.encoded.decode(image.reduction(tensor) if is_reduced else 1)
        with self._clock("prepare"):
            size, origin = picture.size, (0, 0)
            if image.region is not None:
                picture, origin = image.region.cut(picture)
            return *tensor.prepare(picture), origin, size


@dataclass(eq=False, slots=True)
class _Image:
    """An image of a request: its header, or its URL until it is fetched."""

    path: str
    region: Region | None
    source: EncodedImage | str

    @property
    def encoded(self) -> EncodedImage:
        """The header."""
        assert isinstance(self.source, EncodedImage)
        return self.source

    def reduction(self, tensor: ImageTensor) -> int:
        """Return how many times smaller a JPEG may be decoded."""
        return tensor.reduction(self.encoded.size, self._part(self.encoded.size))

    def memory(self, tensor: ImageTensor, is_reduced: bool) -> tuple[int, int]:
        """Estimate the bytes of the tensor, and the most beside it that are taken on the way to it."""
        encoded = self.encoded
        steps = self.reduction(tensor) if is_reduced else 1
        seen = height, width = encoded.decoded_size(steps)
        part = self._part(encoded.size)
        cutting = 0
        if self.region is not None:
            seen = min(height, -(-part[0] // steps) + 1), min(width, -(-part[1] // steps) + 1)
            cutting = 5 * math.prod(seen)  # the part, and the mask of a polygon
        whole = 4 * height * width
        result, preparing = tensor.memory(part, seen)
        with _field_of_errors(f"{self.path}.source"):
            decoding = encoded.decoding_memory(steps)
        most = max(decoding, whole + cutting, 4 * math.prod(seen) + preparing)
        return result, most - result

    def _part(self, size: tuple[int, int]) -> tuple[int, int]:
        if self.region is None:
            return size
        left, top, right, bottom = self.region.pixels(size)
        return bottom - top, right - left


@dataclass(frozen=True, eq=False, slots=True)
class OpenedInputs:
    """The inputs of a request, checked, and the headers of their images read.

    Parameters
    ----------
    preprocessor : Preprocessor
        Of the network.
    images : list
        One for each image input.
    """

    preprocessor: Preprocessor
    images: list[_Image]

    def sizes(self, is_reduced: bool) -> list[tuple[int, int]]:
        """Estimate the bytes that each tensor takes, and its image beside it on its way."""
        return [
            image.memory(tensor, is_reduced)
            for tensor, image in zip(self.preprocessor.image_tensors, self.images, strict=True)
        ]


@contextmanager
def _field_of_errors(field: str) -> Iterator[None]:
    try:
        yield
    except ImageError as error:
        raise InputError(field, str(error).removeprefix("image: ")) from None
