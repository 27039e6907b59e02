"""Where the content of an image comes from: a file, base64, a data URI, or a URL to fetch."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any

from postproc.service.errors import InputError

_DATA_URI = re.compile(r"data:[^,;]*(;[^,;]*)*,", re.IGNORECASE)


def content_of(field: str, source: Any) -> bytes | str:
    """Return the content of an image, or its URL.

    Raises
    ------
    InputError
        If it is none; names the field.
    """
    if isinstance(source, str):
        text = source.strip()
        return text if text[:8].lower().startswith(("http://", "https://")) else _from_text(field, text)
    if not isinstance(source, (bytes, bytearray, memoryview)):
        raise InputError(
            field, f"expected an image as base64, data URI, URL or file, got {type(source).__name__}"
        )
    return bytes(source)


def _from_text(field: str, text: str) -> bytes:
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
