"""Fetch an image from a URL that a stranger chose: from public addresses only, within limits."""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import quote, urljoin, urlsplit

import httpcore

from postproc.service.errors import InputError
from postproc.service.fetch.addresses import is_public
from postproc.service.fetch.guarded import AddressRefused, Deadline, GuardedBackend, Resolver
from postproc.service.settings import ServiceSettings

MAX_REDIRECTS = 3
# Of web servers; the others belong to protocols that a request could be smuggled into.
PORTS = frozenset({80, 443, 8000, 8080, 8443})

_DEFAULT_PORTS = {"http": 80, "https": 443}
_MAX_URL = 8192
_REDIRECTS = (301, 302, 303, 307, 308)
_UNPRINTABLE = re.compile(r"[\x00-\x20\x7f]")
_HEADERS = [
    (b"User-Agent", b"postproc"),
    (b"Accept", b"image/*, */*;q=0.1"),
    (b"Accept-Encoding", b"identity"),
    (b"Connection", b"close"),
]


class Fetcher:
    """Fetches images.

    Each host is looked up once, every one of its addresses has to be public, and the connection goes to an
    address that was checked; so do those of redirects. Certificates are checked against the host's name.
    There are no cookies, no proxies, no compressed answers. A time limit holds for all of it together.

    Parameters
    ----------
    settings : ServiceSettings
        ``allow_urls`` and the limits.
    is_allowed : callable
        Tells whether an address may be connected to.
    ports : collection of int, optional
        That may be connected to; None for all.
    resolve : callable, optional
        Gives the addresses of a host, from its name, the port and a deadline.
    tls : ssl.SSLContext, optional
        What certificates are checked with.
    """

    def __init__(
        self,
        settings: ServiceSettings,
        *,
        is_allowed: Callable[[str], bool] = is_public,
        ports: Collection[int] | None = PORTS,
        resolve: Callable[[str, int, Deadline], list[str]] | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._settings = settings
        self._is_allowed = is_allowed
        self._ports = ports
        self._resolve = resolve or Resolver()
        self._given_tls = tls

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return self._given_tls or httpcore.default_ssl_context()

    def __call__(self, url: str, field: str = "url") -> bytes:
        """Return the content of a URL.

        Parameters
        ----------
        url : str
            With the scheme http or https.
        field : str
            Path of the URL in the request, for messages.

        Raises
        ------
        InputError
            If URLs are off, this one is not allowed, or the server does not give an image within the limits.
        """
        if not self._settings.allow_urls:
            raise InputError(
                field,
                "this service does not fetch images from URLs; send the image itself, as a file or as base64 "
                "(the operator allows URLs with --allow-urls)",
            )
        try:
            return self._follow(url, Deadline(self._settings.url_timeout))
        except _FetchError as error:
            raise InputError(field, str(error)) from None

    def _follow(self, url: str, deadline: Deadline) -> bytes:
        for _ in range(MAX_REDIRECTS + 1):
            target = _Target.of(url, self._ports)
            try:
                answer = self._get(target, deadline)
            except (TimeoutError, httpcore.TimeoutException):
                raise _FetchError(
                    f"the server took longer than {self._settings.url_timeout:g} s; send the image itself"
                ) from None
            except AddressRefused:
                raise _FetchError("the host does not have a public address alone") from None
            except httpcore.ProtocolError:
                raise _FetchError("the server did not answer as HTTP prescribes") from None
            except (OSError, httpcore.NetworkError) as error:
                raise _FetchError(_unreachable(error)) from None
            if isinstance(answer, bytes):
                return answer
            try:
                url = urljoin(url, answer.location)
            except ValueError:
                raise _FetchError("the server redirects to what is no valid URL") from None
        raise _FetchError(f"more than {MAX_REDIRECTS} redirects")

    def _get(self, target: _Target, deadline: Deadline) -> bytes | _Redirect:
        backend = GuardedBackend(self._resolve, self._is_allowed, deadline)
        origin = httpcore.Origin(target.scheme, target.host, target.port)
        url = httpcore.URL(scheme=target.scheme, host=target.host, port=target.port, target=target.path)
        headers = [(b"Host", target.authority), *_HEADERS]
        with (
            httpcore.HTTPConnection(
                origin, self._tls if target.scheme == b"https" else None, network_backend=backend
            ) as connection,
            connection.stream("GET", url, headers=headers) as response,
        ):
            known = {name.lower(): value for name, value in response.headers}
            if response.status in _REDIRECTS and b"location" in known:
                return _Redirect(known[b"location"].decode("latin-1"))
            if response.status != 200:
                raise _FetchError(f"the server answered with status {response.status}")
            if known.get(b"content-encoding", b"identity").lower() != b"identity":
                raise _FetchError("the server compressed its answer, though asked not to")
            return self._content(response, known.get(b"content-length", b""))

    def _content(self, response: httpcore.Response, length: bytes) -> bytes:
        limit = self._settings.url_max_bytes
        too_large = f"the image is larger than {limit:,} bytes"
        if length.isdigit() and len(length) < 20 and int(length) > limit:
            raise _FetchError(too_large)
        content = bytearray()
        for block in response.iter_stream():
            content += block
            if len(content) > limit:
                raise _FetchError(too_large)
        return bytes(content)


class _FetchError(Exception):
    """What went wrong, for the person who sent the URL."""


@dataclass(frozen=True, slots=True)
class _Redirect:
    location: str


@dataclass(frozen=True, slots=True)
class _Target:
    """A URL in the parts of a request, in bytes."""

    scheme: bytes
    host: bytes
    port: int
    path: bytes

    @property
    def authority(self) -> bytes:
        """What the ``Host`` header holds."""
        host = b"[" + self.host + b"]" if b":" in self.host else self.host
        is_default = self.port == _DEFAULT_PORTS[self.scheme.decode()]
        return host if is_default else host + b":" + str(self.port).encode()

    @classmethod
    def of(cls, url: str, ports: Collection[int] | None) -> _Target:
        if len(url) > _MAX_URL or _UNPRINTABLE.search(url):
            raise _FetchError(f"expected a URL of at most {_MAX_URL} characters, without spaces")
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
            ascii_host = host.encode("ascii") if host.isascii() else host.encode("idna")
            path = quote(parts.path or "/", safe="%/:=&~+!$,;'@()*[]")
            query = "?" + quote(parts.query, safe="%/:=&?~+!$,;'@()*[]") if parts.query else ""
        except ValueError:
            raise _FetchError("expected a valid URL") from None
        scheme = parts.scheme.lower()
        if scheme not in _DEFAULT_PORTS or not ascii_host:
            raise _FetchError("expected a URL that starts with http:// or https:// and a host")
        if parts.username is not None or parts.password is not None:
            raise _FetchError("expected a URL without a user and password")
        port = _DEFAULT_PORTS[scheme] if port is None else port
        if ports is not None and port not in ports:
            raise _FetchError(f"expected one of the ports {', '.join(map(str, sorted(ports)))}, got {port}")
        return cls(scheme.encode(), ascii_host, port, (path + query).encode())


def _unreachable(error: Exception) -> str:
    causes = [error, error.__cause__, error.__context__]
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"the server's certificate is not valid: {cause.verify_message}"
        if isinstance(cause, ssl.SSLError):
            return "the server does not speak TLS"
    return "the host cannot be reached"
