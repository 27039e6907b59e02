"""Names of hosts: what a client may send as ``Host``, and what the links of an answer are built from."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING
from urllib.parse import unquote

from postproc.service.errors import ApiError

if TYPE_CHECKING:  # the settings, which need this, are read where the service's extra is not installed
    from starlette.types import Scope

_LONGEST = 255
# Letters as DNS and files of hosts have them, an underscore for the networks of containers; IDN as punycode.
_HOST = re.compile(
    r"(?:[a-z0-9_](?:[a-z0-9._-]*[a-z0-9_])?\.?|\[(?P<v6>[0-9a-f:.]+)\])(?::(?P<port>[0-9]{1,5}))?",
    re.IGNORECASE | re.ASCII,
)
_ABSOLUTE = re.compile(rb"https?://([^/]*)(/.*)?", re.IGNORECASE | re.DOTALL)
_PATH = re.compile(r"(?:/(?!\.{1,2}(?:/|$))[A-Za-z0-9._~-]+)*/?")


def is_host(text: str) -> bool:
    """Tell whether a text looks like a host: a name or an address, and a port at most."""
    match = _HOST.fullmatch(text)
    if match is None or len(text) > _LONGEST or int(match["port"] or 0) > 65535:
        return False
    if match["v6"] is not None:
        try:
            ipaddress.IPv6Address(match["v6"])
        except ValueError:
            return False
    return True


def public_url(text: str) -> str:
    """Return the URL that clients know a service by, without a slash at its end.

    Raises
    ------
    ValueError
        If it is none.
    """
    scheme, _, rest = text.partition("://")
    host, slash, path = rest.partition("/")
    if scheme not in ("http", "https") or not is_host(host) or not _PATH.fullmatch(slash + path):
        raise ValueError("expected a URL such as https://api.example.com or https://example.com/recognition")
    return text.rstrip("/")


def with_path(scope: Scope) -> Scope:
    """Return a request whose target is a path; RFC 9112 allows a URL, whose host stands for ``Host``."""
    absolute = _ABSOLUTE.fullmatch(scope.get("raw_path") or b"")
    if absolute is None:
        return scope
    path = absolute[2] or b"/"
    others = [(name, value) for name, value in scope["headers"] if name != b"host"]
    headers = [(b"host", absolute[1]), *others]
    return {**scope, "raw_path": path, "path": unquote(path.decode("ascii")), "headers": headers}


def check_host(scope: Scope) -> None:
    """Make sure that what a request names as its host looks like one.

    That a request of HTTP/1.1 has one such header, and no more, is h11's part.

    Raises
    ------
    ApiError
        A 400 if not.
    """
    for name, value in scope["headers"]:
        found = value.decode("latin-1")
        if name == b"host" and not is_host(found):
            shown = found if len(found) <= 100 else f"{found[:100]}..."
            raise ApiError(
                400,
                f"expected a host in the header Host, such as example.com:8000 or [::1]:8000, got {shown!r}",
            )
