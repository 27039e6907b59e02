"""The web page at ``/``: an image in, boxes and sliders out. Static files that call the API of the service.

Everything it loads is served here, and its security policy forbids all else: no other host, no inline
script or style, and, by Trusted Types, no text that becomes HTML, whatever a label is called.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.resources import files
from typing import Annotated

from fastapi import APIRouter, Header, Response

from postproc.service.errors import ApiError

__all__ = ["router"]

router = APIRouter(include_in_schema=False)

_TYPES = {
    "index.html": "text/html; charset=utf-8",
    "page.css": "text/css; charset=utf-8",
    **dict.fromkeys(
        (
            "api.js",
            "colors.js",
            "dom.js",
            "image.js",
            "key.js",
            "labels.js",
            "page.js",
            "picture.js",
            "results.js",
            "table.js",
        ),
        "text/javascript; charset=utf-8",
    ),
    # Drawn by tools/draw_samples.py.
    "sample_page.jpg": "image/jpeg",
    "sample_digit.png": "image/png",
}
_POLICY = "; ".join(
    [
        "default-src 'self'",
        "img-src 'self' blob: data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "object-src 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    ]
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
# Asked for again at each visit, and answered by a 304: page and scripts are always of one release.
_CACHING = "no-cache"

IfNoneMatch = Annotated[str | None, Header()]


@dataclass(frozen=True)
class Asset:
    """A file as it is served.

    Parameters
    ----------
    content : bytes
    media_type : str
    """

    content: bytes
    media_type: str

    def response(self, if_none_match: str | None) -> Response:
        """Answer with the file, or with a 304 if the browser has it."""
        etag = f'"{hashlib.sha256(self.content).hexdigest()[:32]}"'
        headers = {**_HEADERS, "ETag": etag, "Cache-Control": _CACHING}
        # A proxy that compresses makes the tag a weak one.
        known = {tag.strip().removeprefix("W/") for tag in (if_none_match or "").split(",")}
        if etag in known or "*" in known:
            return Response(status_code=304, headers=headers)
        return Response(self.content, media_type=self.media_type, headers=headers)


_ASSETS = {
    name: Asset((files(__name__) / name).read_bytes(), media_type) for name, media_type in _TYPES.items()
}


@router.api_route("/", methods=["GET", "HEAD"])
async def show_page(if_none_match: IfNoneMatch = None) -> Response:
    """Serve the page."""
    return _ASSETS["index.html"].response(if_none_match)


@router.api_route("/page/{name}", methods=["GET", "HEAD"])
async def asset(name: str, if_none_match: IfNoneMatch = None) -> Response:
    """Serve a script, a style or a sample image of the page."""
    if name not in _ASSETS or name == "index.html":  # which is at / only, where its links lead
        raise ApiError(404, f"the page has no file {name!r}")
    return _ASSETS[name].response(if_none_match)
