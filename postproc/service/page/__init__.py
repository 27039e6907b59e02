"""The web pages: an image in, boxes and sliders out at ``/``; the documentation of the API at ``/docs``.

Static files that call the API of the service. Everything they load is served here, and the security policy
(`postproc.service.http.headers`) forbids all else: no other host, no inline script or style.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Annotated

from fastapi import APIRouter, Header, Response

from postproc.service.errors import ApiError
from postproc.service.http.headers import POLICY, policy

__all__ = ["router"]

router = APIRouter(include_in_schema=False)

_TYPES = {
    **dict.fromkeys(("index.html", "docs.html"), "text/html; charset=utf-8"),
    "page.css": "text/css; charset=utf-8",
    **dict.fromkeys(
        (
            "api.js",
            "colors.js",
            "docs.js",
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
# Swagger UI writes HTML by itself, cleaned by DOMPurify, so that Trusted Types would leave its page empty.
_OWN_HEADERS = {"docs.html": {POLICY: policy()}}
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
    headers : mapping of str to str
        Beside those of every answer, or in their place.
    """

    content: bytes
    media_type: str
    headers: Mapping[str, str]

    def response(self, if_none_match: str | None) -> Response:
        """Answer with the file, or with a 304 if the browser has it."""
        etag = f'"{hashlib.sha256(self.content).hexdigest()[:32]}"'
        headers = {**self.headers, "ETag": etag, "Cache-Control": _CACHING}
        # A proxy that compresses makes the tag a weak one.
        known = {tag.strip().removeprefix("W/") for tag in (if_none_match or "").split(",")}
        if etag in known or "*" in known:
            return Response(status_code=304, headers=headers)
        return Response(self.content, media_type=self.media_type, headers=headers)


_ASSETS = {
    name: Asset((files(__name__) / name).read_bytes(), media_type, _OWN_HEADERS.get(name, {}))
    for name, media_type in _TYPES.items()
}


@router.api_route("/", methods=["GET", "HEAD"])
async def show_page(if_none_match: IfNoneMatch = None) -> Response:
    """Serve the page."""
    return _ASSETS["index.html"].response(if_none_match)


@router.api_route("/docs", methods=["GET", "HEAD"])
async def show_docs(if_none_match: IfNoneMatch = None) -> Response:
    """Serve the documentation."""
    return _ASSETS["docs.html"].response(if_none_match)


@router.api_route("/page/{name}", methods=["GET", "HEAD"])
async def asset(name: str, if_none_match: IfNoneMatch = None) -> Response:
    """Serve a script, a style or a sample image of the page."""
    if name not in _ASSETS or name.endswith(".html"):  # which have places of their own, where links lead
        raise ApiError(404, f"the page has no file {name!r}")
    return _ASSETS[name].response(if_none_match)
