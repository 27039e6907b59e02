"""Multipart bodies: parts as they arrive, and their flattened names back as nested objects.

The vendor's client writes ``{"preprocessing": {"inputs": [{"image": {"mean": [0.5]}}]}}`` as the part
``preprocessing.inputs[0]image.mean[0]``: keys after dots, places in brackets, no dot behind a bracket.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import IO, Any, TypeAlias

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from postproc.schema.problems import path_of
from postproc.service.errors import ApiError, InputError

Path: TypeAlias = "tuple[str | int, ...]"

MAX_PARTS = 10_000
_MAX_HEADERS = 16_384  # bytes of one part
_MAX_DEPTH = 32
_STEP = re.compile(r"\.?([^.\[\]]+)|\[([0-9]{1,5})\]")


@dataclass(frozen=True)
class FilePart:
    """A part with a file name, which is all that makes it a file."""

    name: str
    file: IO[bytes]
    size: int


class FormReader:
    """Takes a multipart body in blocks.

    Parameters
    ----------
    boundary : bytes
        Of the body's content type.
    open_file : callable
        Gives a place for the content of the next file.
    max_text, max_files : int
        Most bytes of all fields, and of all files, together.
    closes : bool
        Close each file when its part ends, and not with the form: thousands of parts are too many to be open.

    Attributes
    ----------
    fields : list of (str, str)
        Names and texts, in the order of the body.
    files : list of FilePart
        In the order of the body.
    """

    def __init__(
        self,
        boundary: bytes,
        open_file: Callable[[], IO[bytes]],
        max_text: int,
        max_files: int,
        *,
        closes: bool = False,
    ) -> None:
        self.fields: list[tuple[str, str]] = []
        self.files: list[FilePart] = []
        self._open_file = open_file
        self._closes = closes
        self._left = {"fields": max_text, "files": max_files}
        self._limits = dict(self._left)
        self._ended = False
        self._header = (bytearray(), bytearray())
        self._headers_size = 0
        self._disposition = b""
        self._name = ""
        self._text: bytearray | None = None
        self._file: IO[bytes] | None = None
        self._size = 0
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": lambda data, start, end: self._add_header(0, data[start:end]),
                "on_header_value": lambda data, start, end: self._add_header(1, data[start:end]),
                "on_header_end": self._end_header,
                "on_headers_finished": self._open,
                "on_part_data": lambda data, start, end: self._add(data[start:end]),
                "on_part_end": self._end,
                "on_end": self._finish,
            },
        )

    def feed(self, block: bytes) -> None:
        """Take a block.

        Raises
        ------
        ApiError
            A 400 if this is no multipart body, a 413 if a limit is passed.
        """
        try:
            self._parser.write(block)
        except FormParserError as error:
            raise ApiError(400, f"the body is not multipart/form-data: {error}") from None

    def finish(self) -> None:
        """Take note that this was all; a 400 if a part is cut off."""
        self.feed(b"")
        if not self._ended:
            raise ApiError(400, "the multipart body is cut off: its last boundary is missing")

    def close(self) -> None:
        """Close all files."""
        for part in self.files:
            part.file.close()
        if self._file is not None:
            self._file.close()

    def _begin(self) -> None:
        if len(self.fields) + len(self.files) >= MAX_PARTS:
            raise ApiError(413, f"expected at most {MAX_PARTS:,} parts in the body")
        self._headers_size = 0
        self._disposition = b""

    def _add_header(self, part: int, data: bytes) -> None:
        self._headers_size += len(data)
        if self._headers_size > _MAX_HEADERS:
            raise ApiError(400, f"expected at most {_MAX_HEADERS:,} bytes of headers in a part of the body")
        self._header[part].extend(data)

    def _end_header(self) -> None:
        name, value = self._header
        if bytes(name).lower() == b"content-disposition":
            self._disposition = bytes(value)
        name.clear()
        value.clear()

    def _open(self) -> None:
        _, options = parse_options_header(self._disposition)
        if b"name" not in options:
            raise ApiError(400, "a part of the multipart body has no name in its Content-Disposition")
        self._name = _text(options[b"name"], "the name of a part")
        self._size = 0
        if b"filename" in options:
            self._file = self._open_file()
        else:
            self._text = bytearray()

    def _add(self, data: bytes) -> None:
        kind = "files" if self._file is not None else "fields"
        self._left[kind] -= len(data)
        self._size += len(data)
        if self._left[kind] < 0:
            raise ApiError(
                413, f"expected at most {self._limits[kind]:,} bytes of {kind} in the body", self._name
            )
        if self._file is not None:
            self._file.write(data)
        elif self._text is not None:
            self._text += data

    def _end(self) -> None:
        if self._file is not None:
            if self._closes:
                self._file.close()
            self.files.append(FilePart(self._name, self._file, self._size))
            self._file = None
        elif self._text is not None:
            self.fields.append((self._name, _text(self._text, self._name)))
            self._text = None

    def _finish(self) -> None:
        self._ended = True


def boundary_of(content_type: str) -> bytes:
    """Return the boundary that a content type names; a 400 if it names none that can be used."""
    _, options = parse_options_header(content_type)
    boundary = options.get(b"boundary", b"")
    if not 0 < len(boundary) <= 256:
        raise ApiError(400, "Content-Type: expected multipart/form-data with a boundary")
    return boundary


def split_name(name: str) -> Path:
    """Read a flattened name: ``inputs[0]image.source`` is ``("inputs", 0, "image", "source")``.

    Raises
    ------
    ApiError
        A 400 if it is no such name.
    """
    steps: list[str | int] = []
    position = 0
    while position < len(name):
        match = _STEP.match(name, position)
        is_first = position == 0
        if match is None or len(steps) == _MAX_DEPTH or (is_first and (name[0] in ".[")):
            raise ApiError(
                400, f"expected the name of a part such as inputs[0]image.source, got {name[:200]!r}"
            )
        steps.append(match[1] if match[1] is not None else int(match[2]))
        position = match.end()
    if not steps:
        raise ApiError(400, "a part of the multipart body has an empty name")
    return tuple(steps)


def nested(parts: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Put parts with flattened names together again.

    Raises
    ------
    ApiError
        A 400 if a name is given twice, stands for a value and an object at once, or a list has a gap.
    """
    root: dict[str | int, Any] = {}
    for name, value in parts:
        path = split_name(name)
        node = root
        for step, following in pairwise(path):
            child = node.setdefault(step, _List() if isinstance(following, int) else {})
            if not isinstance(child, dict) or isinstance(child, _List) != isinstance(following, int):
                raise InputError(path_of(path), "contradicts another part of the body; give one of them")
            node = child
        if path[-1] in node:
            raise InputError(path_of(path), "is given twice, or as a value and as an object; give it once")
        node[path[-1]] = value
    result: dict[str, Any] = _closed(root, ())
    return result


class _List(dict[int, Any]):
    """A list that is still being put together, by place."""


def _closed(node: Any, path: Path) -> Any:
    if isinstance(node, _List):
        for place in range(len(node)):
            if place not in node:
                raise InputError(
                    path_of((*path, place)), f"is missing, though the list goes on to {max(node)}"
                )
        return [_closed(node[place], (*path, place)) for place in range(len(node))]
    if isinstance(node, Mapping):
        return {key: _closed(value, (*path, key)) for key, value in node.items()}
    return node


def _text(data: bytes | bytearray, what: str) -> str:
    try:
        text = bytes(data).decode("utf-8")
    except UnicodeDecodeError:
        raise ApiError(
            400, f"{what}: expected text in UTF-8; send a file as a part with a filename"
        ) from None
    if "\0" in text:
        raise ApiError(400, f"{what}: expected text without null characters")
    return text
