"""The images of a request: read, cut, and made into the tensors of a network."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray
from PIL import Image

from postproc.errors import ImageError
from postproc.images import Preprocessor, load_image
from postproc.service.errors import InputError
from postproc.service.regions import Region, of_whole_image, read_region
from postproc.service.settings import ServiceSettings
from postproc.transforms import ImageTransform

# Formats that Pillow decodes by itself and that photographs come in; EPS, for one, would run Ghostscript.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")

_IMAGE_FIELDS = ("source", "bbox", "polygon", "crop_uniform_background")
_DATA_URI = re.compile(r"data:[^,;]*(;[^,;]*)*,", re.IGNORECASE)
# A progressive JPEG is decoded once a scan: usually ten of them, and a hostile file has thousands.
_MAX_SCANS = 100
_SCAN = b"\xff\xda"

Fetch = Callable[[str, str], bytes]
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
    """Makes tensors of the inputs of requests; from many threads at once.

    Parameters
    ----------
    settings : ServiceSettings
        The limits.
    fetch : callable
        Gives the content of a URL; its second argument names the field, for messages.
    decoding : context manager
        Entered while an image is decoded and resized, which takes memory: a semaphore.
    clock : callable
        Gives a context manager that measures the stages ``fetch``, ``decode`` and ``prepare``.
    """

    def __init__(
        self,
        settings: ServiceSettings,
        fetch: Fetch,
        decoding: AbstractContextManager[Any],
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._fetch = fetch
        self._decoding = decoding
        self._clock = clock

    def read(self, preprocessor: Preprocessor, inputs: Sequence[Any]) -> PreparedInputs:
        """Make tensors of the inputs of a request.

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
            If an input is not as expected, an image cannot be read, or a limit is exceeded; names the field.
        """
        expected = sum(item.image is not None for item in preprocessor.preprocessing.inputs)
        if isinstance(inputs, (str, bytes)) or not isinstance(inputs, Sequence):
            raise InputError("inputs", f"expected a list of {expected}, got {type(inputs).__name__}")
        if len(inputs) != expected:
            raise InputError(
                "inputs",
                f"expected {expected}, one for each image input of the network's preprocessing, "
                f"got {len(inputs)}",
            )
        # All is checked before anything is fetched or decoded.
        requests = [_Request.of(f"inputs[{row}]", item) for row, item in enumerate(inputs)]
        contents = [(request, self._content(request)) for request in requests]
        with self._decoding:
            with self._clock("decode"):
                images = [self._decoded(request, content) for request, content in contents]
            with self._clock("prepare"):
                return _prepared(preprocessor, images, [request.region for request in requests])

    def _content(self, request: _Request) -> bytes:
        source, field = request.source, f"{request.path}.source"
        if isinstance(source, str):
            source = self._from_text(field, source.strip())
        if not isinstance(source, (bytes, bytearray, memoryview)):
            raise InputError(
                field,
                f"expected an image as base64, data URI, URL or file, got {type(source).__name__}",
            )
        content = bytes(source)
        if not content:
            raise InputError(field, "expected an image, got nothing")
        if len(content) > self._settings.max_body:
            raise InputError(field, f"expected at most {self._settings.max_body:,} bytes")
        return content

    def _from_text(self, field: str, text: str) -> bytes:
        if text[:8].lower().startswith(("http://", "https://")):
            with self._clock("fetch"):
                return self._fetch(text, field)
        what = "base64"
        if text[:5].lower() == "data:":
            head = _DATA_URI.match(text[:1024])
            if head is None or not head[0].lower().endswith(";base64,"):
                raise InputError(field, "expected a data URI with base64, data:image/png;base64,...")
            text, what = text[head.end() :], "base64 behind the comma of the data URI"
        if _lost_pluses(text):
            raise InputError(
                field,
                f"expected {what}; every '+' of it seems to have become a space, as where a form or URL is "
                "decoded: send '+' as %2B there, or the request as JSON or the image as a file",
            )
        try:
            return base64.b64decode("".join(text.split()), validate=True)
        except (binascii.Error, ValueError) as error:
            raise InputError(
                field,
                f"expected a URL that starts with http:// or https://, a data URI or {what} ({error})",
            ) from None

    def _decoded(self, request: _Request, content: bytes) -> Image.Image:
        field = f"{request.path}.source"
        if content.startswith(b"\xff\xd8") and content.count(_SCAN) > _MAX_SCANS:
            raise InputError(field, f"a JPEG of more than {_MAX_SCANS} scans; save it again")
        try:
            return load_image(content, formats=FORMATS, max_pixels=self._settings.max_image_pixels)
        except ImageError as error:
            raise InputError(field, str(error).removeprefix("image: ")) from None


def _lost_pluses(text: str) -> bool:
    """Tell whether spaces of a base64 text stand for "+", which is one of 64 characters of an image's.

    Spaces may break it into lines too: then all parts but the last have one length, of whole groups of four.
    """
    if "+" in text:
        return False
    for line in text.splitlines():
        *parts, last = line.strip().split(" ")
        lengths = {len(part) for part in parts}
        are_lines = len(lengths) == 1 and all(length % 4 == 0 and len(last) <= length for length in lengths)
        if parts and not (are_lines and len(last) % 4 == 0):
            return True
    return False


@dataclass(frozen=True, slots=True)
class _Request:
    """An input as it was sent, its fields checked and its image not read yet."""

    path: str
    source: Any
    region: Region | None

    @classmethod
    def of(cls, path: str, item: Any) -> _Request:
        if not isinstance(item, Mapping):
            raise InputError(path, "expected an object with an image")
        if "video" in item:
            raise InputError(f"{path}.video", "videos are not supported; send single frames as images")
        for name in item:
            if name != "image":
                raise InputError(f"{path}.{name}", "unknown field; expected image")
        image, path = item.get("image"), f"{path}.image"
        if image is None:
            raise InputError(path, "required field is missing; add it")
        if not isinstance(image, Mapping):
            raise InputError(path, "expected an object with a source")
        for name in image:
            if name not in _IMAGE_FIELDS:
                raise InputError(f"{path}.{name}", f"unknown field; expected {', '.join(_IMAGE_FIELDS)}")
        source = image.get("source")
        if source is None:
            raise InputError(f"{path}.source", "required field is missing; add it")
        return cls(path, source, read_region(path, image))


def _prepared(
    preprocessor: Preprocessor, images: Sequence[Image.Image], regions: Sequence[Region | None]
) -> PreparedInputs:
    cuts = [
        (image, (0, 0)) if region is None else region.cut(image)
        for image, region in zip(images, regions, strict=True)
    ]
    try:
        batch = preprocessor([[part for part, _ in cuts]])
    except ImageError as error:
        raise InputError("inputs", str(error)) from None
    size = images[0].height, images[0].width
    return PreparedInputs(batch.tensors, of_whole_image(batch.transforms[0], cuts[0][1], size))
