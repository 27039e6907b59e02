"""Bodies of requests: read within limits of size, memory and time, and parsed as JSON or as a form."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import IO, Any

import anyio
from fastapi import Request

from postproc.errors import SchemaError
from postproc.file_kinds import mistaken_for
from postproc.schema.limits import MOST_NESTING
from postproc.schema.parsing import parse_json
from postproc.schema.problems import describe, path_of
from postproc.schema.sizes import is_unicode
from postproc.service.errors import ApiError, InputError, QueueFullError, wrong_document
from postproc.service.http.forms import FilePart, FormReader, boundary_of
from postproc.service.http.patience import SLOWEST, Patience
from postproc.service.settings import ServiceSettings
from postproc.service.sharing import Shares

JSON, FORM = "application/json", "multipart/form-data"

_BLOCK = 1 << 20  # what is written to the disk at once
_DRAIN_SECONDS = 5  # a client that is still sending sees a reset connection, and not the answer
_MAX_VALUES = 1_000_000  # of JSON


@dataclass(frozen=True)
class Body:
    """A body that was read: JSON text, or the parts of a form.

    Parameters
    ----------
    content : bytes, optional
        JSON text; None for a form.
    form : FormReader, optional
        The parts of a form.
    """

    content: bytes | None = None
    form: FormReader | None = None


class BodyReader:
    """Reads bodies; those in memory share a limit, beyond which requests get a 503.

    Parameters
    ----------
    settings : ServiceSettings
        The limits.

    Attributes
    ----------
    memory : Shares
        Bytes of the bodies that are held in memory.
    """

    def __init__(self, settings: ServiceSettings) -> None:
        self._settings = settings
        self.memory = Shares(settings.max_inputs_bytes)

    @asynccontextmanager
    async def in_memory(
        self, request: Request, tenant: str, limit: int, allow_form: bool
    ) -> AsyncIterator[Body]:
        """Give a body of at most `limit` bytes, which is held in memory until the request is done."""
        kind = _kind_of(request, (JSON, FORM) if allow_form else (JSON,))
        held = 0
        form = FormReader(boundary_of(_type_of(request)), BytesIO, limit, limit) if kind == FORM else None
        content = bytearray()
        try:
            async for block in self._blocks(request, limit, 1):  # as it comes, so that all of it is counted
                if not self.memory.take(tenant, len(block), held):
                    raise QueueFullError(cause="memory")
                held += len(block)
                if form is None:
                    content += block
                else:
                    form.feed(block)
            if form is None:
                yield Body(content=bytes(content))
            else:
                form.finish()
                yield Body(form=form)
        finally:
            if form is not None:
                form.close()  # its parser refers back to it: Python would free the files much later
            self.memory.give_back(tenant, held)

    @asynccontextmanager
    async def on_disk(
        self, request: Request, folder: Path, run: Callable[..., Awaitable[Any]]
    ) -> AsyncIterator[FormReader]:
        """Give a form whose files are written to a folder, as long as they come, as ``0``, ``1``, ...

        What waits for the disk is done by `run`: it takes a function and its arguments.
        """
        if _kind_of(request, (JSON, FORM)) == JSON:
            raise ApiError(400, "expected multipart/form-data with one part that is the network's ONNX file")
        settings = self._settings
        names = iter(range(10**9))

        def open_file() -> IO[bytes]:
            return (folder / str(next(names))).open("wb")

        form = FormReader(
            boundary_of(_type_of(request)),
            open_file,
            settings.max_document,
            settings.max_model,
            closes=True,
        )
        with closing(form):
            async for block in self._blocks(request, settings.max_model + settings.max_document, _BLOCK):
                await run(form.feed, block)
            form.finish()
            form.close()
            yield form

    async def _blocks(self, request: Request, limit: int, least: int) -> AsyncIterator[bytes]:
        """Yield the body in blocks of `least` bytes or more; a 413 if it is longer than `limit`."""
        error = ApiError(413, f"expected a body of at most {limit:,} bytes", headers={"Connection": "close"})
        stream = request.stream()
        declared = request.headers.get("content-length", "")
        if declared.isdecimal() and int(declared) > limit:
            if "expect" not in request.headers:  # else the client waits for leave to send
                await _drain(stream)
            raise error
        seconds = self._settings.body_timeout
        patience = Patience(seconds)  # with the client only: parsing is not its fault
        block, total = bytearray(), 0
        while True:
            try:
                with patience:
                    chunk = await anext(stream, None)
            except TimeoutError:
                raise ApiError(
                    408,
                    f"the body came too slowly: below {SLOWEST} bytes a second within {seconds:g} s",
                    headers={"Connection": "close"},
                ) from None
            if chunk is None:
                break
            patience.add(len(chunk))
            total += len(chunk)
            if total > limit:
                await _drain(stream)
                raise error
            block += chunk
            if len(block) >= least:
                yield bytes(block)
                block.clear()
        if block:
            yield bytes(block)


def json_object(content: bytes, what: str = "the body") -> dict[str, Any]:
    """Parse a JSON object.

    Raises
    ------
    ApiError
        A 400 if the text is no JSON, repeats a key, is nested too deeply, or holds what cannot be kept or
        given back: numbers that are not finite, null characters, half surrogate pairs.
    """
    if kind := mistaken_for(content):
        raise ApiError(400, f"{what}: expected JSON; it is {kind}")
    if sum(map(content.count, (b",", b"[", b"{"))) > _MAX_VALUES:  # each takes far more memory than its text
        raise ApiError(400, f"{what}: expected at most {_MAX_VALUES:,} values")
    try:
        value = parse_json(content, what)
    except SchemaError as error:
        raise wrong_document(error) from None
    except RecursionError:
        raise _too_deep(what) from None
    if not isinstance(value, dict):
        raise ApiError(400, f"{what}: expected a JSON object")
    check_values(value, what)
    return value


def check_values(value: Any, what: str) -> None:
    """Check what JSON and Python allow, and a database or another program may not; a 400 names the path."""
    waiting: list[tuple[tuple[str | int, ...], Any]] = [((), value)]
    while waiting:
        path, parent = waiting.pop()
        if len(path) > MOST_NESTING:
            raise _too_deep(what)
        is_object = isinstance(parent, dict)
        for step, child in parent.items() if is_object else enumerate(parent):
            if isinstance(child, (dict, list)):
                waiting.append(((*path, step), child))
            complaint = _complaint(child) or (_complaint(step) if is_object else None)
            if complaint:
                raise InputError(path_of((*path, step)), complaint)


def _complaint(value: Any) -> str | None:
    if isinstance(value, str):
        if "\0" in value:
            return "expected text without null characters"
        if not is_unicode(value):
            return "expected whole surrogate pairs in text"
    elif isinstance(value, float) and not math.isfinite(value):
        return "expected a finite number"
    return None


def _too_deep(what: str) -> ApiError:
    return ApiError(400, f"{what}: expected at most {MOST_NESTING} levels of lists and objects")


def _type_of(request: Request) -> str:
    return str(request.headers.get("content-type", ""))


def _kind_of(request: Request, allowed: tuple[str, ...]) -> str:
    coding = request.headers.get("content-encoding", "identity").strip().lower()
    if coding not in ("", "identity"):
        raise ApiError(
            415,
            f"Content-Encoding: expected none, got {describe(coding)}; send the body as it is",
            headers={"Accept-Encoding": "identity"},
        )
    kind = _type_of(request).partition(";")[0].strip().lower()
    if kind not in allowed:
        raise ApiError(415, f"Content-Type: expected {' or '.join(allowed)}, got {kind or 'none'}")
    return kind


async def _drain(stream: AsyncIterator[bytes]) -> None:
    with anyio.move_on_after(_DRAIN_SECONDS):
        async for _ in stream:
            pass


__all__ = ["FORM", "JSON", "Body", "BodyReader", "FilePart", "check_values", "json_object"]
